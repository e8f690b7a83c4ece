"""`max_concurrency`, closing, and who takes what is left."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from journey_async import Graph, Journey, Retry, compute, input_node, tick_once
from journey_async.core.values import ComputationState
from journey_async.engine import scheduler
from journey_async.engine.points import Point
from journey_async.testing.clock import LeapingClock
from journey_async.testing.journey import TestJourney
from tests.support.effort import effort
from tests.support.eventually import eventually

HOUR = timedelta(hours=1)
HOLD = "SELECT FROM journey.executions WHERE id = $1 FOR UPDATE"


class Gauge:
    """A function that tells how many of it run at once, and runs until it is released."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.calls = 0
        self.release = asyncio.Event()

    async def __call__(self, x: int) -> int:
        self.running += 1
        self.calls += 1
        self.most = max(self.most, self.running)
        try:
            await self.release.wait()
            await asyncio.sleep(0)
        finally:
            self.running -= 1
        return x


def graph_of(f: Any, **step: Any) -> Graph:
    return Graph("g", "v1", [input_node("x"), compute("y", ["x"], f, **step)])


async def start(journey: Journey, graph: Graph, number: int) -> list[Any]:
    return await asyncio.gather(*(journey.start_execution(graph, {"x": i}) for i in range(number)))


async def results(journey: Journey, executions: list[Any]) -> list[Any]:
    return await asyncio.gather(*(journey.get_value(e.id, "y", wait_any=True) for e in executions))


async def test_what_others_write_is_no_more_work_because_much_runs_here(dsn: str) -> None:
    gauge = Gauge()
    graph = graph_of(gauge)
    async with Journey(dsn, graphs=[graph], max_concurrency=200) as journey:

        def hear() -> None:
            journey._engine._refresher.changed({f"E{n}": 1 for n in range(100)})

        await start(journey, graph, 2)
        await eventually(lambda: gauge.running == 2)
        before = effort(hear)
        executions = await start(journey, graph, 198)
        await eventually(lambda: gauge.running == 200)
        assert effort(hear) < 2 * before
        gauge.release.set()
        await results(journey, executions)


async def test_whose_code_is_here_is_known_at_once_where_many_graphs_are_registered(
    dsn: str,
) -> None:
    graphs = [Graph(f"g{n}", "v1", [input_node(f"x{n}")]) for n in range(40)]
    async with Journey(dsn, graphs=graphs[:1]) as journey:
        known = journey._engine.registry.has_code
        assert known(graphs[0].hash[:8])
        assert not known(graphs[39].hash[:8])
        before = effort(lambda: known("none"))
        await journey.register(*graphs)
        assert known(graphs[39].hash[:8])
        assert effort(lambda: known("none")) == before


async def test_no_more_functions_run_at_once_than_allowed(dsn: str) -> None:
    gauge = Gauge()
    graph = graph_of(gauge)
    async with Journey(dsn, graphs=[graph], max_concurrency=3) as journey:
        executions = await start(journey, graph, 20)
        states = [e.computations[0].state for e in executions]
        assert states.count(ComputationState.COMPUTING) == 3
        await eventually(lambda: gauge.running == 3)
        gauge.release.set()
        assert await results(journey, executions) == list(range(20))
        assert (gauge.most, gauge.calls) == (3, 20)
        await eventually(lambda: journey._engine.runner.free == 3)
        assert journey._engine.safety_check.left_behind == 0


async def test_the_steps_of_one_execution_share_the_places(dsn: str) -> None:
    gauge = Gauge()
    steps = [compute(f"y{i}", ["x"], gauge) for i in range(7)]
    graph = Graph("g", "v1", [input_node("x"), *steps])
    async with Journey(dsn, graphs=[graph], max_concurrency=2) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        gauge.release.set()
        for step in steps:
            assert await journey.get_value(execution, step.name, wait_any=True) == 1
        assert (gauge.most, gauge.calls) == (2, 7)


async def test_another_journey_takes_the_surplus(dsn: str) -> None:
    mine, others = Gauge(), Gauge()
    others.release.set()
    graph, same_graph = graph_of(mine), graph_of(others)
    async with (
        Journey(dsn, graphs=[graph], max_concurrency=1) as journey,
        Journey(dsn, graphs=[same_graph], max_concurrency=2) as other,
    ):
        executions = await start(journey, graph, 10)
        assert await results(other, executions[1:]) == list(range(1, 10))
        assert (mine.calls, others.calls) == (1, 9)
        mine.release.set()
        assert await results(journey, executions) == list(range(10))
        assert (mine.calls, others.most) == (1, 2)


