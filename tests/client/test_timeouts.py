"""A wait that has ended in vain says what keeps the value, as far as this process knows."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from journey_async import (
    Continue,
    Graph,
    Journey,
    Retry,
    all_of,
    any_of,
    compute,
    input_node,
    loop,
    provided,
    tick_once,
    value,
)
from journey_async.client.texts import stamp
from journey_async.errors import ComputationFailed, WaitTimeout
from journey_async.testing import TestClock, TestJourney
from tests.support.eventually import eventually


async def fails(x: int) -> int:
    raise ValueError(f"{x} is no good")


def graph_of(*more: Any) -> Graph:
    return Graph("orders", "v1", [input_node("x"), input_node("y"), *more])


async def said(journey: Journey, execution: Any, node: str, **wait: Any) -> str:
    """What the error says after the colon."""
    with pytest.raises(WaitTimeout) as raised:
        await journey.get_value(execution, node, **wait or {"wait_any": True}, timeout=0.05)
    return str(raised.value).partition("seconds: ")[2]


async def test_inputs_that_nobody_has_set(dsn: str) -> None:
    steps = (
        compute("sum", ["x", "y"], lambda x, y: x + y),
        compute("alert", value("sum") > 40, lambda: "!"),
    )
    graph = graph_of(*steps)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        assert await said(journey, execution, "y") == "nobody has set 'y'"
        assert await said(journey, execution, "x", wait_new=True) == "nobody has set 'x' anew"
        assert await said(journey, execution, "sum") == (
            "'sum' waits for provided(y); nobody has set 'y'"
        )
        assert await said(journey, execution, "alert") == (
            "'alert' waits for sum > 40; 'sum' waits for provided(y); nobody has set 'y'"
        )
        await journey.set_value(execution, "y", 2)
        assert await journey.get_value(execution, "sum", wait_any=True) == 3
        assert await said(journey, execution, "alert") == "'alert' waits for sum > 40"
        seen = await journey.load(execution)
        assert await said(journey, seen, "sum", wait_new=True) == "nothing has changed for 'sum'"


async def test_a_gate_that_several_things_open_is_told_whole(dsn: str) -> None:
    graph = graph_of(compute("z", (value("x") > 1) | (value("y") > 2), lambda: 1))
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1, "y": 1})
        assert await said(journey, execution, "z") == "'z' waits for (x > 1) | (y > 2)"


async def test_of_a_gate_with_conditions_of_all_kinds_those_are_told_that_do_not_hold(
    dsn: str,
) -> None:
    gate = all_of("x", ~provided("y"), any_of(value("x") > 5, value("y") > 2))
    graph = graph_of(compute("z", gate, lambda: 1))
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        waits = "'z' waits for (x > 5) | (y > 2); nobody has set 'y'"
        assert await said(journey, execution, "z") == waits
        await journey.set_values(execution, {"x": 9, "y": 1})
        assert await said(journey, execution, "z") == "'z' waits for ~provided(y)"


async def test_the_time_of_a_tick_that_lies_ahead(dsn: str) -> None:
    graph = graph_of(
        tick_once("due", ["x"], lambda: timedelta(days=3)),
        compute("reminder", all_of("x", "due", ~provided("y")), lambda x: x),
    )
    clock = TestClock()
    async with TestJourney(dsn, graphs=[graph], clock=clock) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        due = await journey.get_value(execution, "due", wait_any=True)
        comes = f"the time of 'due' comes at {stamp(datetime.fromtimestamp(due, UTC))}"
        waits = f"'reminder' waits for provided(due); {comes}"
        assert await said(journey, execution, "reminder") == waits
        now = await journey.load(execution)
        assert await said(journey, now, "due", wait_new=True) == comes


async def test_of_a_long_way_the_beginning_is_told(dsn: str) -> None:
    chain = [compute(f"n{n}", [f"n{n - 1}" if n else "x"], lambda: 1) for n in range(100)]
    graph = graph_of(*chain)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        assert await said(journey, execution, "n99") == (
            "'n99' waits for provided(n98); 'n98' waits for provided(n97); "
            "'n97' waits for provided(n96); …"
        )


async def test_nobody_who_computes(dsn: str) -> None:
    graph = graph_of(compute("z", ["x"], lambda x: x), compute("last", ["z"], lambda z: z))
    async with Journey(dsn, graphs=[graph], run_computations=False) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        idle = "'z' waits for a worker that has the code of graph 'orders' version 'v1' and is free"
        assert await said(journey, execution, "z") == idle
        assert await said(journey, execution, "last") == f"'last' waits for provided(z); {idle}"


async def test_what_runs_what_is_tried_again_and_what_has_failed(dsn: str) -> None:
    ends = asyncio.Event()

    async def runs(x: int) -> int:
        await ends.wait()
        return x

    graph = graph_of(
        compute("long", ["x"], runs),
        compute("again", ["x"], fails, retry=Retry(max_attempts=2, initial_delay=60, jitter=False)),
        compute("failed", ["x"], fails, retry=Retry(max_attempts=1)),
        compute("last", ["failed"], lambda failed: failed),
    )
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        assert await said(journey, execution, "long") == "'long' is being computed"
        with pytest.raises(ComputationFailed):
            await journey.get_value(execution, "failed", wait_any=True)
        assert (await said(journey, execution, "last")) == (
            "'last' waits for provided(failed); 'failed' has failed: ValueError: 1 is no good"
        )

        async def is_put_off() -> bool:
            return len(await journey.computations(execution, "again")) == 2

        await eventually(is_put_off)
        assert (await said(journey, execution, "again")).startswith("'again' is to be computed at ")
        seen = await journey.load(execution)
        waits = {"wait_new": True}
        assert (
            await said(journey, seen, "last_updated_at", **waits)
            == "'last_updated_at' is as it was"
        )
        ends.set()


async def test_what_has_a_value_follows_what_runs_upstream_or_has_failed(dsn: str) -> None:
    ends = asyncio.Event()

    async def at_first(x: int) -> int:
        if x == 2:
            await ends.wait()
        return x

    graph = graph_of(
        compute("a", ["x"], at_first),
        compute("s", ["a"], lambda a: a),
        loop("l", ["y"], lambda: Continue(1), max_iterations=1),
        compute("after", ["l"], lambda l: l),  # noqa: E741
    )
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1, "y": 1})
        assert await journey.get_value(execution, "s", wait_any=True) == 1
        await journey.set_value(execution, "x", 2)
        assert await said(journey, execution, "s", settled=True) == (
            "'s' follows 'a'; 'a' is being computed"
        )
        with pytest.raises(ComputationFailed):
            await journey.get_value(execution, "l", wait_any=True)
        assert await said(journey, execution, "after") == (
            "'after' waits for provided(l); 'l' has failed: max_iterations_reached"
        )
        ends.set()


async def test_what_does_not_hold_keeps_nothing_where_the_gate_holds_without_it(dsn: str) -> None:
    graph = Graph(
        "g",
        "v1",
        [input_node("a"), input_node("b"), compute("c", any_of("a", "b"), lambda a=0: a)],
    )
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"a": 1})
        execution_now = (await journey.get_node(execution, "c", wait_any=True)).revision
        with pytest.raises(WaitTimeout) as ended:
            await journey.get_value(execution, "c", newer_than=execution_now, timeout=0.05)
        assert ended.value.why == "nothing has changed for 'c'"
        assert await journey.blockers(execution.id, "c") == []
