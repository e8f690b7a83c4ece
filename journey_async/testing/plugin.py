"""The pytest plugin: a Journey on a throw-away database, a clock that the test owns, crashes.

Works with pytest-asyncio, in both of its modes, and with the plugin of anyio.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from journey_async.core.graph import Graph
from journey_async.engine.points import Point
from journey_async.testing.clock import TestClock
from journey_async.testing.databases import Databases, databases_for_tests
from journey_async.testing.journey import TestJourney
from journey_async.testing.relay import RelayJourney

MARKER = "fault_points"


def _async_fixture(function: Any) -> Any:
    """A fixture that both plugins take: pytest-asyncio's own kind, where it is installed."""
    try:
        from pytest_asyncio import fixture
    except ImportError:
        return pytest.fixture(function)
    return fixture(function)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(*points): run the test once for each fault point of journey_async (or for "
        f"these), with a worker that dies there and is followed by another one",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Once for each fault point, where the marker says so."""
    marker = metafunc.definition.get_closest_marker(MARKER)
    if marker is None:
        return
    if "journey_fault_point" not in metafunc.fixturenames:
        if marker in metafunc.definition.own_markers:  # else that of a whole class or module
            pytest.fail(f"{MARKER} is for a test that uses the fixture `journey`", pytrace=False)
        return
    points = marker.args or tuple(Point)
    for point in points:
        if not isinstance(point, Point):
            told = f"{MARKER} wants a Point, such as Point.AFTER_COMMIT, not {point!r}"
            pytest.fail(told, pytrace=False)
    metafunc.parametrize("journey_fault_point", points, ids=[point.name for point in points])


@pytest.fixture(scope="session")
def journey_databases() -> Iterator[Databases]:
    """A server of PostgreSQL for the whole run, with a template that has the schema."""
    with databases_for_tests() as databases:
        yield databases


@_async_fixture
async def journey_dsn(journey_databases: Databases) -> AsyncIterator[str]:
    """A database of the test's own, with the schema; it is gone afterwards."""
    async with journey_databases.database(migrated=True) as dsn:
        yield dsn


@pytest.fixture
def journey_graphs() -> list[Graph]:
    """The graphs that `journey` computes: override it where the tests are."""
    return []


@pytest.fixture
def journey_options() -> dict[str, Any]:
    """More options for `journey`, as for Journey: override it where the tests are."""
    return {}


@pytest.fixture
def journey_clock() -> TestClock:
    """The clock by which `journey` goes: it stands still until the test moves it."""
    return TestClock()


@pytest.fixture
def journey_fault_point() -> Point | None:
    """Where a worker dies in this test; None: nowhere, unless the test says so."""
    return None


@_async_fixture
async def journey(
    journey_dsn: str,
    journey_graphs: list[Graph],
    journey_options: dict[str, Any],
    journey_clock: TestClock,
    journey_fault_point: Point | None,
) -> AsyncIterator[TestJourney]:
    """A Journey with `journey_graphs`, on a throw-away database, that goes by `journey_clock`."""
    settings: dict[str, Any] = {"graphs": journey_graphs, "clock": journey_clock} | journey_options
    if journey_fault_point is None:
        opened = TestJourney(journey_dsn, **settings)
    else:
        opened = RelayJourney(journey_dsn, point=journey_fault_point, **settings)
    async with opened:
        yield opened
    if isinstance(opened, RelayJourney) and not opened.has_reached_point:
        pytest.skip(f"nobody died at {opened.point.name}: it was not reached")
