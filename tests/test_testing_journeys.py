"""Journeys for tests: what is left of them when they are closed."""

import asyncio
from typing import Any

import pytest

from journey_async.engine.points import Point
from journey_async.testing import TestClock, TestJourney
from journey_async.testing.relay import RelayJourney
from tests.support.eventually import eventually
from tests.support.graphs import basic_graph

SETTINGS: dict[type[TestJourney], dict[str, Any]] = {
    TestJourney: {},
    RelayJourney: {"point": Point.AFTER_BEGIN},
}


def tasks_left() -> list[str]:
    names = [task.get_name() for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith("journey_async")]


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("times", [1, 2])
async def test_a_cancelled_test_leaves_nothing_running_and_nobody_to_wait_for(
    dsn: str, kind: type[TestJourney], times: int
) -> None:
    clock = TestClock()

    async def test(ready: asyncio.Event) -> None:
        async with kind(dsn, graphs=[basic_graph()], clock=clock, **SETTINGS[kind]):
            ready.set()
            await asyncio.Event().wait()

    for turns in range(8):
        running = asyncio.create_task(test(ready := asyncio.Event()))
        await ready.wait()
        for _ in range(times):
            running.cancel()
            for _ in range(turns):
                await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not clock._journeys
        await eventually(lambda: not tasks_left())
