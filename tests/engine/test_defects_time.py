"""Faults of the Elixir original that show as time passes; docs/defects-of-the-original.md."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from journey_async import (
    ComputationFailed,
    Context,
    Execution,
    Graph,
    Journey,
    Retry,
    archive,
    compute,
    every,
    historian,
    input_node,
    mutate,
    tick_once,
    tick_recurring,
    unblocked_when,
)
from journey_async.core.commands import Wake
from journey_async.core.settle import settle
from journey_async.engine import committer
from tests.support.eventually import eventually

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
AT_ONCE = Retry(max_attempts=3, initial_delay=0)
ONCE = Retry(max_attempts=1)
LONG = 1e8  # seconds of a lease: here time passes in leaps, and nobody dies of it


class Alarm:
    """One call that was asked for."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None

    def ring(self) -> None:
        callback, self.callback = self.callback, None
        if callback is not None:
            callback()


class LeapingClock:
    """Time stands still but for `leap`, which rings what came due on the way, in order."""

    def __init__(self) -> None:
        self._now = NOON
        self._alarms: list[tuple[datetime, int, Alarm]] = []
        self._places = itertools.count()

    def now(self) -> datetime:
        return self._now

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Alarm:
        alarm = Alarm(callback)
        if when <= self._now:
            asyncio.get_running_loop().call_soon(alarm.ring)
        else:
            heapq.heappush(self._alarms, (when, next(self._places), alarm))
        return alarm

    def leap(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        while self._alarms and self._alarms[0][0] <= self._now:
            heapq.heappop(self._alarms)[2].ring()


def opened(dsn: str, clock: LeapingClock, *graphs: Graph, **options: Any) -> Journey:
    options = {"grace_period": 0, "lease": LONG} | options
    return Journey(dsn, graphs=graphs, clock=clock, **options)


def alarm_graph(name: str = "alarm") -> Graph:
    """`fired` is set a minute after the start."""
    nodes = [tick_once("t", [], lambda: MINUTE), compute("fired", ["t"], lambda: "fired")]
    return Graph(name, "v1", nodes)


async def armed(journey: Journey) -> Execution:
    """An execution of which an alarm waits."""
    execution = await journey.start_execution(alarm_graph())
    await journey.get_value(execution, "t", wait_any=True)
    return execution


# --- deadlines --------------------------------------------------------------------------------


async def test_an_attempt_past_its_deadline_is_retried_not_lost(dsn: str) -> None:  # B1, B54
    clock = LeapingClock()
    contexts: list[Context] = []
    cancelled: list[int] = []

    async def hangs_once(x: int, context: Context) -> int:
        contexts.append(context)
        if context.attempt == 1:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.append(context.attempt)
        return x

    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], hangs_once, retry=AT_ONCE)])
    async with opened(dsn, clock, graph) as journey:
        execution = await journey.start_execution(graph, {"x": 7})
        await eventually(lambda: contexts)
        clock.leap(60)
        assert await journey.get_value(execution, "y", wait_any=True) == 7
        states = [c.state.value for c in await journey.computations(execution)]
        assert states == ["abandoned", "success"]
        assert cancelled == [1]
        assert len({c.idempotency_key for c in contexts}) == 1


async def test_timeouts_end_the_attempts_and_a_new_input_begins_anew(dsn: str) -> None:  # B4, B7
    clock = LeapingClock()
    calls: list[int] = []

    async def hangs_below_five(x: int) -> int:
        calls.append(x)
        if x < 5:
            await asyncio.Event().wait()
        return x

    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], hangs_below_five, retry=ONCE)])
    async with opened(dsn, clock, graph) as journey:
        execution = await journey.start_execution(graph)
        for x in (1, 5, 2, 6):
            await journey.set_value(execution, "x", x)
            await eventually(lambda x=x: calls[-1:] == [x])  # type: ignore[misc]
            if x < 5:
                clock.leap(60)
                with pytest.raises(ComputationFailed):  # B15: a timeout is told as well
                    await journey.get_value(execution, "y", newer_than=1000)
                clock.leap(1000)
            else:
                assert await journey.get_value(execution, "y", settled=True) == x
        assert calls == [1, 5, 2, 6]


