"""Waiting for values: what resolves a wait, what ends it, and what it costs."""

import asyncio
import time
from typing import Any, NoReturn, cast

import asyncpg
import pytest

from journey_async import (
    ComputationFailed,
    Graph,
    Journey,
    NotSetError,
    Retry,
    WaitTimeout,
    all_of,
    compute,
    input_node,
    loop,
    unblocked_when,
    value,
)
from journey_async.client.waits import ValueCheck
from journey_async.core.loops import Continue
from journey_async.engine import listener
from journey_async.errors import DatabaseUnavailable, InvalidOptionError
from tests.support.eventually import eventually
from tests.support.graphs import basic_graph, one_input
from tests.support.outages import unavailable
from tests.support.statements import Statements
from tests.support.waits import waits_in

ONCE = Retry(max_attempts=1)
BACKENDS = """
    SELECT pid, query FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'journey_async'
"""


def breaks(x: int) -> NoReturn:
    raise ValueError(f"no {x}")


async def test_wait_any_gives_what_is_there_at_once_and_else_waits(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input())
        wait = asyncio.create_task(journey.get_value(execution, "x", wait_any=True))
        await eventually(lambda: waits_in(journey) == 1)
        await journey.set_value(execution, "x", "there")
        assert await wait == "there"
        assert await journey.get_value(execution, "x", wait_any=True, timeout=0) == "there"
        assert waits_in(journey) == 0


async def test_wait_new_is_newer_than_the_snapshot_that_was_passed_in(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input(), {"x": 1})
        await journey.set_value(execution, "x", 2)
        assert await journey.get_value(execution, "x", wait_new=True) == 2
        current = await journey.load(execution)
        wait = asyncio.create_task(journey.get_node(current, "x", wait_new=True))
        await eventually(lambda: waits_in(journey) == 1)
        await journey.set_value(execution, "x", 3)
        node = await wait
        assert (node.value, node.revision) == (3, 3)


async def test_wait_new_with_an_id_is_newer_than_at_the_call(dsn: str) -> None:
    async with Journey(dsn) as journey, Journey(dsn, run_computations=False) as other:
        execution = await journey.start_execution(one_input(), {"x": 1})
        await other.load(execution.id)  # and it keeps what it has read
        await journey.set_value(execution, "x", 2)
        wait = asyncio.create_task(other.get_value(execution.id, "x", wait_new=True))
        await eventually(lambda: waits_in(other) == 1)
        with pytest.raises(WaitTimeout):
            await other.get_value(execution.id, "x", wait_new=True, timeout=0.05)
        assert not wait.done()
        await journey.set_value(execution, "x", 3)
        assert await wait == 3


async def test_newer_than_a_revision(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input(), {"x": 1})
        assert await journey.get_value(execution, "x", newer_than=0) == 1
        with pytest.raises(WaitTimeout):
            await journey.get_value(execution, "x", newer_than=1, timeout=0.01)
        wait = asyncio.create_task(journey.get_value(execution, "x", newer_than=2))
        await eventually(lambda: waits_in(journey) == 1)
        await journey.set_value(execution, "x", 2)
        await journey.unset_value(execution, "x")  # revision 3, and nothing is there
        assert not wait.done()
        await journey.set_value(execution, "x", 4)
        assert await wait == 4


@pytest.mark.parametrize("options", [{"wait_any": True}, {"wait_new": True}, {"settled": True}])
async def test_a_timeout_says_that_the_execution_is_archived(
    dsn: str, options: dict[str, Any]
) -> None:
    async with Journey(dsn, run_computations=False) as journey:
        execution = await journey.start_execution(basic_graph(), {"x": 1, "y": 2})
        with pytest.raises(WaitTimeout) as live:
            await journey.get_value(execution, "sum", timeout=0.01, **options)
        assert not live.value.archived
        assert "archived" not in str(live.value)
        waiting = asyncio.create_task(journey.get_value(execution, "sum", **options))
        await eventually(lambda: waits_in(journey) == 1)
        [wait] = journey._engine.waiters._of(execution.id)
        await journey.archive(execution)
        await eventually(lambda: cast(ValueCheck, wait._check).is_archived)
        wait.refuse(TimeoutError())  # as at its deadline
        at_once = journey.get_value(execution, "sum", timeout=0, **options)
        for timed_out in (waiting, at_once):
            with pytest.raises(WaitTimeout, match="it is archived") as raised:
                await timed_out
            assert raised.value.archived


