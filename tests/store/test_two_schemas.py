"""Two schemas in one database are two worlds: as parts of the executions, or for tenants."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from journey_async import Graph, Journey, compute, input_node
from journey_async.errors import ExecutionNotFound
from journey_async.store.channels import Channels
from tests.support.eventually import eventually

pytestmark = pytest.mark.direct("makes schemas, which the role of an application may not")

GRAPH = Graph("g", "v1", [input_node("x"), compute("y", ["x"], lambda x: x + 1)])


@pytest.fixture
async def listening(empty_dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(empty_dsn)
    yield connection
    await connection.close()


async def test_they_work_side_by_side_and_know_nothing_of_each_other(empty_dsn: str) -> None:
    async with (
        Journey(empty_dsn, schema="tenant 1", graphs=[GRAPH]) as one,
        Journey(empty_dsn, schema="tenant 2", graphs=[GRAPH], run_computations=False) as two,
    ):
        here = await one.start_execution(GRAPH, {"x": 1})
        there = await two.start_execution(GRAPH, {"x": 10})
        assert await one.get_value(here, "y", wait_any=True) == 2
        for journey, foreign in ((one, there), (two, here)):
            assert await journey.count_executions() == 1
            with pytest.raises(ExecutionNotFound):
                await journey.load(foreign.id)
        # the worker of the first schema has taken nothing of the second
        await one._engine.rest()
        assert not (await two.load(there)).values["y"].is_set
        async with Journey(empty_dsn, schema="tenant 2", graphs=[GRAPH]):
            assert await two.get_value(there, "y", wait_any=True) == 11


async def test_nobody_hears_of_what_happens_in_the_other(
    empty_dsn: str, listening: asyncpg.Connection
) -> None:
    heard: list[str] = []
    async with Journey(empty_dsn, schema="a", graphs=[GRAPH]) as one:
        theirs = Channels.of("b")
        for channel in (theirs.changed, theirs.due, theirs.reordered, theirs.joined, "end"):
            await listening.add_listener(channel, lambda *message: heard.append(message[3]))
        execution = await one.start_execution(GRAPH, {"x": 1})
        assert await one.get_value(execution, "y", wait_any=True) == 2
        await listening.execute("NOTIFY \"end\", 'the end'")  # behind whatever went before
        await eventually(lambda: heard)
    assert heard == ["the end"]
