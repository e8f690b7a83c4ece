"""Every recorded scenario, replayed; those that come next are under way meanwhile."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conformance import departures, suite
from tests.conformance.suite import Replays
from tests.support.postgres import TestDatabases

FOLDER = Path(__file__).parent
AHEAD = 16


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replays(databases: TestDatabases) -> AsyncIterator[Replays]:
    async with suite.opened(databases) as replays:
        yield replays


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", suite.names(FOLDER))
async def test_as_recorded(name: str, replays: Replays, request: pytest.FixtureRequest) -> None:
    items = request.session.items
    here = items.index(request.node)
    for item in items[here : here + AHEAD]:
        if isinstance(item, pytest.Function) and item.function is request.function:
            replays.begin(FOLDER, str(item.callspec.params["name"]))
    report = await replays.report(FOLDER, name)
    if report.skipped is not None:
        pytest.skip(report.skipped)
    assert not report.differences, report.line


def test_departures_are_of_scenarios_that_are_here() -> None:
    assert departures.load().reasons.keys() <= set(suite.names(FOLDER))