@pytest.mark.parametrize("options", [{"wait_any": True}, {"settled": True}, {"newer_than": 1}])
async def test_a_wait_fails_as_soon_as_the_attempts_are_used_up(dsn: str, options: Any) -> None:
    is_waited_for = asyncio.Event()

    async def breaks_later(x: int) -> NoReturn:
        await is_waited_for.wait()
        breaks(x)

    twice = Retry(max_attempts=2, initial_delay=0.01)
    graph = Graph(
        "failing", "v1", [input_node("x"), compute("y", ["x"], breaks_later, retry=twice)]
    )
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(graph)
        if "settled" in options:
            await journey.set_value(execution, "x", 1)
        wait = asyncio.create_task(journey.get_value(execution, "y", timeout=None, **options))
        await eventually(lambda: waits_in(journey) == 1)
        await journey.set_value(execution, "x", 1)
        is_waited_for.set()
        with pytest.raises(ComputationFailed) as raised:
            await wait
        failed = raised.value
        assert (failed.node, failed.attempts, failed.last_error) == ("y", 2, "ValueError: no 1")
        with pytest.raises(ComputationFailed):
            await journey.get_value(execution, "y", default="no default for a failure", **options)


async def test_a_failure_on_inputs_that_a_client_has_replaced_ends_no_wait(dsn: str) -> None:
    def doubled(x: int) -> int:
        return 2 * x if x > 1 else breaks(x)

    gate = all_of("x", unblocked_when("x", lambda _: True))  # which the client cannot ask
    graph = Graph("g", "v1", [input_node("x"), compute("y", gate, doubled, retry=ONCE)])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        with pytest.raises(ComputationFailed):
            await journey.get_value(execution, "y", wait_any=True)
    async with Journey(dsn) as client:
        await client.set_value(execution.id, "x", 2)
        wait = asyncio.create_task(client.get_value(execution.id, "y", wait_any=True))
        await eventually(lambda: waits_in(client) == 1 or wait.done())
        async with Journey(dsn, graphs=[graph]):
            assert await wait == 4


@pytest.mark.parametrize("closes", ["unsets", "sets"])
async def test_a_failure_on_inputs_that_are_gone_ends_no_wait(dsn: str, closes: str) -> None:
    def doubled(x: int) -> int:
        return 2 * x if x > 2 else breaks(x)

    steps = [compute("y", value("x") > 1, doubled, retry=ONCE), compute("z", ["y"], lambda y: y)]
    graph = Graph("g", "v1", [input_node("x"), *steps])
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(graph, {"x": 2})
        with pytest.raises(ComputationFailed):
            await journey.get_value(execution, "y", wait_any=True)
        if closes == "unsets":
            await journey.unset_value(execution, "x")
        else:
            await journey.set_value(execution, "x", 1)
        for node in ("y", "z"):
            with pytest.raises(NotSetError) as raised:
                await journey.get_value(execution.id, node, settled=True)
            assert not isinstance(raised.value, WaitTimeout)
        wait = asyncio.create_task(journey.get_value(execution.id, "y", wait_any=True))
        await eventually(lambda: waits_in(journey) == 1 or wait.done())
        await journey.set_value(execution, "x", 3)
        assert await wait == 6


async def test_a_loop_that_ends_without_a_value_fails(dsn: str) -> None:
    graph = Graph(
        "loop", "v1", [loop("l", [], lambda: Continue(1), max_iterations=2), input_node("x")]
    )
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(graph)
        with pytest.raises(ComputationFailed) as raised:
            await journey.get_value(execution, "l", wait_any=True)
        assert raised.value.last_error == "max_iterations_reached"
        assert "failed after 2 iterations: max_iterations" in str(raised.value)


