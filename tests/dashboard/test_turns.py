"""Whatever is asked about an execution of many nodes, others have their turn meanwhile."""

import asyncio
from collections.abc import Awaitable

import httpx
import pytest

from journey_async import Graph, Journey, compute, input_node
from journey_async.dashboard import dashboard
from journey_async.store import breath

STEPS = 100
GRAPH = Graph(
    "wide",
    "v1",
    [input_node("x"), *(compute(f"y{n}", ["x"], lambda x: x) for n in range(STEPS))],
)


async def turns_during(answer: Awaitable[object]) -> int:
    """How often others have their turn until there is an answer."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(other())
    try:
        await answer
    finally:
        others.cancel()
    return turns


async def test_others_have_their_turn_between_nodes(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Journey(dsn, graphs=[GRAPH]) as journey:
        execution = await journey.start_execution(GRAPH, {"x": 1})
        await journey.get_value(execution, f"y{STEPS - 1}", settled=True)
        app = httpx.ASGITransport(dashboard(journey, auth=lambda _: True))
        async with httpx.AsyncClient(transport=app, base_url="http://dashboard") as browser:
            monkeypatch.setattr(breath, "HELD", -1.0)  # any time is long
            assert await turns_during(journey.values(execution)) >= STEPS
            assert await turns_during(journey.flow_analytics("wide", "v1")) >= STEPS
            # computations, which are read so, and then what is told of them and of the values
            assert await turns_during(journey.history(execution)) >= 3 * STEPS
            assert await turns_during(journey.introspect(execution)) >= 4 * STEPS
            page = browser.get(f"/executions/{execution.id}")
            assert await turns_during(page) >= 10 * STEPS