async def test_work_of_a_process_that_is_gone_is_taken_up_at_the_start(  # B1
    dsn: str, connection: Any
) -> None:
    clock = LeapingClock()
    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], lambda x: x, retry=ONCE)])
    async with opened(dsn, clock, run_computations=False) as writer:
        execution = await writer.start_execution(graph, {"x": 7})
    await connection.execute(
        """
        UPDATE journey.computations
        SET state = 'computing', worker = 'WORKERgone', token = 1, due_at = NULL, started_at = $1,
            deadline = $1
        """,
        NOON,
    )
    await connection.execute("UPDATE journey.executions SET version = version + 1, wake_at = NULL")
    for leap in (0, 3):  # before the deadline counts, and after it the attempt would be used up
        clock.leap(leap)
    async with opened(dsn, clock, graph) as worker:
        assert await worker.get_value(execution, "y", wait_any=True) == 7


# --- ticks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("outage", [61, 3600, 8 * 86_400, 400 * 86_400])
async def test_a_tick_that_came_due_during_an_outage_fires_at_the_start(  # B36
    dsn: str, outage: float
) -> None:
    clock = LeapingClock()
    async with opened(dsn, clock, alarm_graph()) as journey:
        execution = await armed(journey)
    clock.leap(outage)
    async with opened(dsn, clock, alarm_graph()) as journey:
        assert await journey.get_value(execution, "fired", wait_any=True) == "fired"


async def test_more_executions_than_a_batch_holds_all_wake(dsn: str) -> None:  # B19
    clock = LeapingClock()
    graph = Graph("g", "v1", [tick_recurring("t", [], every(MINUTE)), compute("n", ["t"], lambda: 1)])
    async with opened(dsn, clock, graph) as journey:
        executions = await asyncio.gather(*(journey.start_execution(graph) for _ in range(250)))
    clock.leap(60)
    async with opened(dsn, clock, graph, max_concurrency=7) as journey:
        found = await asyncio.gather(
            *(journey.get_value(execution, "n", wait_any=True) for execution in executions)
        )
        assert found == [1] * 250


async def test_a_recurring_tick_runs_once_for_each_firing_in_two_processes(  # B22, B41
    dsn: str,
) -> None:
    clock = LeapingClock()
    calls = {"t": 0, "n": 0}

    def counted(node: str, result: Any) -> Any:
        calls[node] += 1
        return result

    graph = Graph(
        "g",
        "v1",
        [
            tick_recurring("t", [], lambda: counted("t", MINUTE)),
            compute("n", ["t"], lambda values: counted("n", values["t"])),
        ],
    )
    async with opened(dsn, clock, graph) as one, opened(dsn, clock, graph) as two:
        execution = await one.start_execution(graph)
        for firing in range(1, 11):
            planned = await two.get_value(execution, "t", settled=True)
            assert planned == int(NOON.timestamp()) + 60 * firing
            clock.leap(60)
            node = await two.get_node(execution, "n", newer_than=4 * (firing - 1))
            assert await two.get_value(execution, "n", settled=True) is not None
            assert node.is_set
        assert calls == {"t": 11, "n": 10}


async def test_an_execution_idle_for_a_day_is_archived(dsn: str) -> None:  # B35
    clock = LeapingClock()
    graph = Graph(
        "g",
        "v1",
        [
            input_node("x"),
            tick_once("idle", ["last_updated_at"], lambda: timedelta(days=1)),
            archive("end", ["idle"]),
        ],
    )
    async with opened(dsn, clock, graph) as journey:
        execution = await journey.start_execution(graph)
        first = await journey.get_node(execution, "idle", wait_any=True)
        clock.leap(86_399)
        await journey.set_value(execution, "x", 1)
        await journey.get_node(execution, "idle", newer_than=first.revision)
        clock.leap(86_399)
        assert (await journey.load(execution)).archived_at is None
        clock.leap(1)
        assert await journey.get_value(execution, "end", wait_any=True) == clock.now().timestamp()


# --- one bad execution, and all the others ----------------------------------------------------


@pytest.mark.parametrize("time", ["tomorrow", True, -1, float("inf"), 10**18, [1]], ids=str)
async def test_a_tick_without_a_sensible_time_stops_nothing(dsn: str, time: Any) -> None:  # B14
    clock = LeapingClock()
    bad = Graph(
        "bad",
        "v1",
        [input_node("x"), tick_once("t", ["x"], lambda: time, retry=ONCE)],
    )
    async with opened(dsn, clock, bad, alarm_graph()) as journey:
        execution = await journey.start_execution(bad, {"x": 1})
        with pytest.raises(ComputationFailed):
            await journey.get_value(execution, "t", wait_any=True)
        good = await armed(journey)
        clock.leap(60)
        assert await journey.get_value(good, "fired", wait_any=True) == "fired"
        assert (await journey.set_value(execution, "x", 2)).values["x"].value == 2