async def test_a_wait_ends_at_its_deadline(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input())
        for wanted in ({"wait_any": True}, {"wait_new": True}, {"newer_than": 7}):
            began = time.monotonic()
            with pytest.raises(WaitTimeout) as raised:
                await journey.get_value(execution, "x", timeout=0.1, **wanted)
            assert 0.09 < time.monotonic() - began < 20
            assert isinstance(raised.value, TimeoutError)
            assert isinstance(raised.value, NotSetError)
            assert raised.value.timeout == 0.1
            with pytest.raises(WaitTimeout):
                await journey.get_value(execution, "x", timeout=0, **wanted)
        assert waits_in(journey) == 0


async def test_it_ends_there_while_the_database_unavailable_as_well(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Journey(dsn) as journey, Journey(dsn) as other:
        execution = await other.start_execution(one_input())
        monkeypatch.setattr(journey._engine.store, "load", unavailable)
        for wanted in ({"wait_any": True}, {"wait_new": True}, {"newer_than": 7}):
            began = time.monotonic()
            with pytest.raises(WaitTimeout) as raised:
                await journey.get_value(execution.id, "x", timeout=0.1, **wanted)
            assert time.monotonic() - began < 20
            assert (raised.value.node, raised.value.timeout) == ("x", 0.1)


async def test_a_default_is_given_then_while_the_database_unavailable_as_well(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        Journey(dsn, run_computations=False, patience=60) as journey,
        Journey(dsn, run_computations=False, patience=60) as stranger,
    ):
        execution = await journey.start_execution(one_input())
        for one in (journey, stranger):
            for statement in ("load", "versions"):
                monkeypatch.setattr(one._engine.store, statement, unavailable)
        async with asyncio.timeout(30):
            for known in (execution, execution.id):
                node = await journey.get_node(known, "x", wait_any=True, timeout=0.1, default="d")
                assert (node.name, node.kind, node.value) == ("x", "input", "d")
            given = await stranger.get_value(
                execution.id, "x", wait_any=True, timeout=0.1, default="d"
            )
            assert given == "d"
            with pytest.raises(WaitTimeout):  # of what kind the node is nobody knows
                await stranger.get_node(execution.id, "x", wait_any=True, timeout=0.1, default="d")


async def test_a_default_is_given_in_place_of_an_absent_value(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input())
        assert await journey.get_value(execution, "x", default=None) is None
        assert await journey.get_value(execution, "x", wait_any=True, timeout=0.01, default=3) == 3
        node = await journey.get_node(execution, "x", default="d")
        assert (node.name, node.value, node.is_set) == ("x", "d", False)
        with pytest.raises(InvalidOptionError):
            await journey.get_value(execution, "x", wait_any=True, wait_new=True, default=1)


async def test_a_cancelled_wait_leaves_nothing_behind(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input())
        waits = [
            asyncio.create_task(journey.get_value(execution, "x", wait_any=True)) for _ in range(10)
        ]
        await eventually(lambda: waits_in(journey) == 10)
        for wait in waits[:9]:
            wait.cancel()
        await asyncio.gather(*waits[:9], return_exceptions=True)
        assert waits_in(journey) == 1
        await journey.set_value(execution, "x", 1)
        assert await waits[9] == 1
        assert not journey._engine.waiters.executions


async def test_a_wait_in_another_process_resolves_by_notification(dsn: str) -> None:
    async with (
        Journey(dsn, graphs=[basic_graph()]) as journey,
        Journey(dsn, run_computations=False) as other,
    ):
        execution = await journey.start_execution(basic_graph())
        waits = [
            asyncio.create_task(other.get_value(execution.id, node, wait_any=True))
            for node in ("sum", "large_value_alert", "x")
        ]
        await eventually(lambda: waits_in(other) == 3)
        await journey.set_values(execution, {"x": 40, "y": 2})
        assert await asyncio.gather(*waits) == [42, "🚨", 40]


@pytest.mark.hears("counts statements, and polling takes some")
async def test_a_thousand_parked_waits_cost_no_queries(
    dsn: str, connection: Any, has_pg_stat_statements: bool
) -> None:
    if not has_pg_stat_statements:
        pytest.skip("the server does not have pg_stat_statements")
    await connection.execute("CREATE EXTENSION pg_stat_statements")
    async with Journey(dsn) as journey:
        executions = [await journey.start_execution(one_input()) for _ in range(5)]
        waits = [
            asyncio.create_task(
                journey.get_value(executions[i % 5], "x", wait_any=True, timeout=None)
            )
            for i in range(1000)
        ]
        await eventually(lambda: waits_in(journey) == 1000)
        await journey._engine.rest()  # the first safety check, and the reads of those who wait
        statements = Statements(connection)
        await statements.reset()
        with pytest.raises(TimeoutError):  # a stretch of time in which nothing happens
            async with asyncio.timeout(1.0):
                await waits[0]
        assert await statements.counts() == {}
        for execution in executions:
            await journey.set_value(execution, "x", 1)
        assert await asyncio.gather(*waits[1:]) == [1] * 999


WRITE_UNHEARD = """
    INSERT INTO journey."values" (execution_id, node, kind, value, revision, set_time)
    VALUES ($1, 'x', 'input', '"unheard"', 1, now())
"""


async def listeners(connection: "asyncpg.Connection[asyncpg.Record]") -> set[int]:
    rows = await connection.fetch(BACKENDS)
    return {row["pid"] for row in rows if row["query"].startswith("LISTEN")}


@pytest.mark.hears("cuts the connections that listen")
async def test_a_wait_survives_its_listener(dsn: str, connection: Any) -> None:
    async with Journey(dsn) as journey, Journey(dsn, run_computations=False) as other:
        execution = await journey.start_execution(one_input())
        wait = asyncio.create_task(other.get_value(execution.id, "x", wait_any=True))
        await eventually(lambda: waits_in(other) == 1)
        deaf = await listeners(connection)
        assert len(deaf) == 2
        for pid in deaf:
            await connection.execute("SELECT pg_terminate_backend($1)", pid)
        await journey.set_value(execution, "x", "in the gap")
        assert await wait == "in the gap"

        async def both_listen_again() -> bool:
            return len(await listeners(connection) - deaf) == 2

        await eventually(both_listen_again)
        again = asyncio.create_task(other.get_value(execution.id, "x", newer_than=1))
        await eventually(lambda: waits_in(other) == 1)
        await journey.set_value(execution, "x", "afterwards")
        assert await again == "afterwards"


async def test_a_wait_resolves_though_nobody_told_of_the_write(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "PROBE_INTERVAL", 0.05)
    monkeypatch.setattr(listener, "CHECKED_EVERY", 1)
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input())
        wait = asyncio.create_task(journey.get_value(execution, "x", wait_any=True))
        await eventually(lambda: waits_in(journey) == 1)
        async with connection.transaction():
            await connection.execute(WRITE_UNHEARD, execution.id)
            await connection.execute(
                "UPDATE journey.executions SET version = version + 1, revision = revision + 1"
            )
        assert await wait == "unheard"


async def test_closing_a_journey_ends_its_waits(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input())
        wait = asyncio.create_task(journey.get_value(execution, "x", wait_any=True, timeout=None))
        await eventually(lambda: waits_in(journey) == 1)
    done, _ = await asyncio.wait([wait], timeout=30)
    wait.cancel()
    assert done
    with pytest.raises(DatabaseUnavailable):
        await wait


async def test_who_still_reads_when_a_journey_closes_is_told_at_once(dsn: str) -> None:
    async with Journey(dsn, patience=600) as journey:
        execution = await journey.start_execution(one_input())
        engine = journey._engine
    async with asyncio.timeout(30):
        with pytest.raises(DatabaseUnavailable):
            await engine.current(execution.id)
