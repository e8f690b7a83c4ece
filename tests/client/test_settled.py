"""`settled=True`: the value that reflects everything that was set so far."""

import asyncio
from datetime import timedelta
from typing import NoReturn

import pytest

from journey_async import (
    ComputationFailed,
    Graph,
    Journey,
    NotSetError,
    Retry,
    WaitTimeout,
    compute,
    input_node,
    tick_once,
)
from tests.support.eventually import eventually
from tests.support.graphs import basic_graph
from tests.support.waits import waits_in

ONCE = Retry(max_attempts=1)


def breaks(x: int) -> NoReturn:
    raise ValueError(f"no {x}")


async def test_settled_reflects_everything_set_so_far(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(basic_graph(), {"y": 1})
        for x in range(20):
            await journey.set_value(execution, "x", x)
            assert await journey.get_value(execution, "sum", settled=True) == x + 1
        await journey.set_value(execution, "x", 41)
        assert await journey.get_value(execution, "large_value_alert", settled=True) == "🚨"


async def test_settled_says_at_once_that_nothing_will_come(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(basic_graph(), {"y": 1})
        for node in ("x", "sum", "large_value_alert"):
            with pytest.raises(NotSetError) as raised:
                await journey.get_value(execution, node, settled=True, timeout=None)
            assert not isinstance(raised.value, WaitTimeout)
            assert (raised.value.node, raised.value.execution_id) == (node, execution.id)
        await journey.set_value(execution, "x", 1)
        with pytest.raises(NotSetError):  # after the sum is there, which is not large
            await journey.get_value(execution, "large_value_alert", settled=True, timeout=None)
        assert await journey.get_value(execution, "large_value_alert", settled=True, default=0) == 0


async def test_what_is_stale_when_it_is_archived_is_settled_once_it_is_carried_on(
    dsn: str,
) -> None:
    began, goes_on = asyncio.Event(), asyncio.Event()

    async def waits(x: int) -> int:
        began.set()
        await goes_on.wait()
        return x

    steps = [compute("y", ["x"], waits), compute("z", ["y"], lambda y: -y)]
    graph = Graph("g", "v1", [input_node("x"), *steps])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await began.wait()
        await journey.archive(execution)
        goes_on.set()
        assert await journey.get_value(execution, "y", settled=True) == 1
        wait = asyncio.create_task(journey.get_value(execution, "z", settled=True))
        await eventually(lambda: waits_in(journey) == 1 or wait.done())
        await journey.unarchive(execution)
        assert await wait == -1


async def test_a_tick_that_lies_ahead_is_settled(dsn: str) -> None:
    graph = Graph(
        "ticks",
        "v1",
        [
            tick_once("later", [], lambda: timedelta(hours=1)),
            compute("then", ["later"], lambda: "now"),
        ],
    )
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(graph)
        assert await journey.get_value(execution, "later", settled=True) > 0
        with pytest.raises(NotSetError):
            await journey.get_value(execution, "then", settled=True, timeout=None)


async def test_settled_reports_a_failure_upstream_and_others_wait(dsn: str) -> None:
    graph = Graph(
        "failing",
        "v1",
        [
            input_node("x"),
            compute("y", ["x"], breaks, retry=ONCE),
            compute("z", ["y"], lambda y: y),
        ],
    )
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        with pytest.raises(ComputationFailed) as raised:
            await journey.get_value(execution, "z", settled=True, timeout=None)
        assert raised.value.node == "y"
        with pytest.raises(WaitTimeout):
            await journey.get_value(execution, "z", wait_any=True, timeout=0.01)


async def test_what_is_held_up_elsewhere_in_the_graph_keeps_no_node_from_being_settled(
    dsn: str,
) -> None:
    release = asyncio.Event()

    async def held_up(y: int) -> int:
        await release.wait()
        return y

    steps = [
        compute("quick", ["x"], lambda x: x),
        compute("held_up", ["y"], held_up),
        compute("has_no_place", ["y"], lambda y: y),
    ]
    graph = Graph("g", "v1", [input_node("x"), input_node("y"), *steps])
    async with Journey(dsn, graphs=[graph], max_concurrency=1) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        assert await journey.get_value(execution, "quick", settled=True) == 1
        await journey.set_value(execution, "y", 1)
        for node in ("x", "y", "quick"):
            assert await journey.get_value(execution, node, settled=True) == 1
        release.set()
        assert await journey.get_value(execution, "has_no_place", settled=True) == 1


async def test_an_input_is_settled_where_nobody_computes(dsn: str) -> None:
    async with Journey(dsn, run_computations=False) as client:
        execution = await client.start_execution(basic_graph(), {"x": 1, "y": 2})
        assert await client.get_value(execution, "x", settled=True) == 1