async def test_a_thread_holds_its_place_until_it_returns(dsn: str) -> None:
    release = threading.Event()
    calls: list[int] = []

    def slow(x: int) -> int:
        calls.append(x)
        if x == 0:
            release.wait(30)
        return x

    graph = graph_of(slow, retry=Retry(max_attempts=1))
    async with Journey(dsn, graphs=[graph], max_concurrency=1) as journey:
        first = await journey.start_execution(graph, {"x": 0})
        second = await journey.start_execution(graph, {"x": 1})
        await eventually(lambda: calls == [0])
        abandoned = await journey.abandon_computation(first.computations[0].id)
        assert abandoned.state is ComputationState.ABANDONED
        assert journey._engine.runner.free == 0
        [waiting] = await journey.computations(second)
        assert waiting.state is ComputationState.AVAILABLE
        assert calls == [0]
        release.set()
        assert await journey.get_value(second, "y", wait_any=True) == 1


async def test_what_was_left_behind_is_taken_up_at_the_start(dsn: str) -> None:
    gauge = Gauge()
    gauge.release.set()
    graph = graph_of(gauge)
    async with Journey(dsn, run_computations=False) as client:
        executions = await start(client, graph, 30)
        async with Journey(dsn, graphs=[graph], max_concurrency=4) as worker:
            assert await results(worker, executions) == list(range(30))
        assert gauge.most <= 4


async def test_no_more_are_woken_than_there_are_places(dsn: str) -> None:
    gauge = Gauge()
    graph = graph_of(gauge)
    async with Journey(dsn, graphs=[graph], run_computations=False) as client:
        executions = await start(client, graph, 20)
        async with TestJourney(dsn, graphs=[graph], max_concurrency=2) as worker:
            await eventually(lambda: gauge.running == 2 and worker._engine.scheduler.is_at_rest)
            assert worker._points.reached[Point.BEFORE_WAKE] == 2
            gauge.release.set()
            assert await results(client, executions) == list(range(20))


class Steps:
    """A graph of many steps that take so many seconds, and count their calls."""

    def __init__(self, number: int, seconds: float) -> None:
        self.calls = 0
        self._seconds = seconds
        steps = [compute(f"s{n}", ["x"], self._step) for n in range(number)]
        self.graph = Graph("large", "v1", [input_node("x"), *steps])

    async def _step(self) -> int:
        self.calls += 1
        await asyncio.sleep(self._seconds)
        return 1


@pytest.mark.parametrize(
    "number, places, seconds",
    [(1, 1, 0), (1, 1, 0.003), (1, 3, 0.01), (12, 2, 0.01)],  # of 12 not all are looked at at once
)
async def test_who_has_much_to_do_keeps_nobody_else_out(
    dsn: str, number: int, places: int, seconds: float
) -> None:
    large, small = Steps(400, seconds), graph_of(lambda x: x)
    graphs = [large.graph, small]
    async with Journey(dsn, graphs=graphs, max_concurrency=places, grace_period=0) as journey:
        await start(journey, large.graph, number)
        await eventually(lambda: large.calls > 5)
        executions = await start(journey, small, 3)
        assert await results(journey, executions) == [0, 1, 2]
        assert large.calls < 350 * number


async def test_nor_do_many_who_come_one_after_the_other(dsn: str) -> None:
    large, done = Steps(20, 0.02), asyncio.Event()

    async def moment(x: int) -> int:
        await asyncio.sleep(0.02)
        return x

    small = graph_of(moment)
    async with Journey(dsn, graphs=[large.graph, small], max_concurrency=1) as journey:

        async def comes_again_and_again() -> None:
            while not done.is_set():
                await results(journey, await start(journey, small, 1))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(4):
                tasks.create_task(comes_again_and_again())
            [execution] = await start(journey, large.graph, 1)
            for step in large.graph.steps:
                assert await journey.get_value(execution, step, wait_any=True) == 1
            done.set()


