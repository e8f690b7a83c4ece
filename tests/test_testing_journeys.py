"""Journeys for tests: what is left of them when they are closed."""

import asyncio
from typing import Any

import pytest

from journey_async.engine.points import Point
from journey_async.errors import InvalidOptionError
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


async def test_a_crash_that_cannot_come_says_so(dsn: str) -> None:
    graph = basic_graph()
    with pytest.warns(UserWarning, match="no graph here has such a node"):
        await crash_in_vain(TestJourney(dsn, graphs=[graph]))


async def crash_in_vain(journey: TestJourney) -> None:
    async with journey:
        point: Any = "after_function"
        with pytest.raises(InvalidOptionError, match=r"such as Point.AFTER_COMMIT, not 'after_fun"):
            journey.crash_at(point)
        known, unknown = (
            journey.crash_at(Point.AFTER_FUNCTION, node=node) for node in ("sum", "smu")
        )
        with pytest.raises(TimeoutError, match=r"not reached within 0.01 seconds$"):
            await known.happened(timeout=0.01)
        with pytest.raises(TimeoutError, match=r"no graph of this Journey has a node 'smu'"):
            await unknown.happened(timeout=0.01)
