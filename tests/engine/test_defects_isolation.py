"""Faults of the Elixir original by which one bad execution stops the others.

The table is docs/defects-of-the-original.md.
"""

import asyncio
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from journey_async import (
    ComputationFailed,
    Execution,
    Graph,
    Journey,
    JourneyError,
    Retry,
    compute,
    every,
    historian,
    input_node,
    mutate,
    tick_once,
    tick_recurring,
    unblocked_when,
)
from journey_async.core.commands import Release, Wake
from journey_async.core.settle import settling
from journey_async.engine import decider
from journey_async.testing.clock import LeapingClock
from tests.engine.test_defects_time import (
    MINUTE,
    NOON,
    alarm_graph,
    armed,
    left_behind,
    opened,
)
from tests.support.eventually import eventually

ONCE = Retry(max_attempts=1)


@pytest.mark.parametrize(
    "time",
    [
        "tomorrow",
        True,
        -1,
        float("inf"),
        10**18,
        10**5000,
        [1],
        timedelta.max,
        datetime.fromisoformat("2031-05-01"),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
    ],
    ids=lambda time: type(time).__name__,
)
async def test_a_tick_without_a_sensible_time_stops_nothing(dsn: str, time: Any) -> None:  # B14
    clock = LeapingClock(NOON)
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

    clock = LeapingClock(NOON)
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
        return settling(graph, state, command, env)

    monkeypatch.setattr(decider, "settling", spy)
    return found


async def gets(journey: Journey, execution: Execution, node: str, clock: LeapingClock) -> None:
    """Return when a node is set, while time goes on; it is high time."""
    looks = 0

    async def is_set() -> bool:
        nonlocal looks
        looks += 1
        assert looks < 120, f"{node} is not set"
        clock.leap(1)
        return (await journey.load(execution)).values[node].is_set

    await eventually(is_set)


async def test_an_execution_that_cannot_be_decided_stops_no_other(  # B14, B18
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken = wakes_of(monkeypatch, "bad", break_them=True)
    clock = LeapingClock(NOON)
    bad = Graph("bad", "v1", [tick_recurring("t", [], every(MINUTE / 2))])
    async with opened(dsn, clock, bad, alarm_graph(), max_concurrency=1) as journey:
        await journey.start_execution(bad)
        good = await armed(journey)
        clock.leap(30)
        await eventually(lambda: woken)
        clock.leap(30)
        await gets(journey, good, "fired", clock)


async def test_many_that_cannot_be_decided_stop_no_other(  # B14, B18
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken = wakes_of(monkeypatch, "bad", break_them=True)
    clock = LeapingClock(NOON)
    bad = Graph("bad", "v1", [tick_recurring("t", [], every(MINUTE / 2))])
    async with opened(dsn, clock, bad, alarm_graph(), max_concurrency=1) as journey:
        for _ in range(12):
            await journey.start_execution(bad)
        good = await armed(journey)
        clock.leap(30)
        await eventually(lambda: woken)
        clock.leap(30)
        await gets(journey, good, "fired", clock)


@pytest.mark.parametrize("error", [ZeroDivisionError, JourneyError])
async def test_work_that_cannot_be_given_back_stops_no_other(  # B1, B18
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def breaks(graph: Graph, state: Any, command: Any, env: Any) -> Any:
        if graph.name == "bad" and isinstance(command, Release):
            raise error
        return settling(graph, state, command, env)

    monkeypatch.setattr(decider, "settling", breaks)
    clock = LeapingClock(NOON)
    nodes = [input_node("x"), compute("y", ["x"], lambda x: x)]
    bad, good = Graph("bad", "v1", nodes), Graph("good", "v1", nodes)
    async with opened(dsn, clock, run_computations=False) as writer:
        first = await writer.start_execution(bad, {"x": 1})
        execution = await writer.start_execution(good, {"x": 1})
        last = await writer.start_execution(bad, {"x": 1})
    for place, left in enumerate([first, execution, last]):
        await left_behind(connection, left, f"WORKER{place}")
    async with opened(dsn, clock, bad, good) as worker:
        await gets(worker, execution, "y", clock)


async def test_a_history_that_a_mutation_replaced_stops_no_other(  # B14, B18
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken = wakes_of(monkeypatch, "bad")
    clock = LeapingClock(NOON)
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
        await gets(journey, good, "fired", clock)


async def test_removing_a_node_whose_work_was_left_behind_stops_nothing(dsn: str) -> None:  # B17
    clock = LeapingClock(NOON)
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
            await gets(new, good, "fired", clock)
