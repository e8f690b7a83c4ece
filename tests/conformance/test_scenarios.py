"""Every recorded scenario, replayed; those that come next are under way meanwhile."""

import copy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from journey_async.testing.databases import Databases
from tests.conformance import departures, suite
from tests.conformance.replay import Files, replay
from tests.conformance.suite import Replays

FOLDER = Path(__file__).parent
AHEAD = 16
SMALL = Files.read(FOLDER, "010_start_time_computation")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replays(databases: Databases) -> AsyncIterator[Replays]:
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


@pytest.mark.asyncio(loop_scope="module")
async def test_a_departure_that_no_longer_happens_fails(replays: Replays) -> None:
    report = await replay(SMALL, replays.database, {"0": "because"})
    assert report.differences == ["step 0 no longer departs (because)"]


@pytest.mark.asyncio(loop_scope="module")
async def test_what_differs_fails_unless_it_departs(replays: Replays) -> None:
    changed: dict[str, Any] = copy.deepcopy(dict(SMALL.recording))
    changed["results"][0]["ok"]["revision"] = 7
    files = Files(SMALL.name, SMALL.scenario, changed)
    report = await replay(files, replays.database, {})
    assert report.differences == ["step 0 start at revision: 1, recorded 7"]
    assert (await replay(files, replays.database, {"0": "because"})).passed


def test_departures_are_of_scenarios_that_are_here() -> None:
    assert departures.load().reasons.keys() <= set(suite.names(FOLDER))
