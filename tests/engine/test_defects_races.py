"""Faults of the Elixir original that show when two do something at once.

The table is docs/defects-of-the-original.md.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from journey_async import (
    Context,
    ExecutionArchivedError,
    Graph,
    Journey,
    Retry,
    compute,
    historian,
    input_node,
    value,
)
from journey_async.core.commands import Release
from journey_async.core.values import ComputationState
from journey_async.errors import ComputationNotFound
from tests.support.eventually import eventually
from tests.support.locks import waiting_for_locks

AT_ONCE = Retry(max_attempts=3, initial_delay=0)


def graph_of(f: Any, **step: Any) -> Graph:
    return Graph("g", "v1", [input_node("x"), input_node("w"), compute("y", ["x"], f, **step)])


@asynccontextmanager
async def row_held(dsn: str, execution_id: str) -> AsyncIterator[None]:
    """Somebody else holds the execution's row."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute(
                "SELECT FROM journey.executions WHERE id = $1 FOR UPDATE", execution_id
            )
            yield
    finally:
        await connection.close()


async def test_two_processes_that_move_a_gate_never_run_a_node_beside_itself(  # B2, B21
    dsn: str,
) -> None:
    running = most = 0

    async def count(x: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(20):  # let the others in
            await asyncio.sleep(0)
        running -= 1
        return x

    graph = Graph("g", "v1", [input_node("x"), compute("y", value("x") > 0, count)])
    async with Journey(dsn, graphs=[graph]) as one, Journey(dsn, graphs=[graph]) as two:
        execution = await one.start_execution(graph, {"x": 1})
        for x in range(2, 22):
            await asyncio.gather(
                one.set_value(execution, "x", -x),
                two.set_value(execution, "x", x),
                one.unset_value(execution, "x"),
                two.set_value(execution, "x", -1),
            )
            await one.set_value(execution, "x", x)
            assert await two.get_value(execution, "y", settled=True) == x
        assert most == 1


async def test_the_database_refuses_a_second_computation_of_a_node(  # B2
    dsn: str, connection: Any
) -> None:
    graph = graph_of(lambda x: x)
    async with Journey(dsn, run_computations=False) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        [queued] = execution.computations
        assert (queued.node, queued.state) == ("y", ComputationState.AVAILABLE)
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute(
                """
                INSERT INTO journey.computations
                SELECT (jsonb_populate_record(c, '{"number": 2}')).* FROM journey.computations AS c
                """
            )


async def waiting_for(connection: Any, number: int) -> bool:
    """Whether that many wait for a lock."""
    return await waiting_for_locks(connection) == number


async def test_a_result_and_its_abandonment_at_once_have_one_winner(  # B3
    dsn: str, direct_dsn: str, connection: Any
) -> None:
    go = asyncio.Event()
    begun: list[int] = []

    async def attempt_number(x: int, context: Context) -> int:
        begun.append(context.attempt)
        if context.attempt == 1:
            await go.wait()
        return context.attempt

    graph = graph_of(attempt_number, retry=AT_ONCE)
    async with Journey(dsn, graphs=[graph]) as one, Journey(dsn, run_computations=False) as two:
        for _ in range(5):
            go.clear()
            begun.clear()
            execution = await one.start_execution(graph, {"x": 1})
            [first] = execution.computations
            await eventually(lambda: begun)
            async with row_held(direct_dsn, execution.id):
                abandonment = asyncio.create_task(two.abandon_computation(first.id))
                go.set()
                await eventually(lambda: waiting_for(connection, 2))
            [outcome] = await asyncio.gather(abandonment, return_exceptions=True)
            result = await one.get_value(execution, "y", wait_any=True)
            states = [c.state.value for c in await one.computations(execution, "y")]
            if isinstance(outcome, ComputationNotFound):
                assert (result, states, begun) == (1, ["success"], [1])
            else:
                assert not isinstance(outcome, BaseException)
                assert (result, states, begun) == (2, ["abandoned", "success"], [1, 2])


async def test_a_result_waits_for_a_lock_that_somebody_holds(  # B58
    dsn: str, connection: Any
) -> None:
    go = asyncio.Event()
    calls: list[int] = []

    async def slow(x: int) -> int:
        calls.append(x)
        await go.wait()
        return x

    graph = graph_of(slow, retry=AT_ONCE)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await eventually(lambda: calls)
        async with row_held(dsn, execution.id):
            go.set()
            await eventually(lambda: waiting_for(connection, 1))
        assert await journey.get_value(execution, "y", wait_any=True) == 1
        assert calls == [1]
        assert len(await journey.computations(execution)) == 1


async def test_nothing_is_begun_once_another_process_has_archived(  # B6, B26
    dsn: str,
) -> None:
    graph = graph_of(lambda x: x)
    async with Journey(dsn, graphs=[graph]) as one, Journey(dsn, graphs=[graph]) as two:
        for _ in range(10):
            execution = await one.start_execution(graph)
            written, archived = await asyncio.gather(
                one.set_value(execution, "x", 1), two.archive(execution), return_exceptions=True
            )
            assert not isinstance(archived, BaseException)
            computations = await two.computations(execution)
            if isinstance(written, ExecutionArchivedError):
                assert computations == []
                assert archived.revision == 1
            else:
                assert not isinstance(written, BaseException)
                [computation] = computations
                assert computation.revision_at_start is not None
                assert computation.revision_at_start < archived.revision
            with pytest.raises(ExecutionArchivedError):
                await one.set_value(execution, "x", 2)
            await two.unarchive(execution)
            await one.set_value(execution, "x", 3)
            assert await two.get_value(execution, "y", settled=True) == 3


async def test_a_function_sees_the_values_of_the_revisions_that_are_recorded(  # B12
    dsn: str,
) -> None:
    seen: list[tuple[int, int, int]] = []

    async def look(x: int, context: Context) -> int:
        upstream = context.upstream["x"]
        seen.append((upstream.revision, upstream.value, x))
        await asyncio.sleep(0)
        return x

    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], look), historian("all", ["x"])])
    async with Journey(dsn, graphs=[graph]) as one, Journey(dsn, graphs=[graph]) as two:
        execution = await one.start_execution(graph)
        written = await asyncio.gather(
            *((one if x % 2 else two).set_value(execution, "x", x) for x in range(40))
        )
        set_at = {e.values["x"].revision: e.values["x"].value for e in written}
        assert sorted(set_at.values()) == list(range(40))
        await one.get_value(execution, "y", settled=True)
        assert [(r, set_at[r], set_at[r]) for r, _, _ in seen] == seen
        recorded = [
            c.computed_with["x"] for c in await one.computations(execution, "y") if c.completed_at
        ]
        assert recorded == [revision for revision, _, _ in seen]
        history = await one.get_value(execution, "all")  # B53: each change, once, in order
        assert [(e["revision"], e["value"]) for e in history] == sorted(
            set_at.items(), reverse=True
        )