async def test_what_is_due_and_needs_no_place_is_woken_together(dsn: str) -> None:
    clock = LeapingClock(datetime(2026, 1, 1, tzinfo=UTC))
    ticks = Graph("ticks", "v1", [input_node("x"), tick_once("t", ["x"], lambda: HOUR)])
    async with TestJourney(dsn, graphs=[ticks], max_concurrency=1, clock=clock) as journey:
        executions = await start(journey, ticks, 40)
        gone_by = journey._points.reached
        await asyncio.gather(*(journey.get_value(e, "t", wait_any=True) for e in executions))
        await journey._engine.rest()
        before = gone_by[Point.BEFORE_COMMIT]
        clock.leap(HOUR.total_seconds())
        await journey._engine.rest()
        assert 0 < gone_by[Point.BEFORE_COMMIT] - before < 20


async def test_rows_that_others_hold_do_not_hold_up_each_other_where_there_is_one_place(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "UNMOVED_PAUSE", 3.0)
    graph = graph_of(lambda x: x)
    async with Journey(dsn, graphs=[graph], run_computations=False) as client:
        *held, free = [await client.start_execution(graph, {"x": n}) for n in range(10)]
        async with connection.transaction():
            for execution in held:
                await connection.execute(HOLD, execution.id)
            async with Journey(dsn, graphs=[graph], max_concurrency=1):
                limit = 6 * scheduler.UNMOVED_PAUSE  # one after the other they would take nine
                assert await client.get_value(free, "y", wait_any=True, timeout=limit) == 9


async def test_a_graph_that_is_registered_later_is_taken_up_then(dsn: str) -> None:
    gauge = Gauge()
    gauge.release.set()
    graph = graph_of(gauge)
    async with Journey(dsn, run_computations=False) as client, Journey(dsn) as worker:
        [execution] = await start(client, graph, 1)
        await worker.register(graph)
        assert await client.get_value(execution, "y", wait_any=True) == 0


async def test_closing_lets_functions_end_within_the_grace_period(dsn: str) -> None:
    gauge = Gauge()
    graph = graph_of(gauge)
    async with Journey(dsn, graphs=[graph], grace_period=30) as journey:
        [execution] = await start(journey, graph, 1)
        await eventually(lambda: gauge.running == 1)
        asyncio.get_running_loop().call_later(0.05, gauge.release.set)
    async with Journey(dsn, run_computations=False) as reader:
        assert await reader.get_value(execution, "y") == 0
        [computation] = await reader.computations(execution)
        assert (computation.attempt, computation.deaths) == (1, 0)


async def test_what_does_not_end_in_time_is_released_and_computed_elsewhere(dsn: str) -> None:
    mine, others = Gauge(), Gauge()
    others.release.set()
    graph, same_graph = graph_of(mine), graph_of(others)
    async with Journey(dsn, graphs=[graph], grace_period=0) as journey:
        executions = await start(journey, graph, 3)
        await eventually(lambda: mine.running == 3)
        async with Journey(dsn, graphs=[same_graph]) as other:
            await journey.close()
            assert mine.running == 0
            assert await results(other, executions) == [0, 1, 2]
            for execution in executions:
                [computation] = await other.computations(execution.id)
                assert (computation.attempt, computation.deaths) == (1, 0)
            assert other._engine.safety_check.left_behind == 0


async def test_a_closing_journey_begins_nothing_new(dsn: str, connection: Any) -> None:
    gauge = Gauge()
    graph = Graph(
        "g",
        "v1",
        [input_node("x"), compute("y", ["x"], gauge), compute("z", ["y"], lambda y: y)],
    )
    async with Journey(dsn, graphs=[graph], grace_period=30) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await eventually(lambda: gauge.running == 1)
        closing = asyncio.create_task(journey.close())
        await eventually(lambda: journey._opened is None or journey._opened.runner.free == 0)
        gauge.release.set()
        await closing
    rows = await connection.fetch("SELECT node, state FROM journey.computations ORDER BY node")
    assert [tuple(row) for row in rows] == [("y", "success"), ("z", "available")]
    assert await connection.fetchval("SELECT count(*) FROM journey.workers") == 0
    async with Journey(dsn, graphs=[graph]) as other:
        assert await other.get_value(execution.id, "z", wait_any=True) == 1


