"""What the dead leave behind: one odd execution does not stop the undertaker."""

import asyncio
from typing import Any

import pytest

from journey_async import Graph, Journey, input_node
from journey_async.core.values import ComputationKey
from journey_async.engine import liveness, safety_check
from journey_async.errors import DatabaseUnavailable
from journey_async.store.store import OverdueWork
from tests.support.eventually import eventually
from tests.support.workers import DEAD, LOCK, RUNS_FOR, begun, graph_of, hangs, workers_are

pytestmark = pytest.mark.usefixtures("dead_are_forgotten_at_once")


async def test_work_that_cannot_be_released_does_not_stop_the_others(
    dsn: str, connection: Any, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = await begun(dsn, connection, graph_of(hangs, "unknown"))
    fine = await begun(dsn, connection, graph_of(hangs))
    await connection.execute("DELETE FROM journey.graphs WHERE name = 'unknown'")
    await connection.execute(DEAD, True, 1000)
    async with Journey(dsn, graphs=[graph_of(lambda x: x)]) as journey:
        assert await journey.get_value(fine.id, "y", wait_any=True) == 1
        await eventually(lambda: workers_are(connection, 1))
        thread = journey._engine._liveness._thread
        assert thread is not None
        assert thread.is_alive()
        await connection.execute(DEAD, True, 1000)  # and it goes on looking
        await eventually(lambda: workers_are(connection, 1))
    assert any(unknown.id in record.getMessage() for record in caplog.records)


async def test_what_cannot_be_released_yet_is_tried_again_after_a_pause(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution = await begun(dsn, connection, graph_of(hangs))
    async with Journey(dsn, graphs=[graph_of(lambda x: x)], lease=1.0) as journey:
        store, loop = journey._engine.store, asyncio.get_running_loop()
        work_of, tried_at = store.work_of, []

        async def late(workers: list[str]) -> Any:
            tried_at.append(loop.time())
            if len(tried_at) < 4:
                raise DatabaseUnavailable("the database is away")
            return await work_of(workers)

        monkeypatch.setattr(store, "work_of", late)
        await connection.execute(DEAD, True, -1)
        assert await journey.get_value(execution.id, "y", wait_any=True, timeout=30) == 1
    assert tried_at[3] - tried_at[0] > 2 * liveness.LOOK_INTERVAL


async def test_one_safety_check_finds_all_that_was_left_behind(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it asks for a few at a time, and what cannot be released stands before the others."""
    unknown, graph = graph_of(hangs, "unknown"), graph_of(hangs)
    async with Journey(dsn, graphs=[unknown, graph], grace_period=0) as journey:
        executions = [
            await journey.start_execution(g, {"x": 1}) for g in [unknown] * 3 + [graph] * 7
        ]
        for execution in executions:
            await connection.execute(RUNS_FOR, execution.id, "WORKERDEAD")
    await connection.execute("DELETE FROM journey.graphs WHERE name = 'unknown'")
    monkeypatch.setattr(safety_check, "BATCH", 2)
    async with Journey(dsn, graphs=[graph_of(lambda x: x)]) as journey:
        async with asyncio.timeout(safety_check.INTERVAL / 2):
            for execution in executions[3:]:
                assert await journey.get_value(execution.id, "y", wait_any=True) == 1
        await eventually(lambda: journey._engine.safety_check.left_behind == 10)


async def test_what_is_left_behind_does_not_wait_for_rows_that_somebody_holds(
    dsn: str, connection: Any
) -> None:
    graph = graph_of(hangs)
    async with Journey(dsn, graphs=[graph], grace_period=0) as journey:
        executions = [await journey.start_execution(graph, {"x": n}) for n in range(7)]
        for execution in executions:
            await connection.execute(RUNS_FOR, execution.id, "WORKERDEAD")
    *held, free = executions  # the one that is overdue for the shortest time
    async with connection.transaction():
        for execution in held:
            await connection.execute(LOCK, execution.id)
        async with Journey(dsn, graphs=[graph_of(lambda x: x)]) as journey:
            limit = 3 * safety_check.LIMIT  # one after the other they would take twice as long
            assert await journey.get_value(free.id, "y", wait_any=True, timeout=limit) == 6


async def test_an_input_that_left_the_graph_is_refused(dsn: str) -> None:
    old = Graph("g", "v1", [input_node("x"), input_node("z")])
    async with Journey(dsn, graphs=[old]) as one:
        execution = await one.start_execution(old)
        async with Journey(dsn, graphs=[Graph("g", "v1", [input_node("x")])]) as two:
            await two.set_value(execution.id, "x", 1)  # takes on the new definition
            with pytest.raises(LookupError, match="'z'"):
                await one.set_value(execution, "z", 1)
            assert (await one.set_value(execution, "x", 2)).revision == 2


async def test_what_began_anew_after_the_safety_check_had_looked_is_not_given_up(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = asyncio.Event()

    async def waits(x: int) -> int:
        await release.wait()
        return x

    graph = graph_of(waits)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await eventually(lambda: journey._engine.runner.executions == {execution.id})
        [computation] = await journey.computations(execution.id)
        key = ComputationKey("y", computation.number)
        seen = OverdueWork(execution.id, key, 1, "WORKERDEAD", True)  # of a worker that has died

        async def overdue_work(*_: Any) -> list[OverdueWork]:
            return [seen]

        monkeypatch.setattr(journey._engine.store, "overdue_work", overdue_work)
        await journey._engine.safety_check.check()
        release.set()
        assert await journey.get_value(execution.id, "y", wait_any=True) == 1
        assert len(await journey.computations(execution.id)) == 1