async def test_a_predicate_that_raises_stops_nothing(dsn: str) -> None:  # B18
    def breaks(_: object) -> bool:
        raise ZeroDivisionError

    clock = LeapingClock()
    nodes = [tick_recurring("t", [], every(MINUTE)), input_node("x")]
    bad = Graph("bad", "v1", [*nodes, compute("y", unblocked_when("t", breaks), lambda: 1)])
    async with opened(dsn, clock, bad, alarm_graph()) as journey:
        execution = await journey.start_execution(bad)
        good = await armed(journey)
        clock.leap(60)
        assert await journey.get_value(good, "fired", wait_any=True) == "fired"
        assert (await journey.set_value(execution, "x", 2)).values["x"].value == 2
        assert not (await journey.load(execution)).values["y"].is_set


def wakes_of(monkeypatch: pytest.MonkeyPatch, name: str, *, break_them: bool = False) -> list[Any]:
    """The wakes of a graph's executions that were decided on, or broken."""
    found: list[Any] = []

    def spy(graph: Graph, state: Any, command: Any, env: Any) -> Any:
        if graph.name == name and isinstance(command, Wake):
            found.append(state)
            if break_them:
                raise ZeroDivisionError
        return settle(graph, state, command, env)

    monkeypatch.setattr(committer, "settle", spy)
    return found


async def fires(journey: Journey, execution: Execution, clock: LeapingClock) -> None:
    """Return when an alarm has gone off while time goes on; it is high time."""

    async def has_fired() -> bool:
        clock.leap(1)
        return (await journey.load(execution)).values["fired"].is_set

    await eventually(has_fired, limit=2)


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="engine/scheduler.py: whatever but a JourneyError ends the task that wakes executions; "
    "and what cannot be moved on stays first in a look that is limited",
)
@pytest.mark.parametrize("number", [1, 12])
async def test_executions_that_cannot_be_decided_stop_no_other(  # B14, B18
    dsn: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    woken = wakes_of(monkeypatch, "bad", break_them=True)
    clock = LeapingClock()
    bad = Graph("bad", "v1", [tick_recurring("t", [], every(MINUTE / 2))])
    async with opened(dsn, clock, bad, alarm_graph(), max_concurrency=1) as journey:
        for _ in range(number):
            await journey.start_execution(bad)
        good = await armed(journey)
        clock.leap(30)
        await eventually(lambda: woken)
        clock.leap(30)
        await fires(journey, good, clock)


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="core/built_in.py: list(5) is a TypeError, which ends the scheduler",
)
async def test_a_history_that_a_mutation_replaced_stops_no_other(  # B14, B18
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken = wakes_of(monkeypatch, "bad")
    clock = LeapingClock()
    bad = Graph(
        "bad",
        "v1",
        [
            tick_recurring("t", [], every(MINUTE / 2)),
            historian("h", ["t"]),
            mutate("m", [], lambda: 5, mutates="h"),
        ],
    )
    async with opened(dsn, clock, bad, alarm_graph()) as journey:
        execution = await journey.start_execution(bad)
        await journey.get_value(execution, "m", wait_any=True)
        good = await armed(journey)
        clock.leap(30)
        await eventually(lambda: woken)
        clock.leap(30)
        await fires(journey, good, clock)


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="core/events.py: release makes work of a removed node available; for ever due, a dozen "
    "such executions fill the scheduler's look at what comes first",
)
async def test_removing_a_node_whose_work_was_left_behind_stops_nothing(dsn: str) -> None:  # B17
    clock = LeapingClock()
    running: list[int] = []

    async def hangs(x: int) -> None:
        running.append(x)
        await asyncio.Event().wait()

    before = Graph("g", "v1", [input_node("x"), compute("y", ["x"], hangs)])
    after = Graph("g", "v1", [input_node("x")])
    async with opened(dsn, clock, before) as old:
        executions = [await old.start_execution(before, {"x": x}) for x in range(12)]
        await eventually(lambda: len(running) == 12)
        async with opened(dsn, clock, after, alarm_graph(), max_concurrency=1) as new:
            for execution in executions:
                await new.set_value(execution, "x", 100)
            good = await armed(new)
            await old.close()  # it gives back what runs, of a node that is gone
            clock.leap(60)
            await fires(new, good, clock)