async def test_a_worker_taken_for_dead_never_overwrites_what_is_newer(dsn: str) -> None:  # B3, B21
    go, began = asyncio.Event(), asyncio.Event()

    async def slow(x: int) -> str:
        began.set()
        try:
            await go.wait()
        except asyncio.CancelledError:
            await go.wait()
        return f"from {x}"

    async def quick(x: int) -> str:
        return f"from {x}"

    async with Journey(dsn, graphs=[graph_of(slow)]) as one:
        execution = await one.start_execution(graph_of(slow), {"x": 2})
        await began.wait()
        async with Journey(dsn, graphs=[graph_of(quick)]) as two:
            worker = one._engine.runner.worker
            await two._engine.submit(execution.id, Release(worker, died=True))
            await two.set_value(execution, "x", 3)
            assert await two.get_value(execution, "y", settled=True) == "from 3"
            before = await two.computations(execution)
            go.set()
            await eventually(lambda: not one._engine.runner._attempts)
            await one.set_value(execution, "w", 1)  # behind the late result, in the same queue
            assert await two.get_value(execution, "y", settled=True) == "from 3"
            assert await two.computations(execution) == before


async def test_a_look_at_an_older_state_stops_no_function(dsn: str) -> None:  # B1
    go = asyncio.Event()

    async def slow(x: int) -> int:
        await go.wait()
        return x

    graph = graph_of(slow)
    async with Journey(dsn, graphs=[graph], grace_period=0) as journey:
        execution = await journey.start_execution(graph)
        # a read that was under way when the computation was begun
        runner = journey._engine.runner
        running = runner.tokens(execution.id)
        before = await journey._engine.current(execution.id)
        await journey.set_value(execution, "x", 1)
        runner.reconcile(before, running)
        go.set()
        assert await journey.get_value(execution, "y", wait_any=True) == 1


async def test_a_wait_never_reports_a_failure_that_is_retried(dsn: str) -> None:  # B24
    async def fails_first(x: int, context: Context) -> int:
        if context.attempt == 1:
            raise ValueError
        return x

    graph = graph_of(fails_first, retry=Retry(max_attempts=2, initial_delay=0))
    async with (
        Journey(dsn, graphs=[graph]) as journey,
        Journey(dsn, run_computations=False) as other,
    ):

        async def round_trip(x: int) -> None:
            execution = await journey.start_execution(graph, {"x": x})
            found = await asyncio.gather(
                journey.get_value(execution, "y", wait_any=True),
                journey.get_value(execution.id, "y", newer_than=0),
                other.get_value(execution, "y", settled=True),
                other.get_value(execution.id, "y", newer_than=1),
            )
            assert set(found) == {x}

        await asyncio.gather(*map(round_trip, range(60)))