async def test_what_was_being_begun_when_a_journey_closes_may_end_as_well(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = graph_of(lambda x: x)
    async with Journey(dsn, graphs=[graph], grace_period=30) as journey:
        apply, written, go_on = journey._engine.store.apply, asyncio.Event(), asyncio.Event()

        async def applied(*changes: Any, **options: Any) -> set[str]:
            result = await apply(*changes, **options)
            written.set()
            await go_on.wait()  # begun in the database, and nobody here knows it yet
            return result

        monkeypatch.setattr(type(journey._engine.store), "apply", staticmethod(applied))
        starting = asyncio.create_task(journey.start_execution(graph, {"x": 1}))
        await written.wait()
        runner = journey._engine.runner
        closing = asyncio.create_task(journey.close())
        await eventually(lambda: runner.free == 0)
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        await asyncio.gather(starting, closing)
    assert await connection.fetchval("SELECT state FROM journey.computations") == "success"


@pytest.mark.direct("counts connections of its own")
async def test_closing_leaves_nothing_behind(dsn: str, connection: Any) -> None:
    before = asyncio.all_tasks()
    threads = set(threading.enumerate())
    gauge = Gauge()
    gauge.release.set()
    graph = graph_of(gauge)
    async with Journey(dsn, graphs=[graph]) as journey:
        await results(journey, await start(journey, graph, 5))
    assert asyncio.all_tasks() == before
    left = [t for t in set(threading.enumerate()) - threads if "liveness" in t.name]
    assert left == []

    async def connections() -> int:
        query = (
            "SELECT count(*)::int FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(await connection.fetchval(query))

    async def none_is_left() -> bool:
        return await connections() == 0

    await eventually(none_is_left)


@pytest.mark.parametrize("cancelled_after", [0, 1, 5])
async def test_a_cancelled_close_is_carried_through(dsn: str, cancelled_after: int) -> None:
    before = asyncio.all_tasks()
    gauge = Gauge()
    graph = graph_of(gauge)
    journey = Journey(dsn, graphs=[graph], grace_period=0)
    await journey.__aenter__()
    await start(journey, graph, 2)
    closing = asyncio.create_task(journey.close())
    for _ in range(cancelled_after + 1):
        await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert asyncio.all_tasks() == before


async def test_whoever_closes_it_goes_on_once_it_is_closed(dsn: str) -> None:
    gauge = Gauge()
    graph = graph_of(gauge)
    ended: list[bool] = []

    async def close(journey: Journey) -> None:
        await journey.close()
        ended.append(gauge.release.is_set())

    async with Journey(dsn, graphs=[graph], grace_period=30) as journey:
        [execution] = await start(journey, graph, 1)
        await eventually(lambda: gauge.running == 1)
        closing = [asyncio.create_task(close(journey)) for _ in range(2)]
        leaving = asyncio.create_task(journey.__aexit__(None, None, None))
        for _ in range(3):  # meanwhile it can be used
            assert (await journey.load(execution)).id == execution.id
        assert not any(task.done() for task in [*closing, leaving])
        gauge.release.set()
        await asyncio.gather(*closing, leaving)
    assert ended == [True, True]
    async with journey:  # once it is closed it can be opened anew
        assert (await journey.load(execution)).id == execution.id


async def test_an_attempt_that_is_stopped_before_it_begins_leaves_its_place(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    async def counts(x: int) -> int:
        nonlocal calls
        calls += 1
        return x

    graph = graph_of(counts)
    async with Journey(dsn, graphs=[graph], max_concurrency=2) as journey:
        await journey._engine.rest()  # the first safety check would take it up again
        runner = journey._engine.runner
        start = runner.start

        def taken_for_dead_meanwhile(*begun: Any) -> None:
            start(*begun)
            runner.become("WORKER2")

        with monkeypatch.context() as patch:
            patch.setattr(runner, "start", taken_for_dead_meanwhile)
            await journey.start_execution(graph, {"x": 1})
        await eventually(lambda: runner.free == 2, limit=5)
        assert (calls, runner.attempts()) == (0, [])


@pytest.mark.parametrize("places", [1, 2])
async def test_who_finds_no_place_is_not_taken_for_stuck(
    dsn: str, monkeypatch: pytest.MonkeyPatch, places: int
) -> None:
    """It is looked at again when a place is free, not after the pause for what does not move."""
    monkeypatch.setattr(scheduler, "UNMOVED_PAUSE", 3600.0)
    graph = Graph(
        "g",
        "v1",
        [input_node("x"), compute("y", ["x"], lambda x: x), compute("z", ["y"], lambda y: y)],
    )
    async with Journey(dsn, graphs=[graph], max_concurrency=places) as journey:
        starts = [journey.start_execution(graph, {"x": number}) for number in range(20)]
        executions = await asyncio.gather(*starts)
        async with asyncio.timeout(60):
            waits = [journey.get_value(e, "z", wait_any=True) for e in executions]
            assert await asyncio.gather(*waits) == list(range(20))
