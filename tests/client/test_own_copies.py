"""What callers are given is theirs: what they do with it changes nothing for others."""

import asyncio

from journey_async import Graph, Journey, Retry, compute, input_node
from tests.support.graphs import basic_graph, one_input


async def test_the_computations_of_a_snapshot_are_its_receivers_own(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(basic_graph(), {"x": 1, "y": 2})
        await journey.get_value(execution, "sum", wait_any=True)
        given, *_ = (await journey.load(execution.id)).computations
        seen = dict(given.computed_with)
        given.computed_with.clear()  # type: ignore[attr-defined]
        kept, *_ = (await journey.load(execution.id)).computations
        assert kept.computed_with == seen != {}


async def test_what_is_told_of_an_execution_is_its_receivers_own(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input(), {"x": [1]})
        [told] = [v for v in (await journey.summary(execution)).set_values if v.name == "x"]
        told.value.append("of mine")
        (await journey.why(execution, "x")).value.append("of mine")
        assert await journey.get_value(execution, "x") == [1]


async def test_an_abandoned_computation_is_its_receivers_own(dsn: str) -> None:
    begun = asyncio.Event()

    async def waits(x: int) -> None:
        begun.set()
        await asyncio.Event().wait()

    step = compute("y", ["x"], waits, retry=Retry(max_attempts=1))
    graph = Graph("g", "v1", [input_node("x"), step])
    async with Journey(dsn, graphs=[graph], grace_period=0) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await begun.wait()
        [running] = (await journey.load(execution)).computations
        given = await journey.abandon_computation(running.id)
        given.computed_with.clear()  # type: ignore[attr-defined]
        [kept] = (await journey.load(execution)).computations
        assert kept.computed_with == running.computed_with != {}
