"""The pytest plugin as its users have it: in a project of theirs, in a process of its own."""

import textwrap
from pathlib import Path

import pytest

from journey_async.testing.databases import Databases

pytest_plugins = ["pytester"]

HEAD = """
from datetime import timedelta

import pytest
from journey_async import Graph, PermanentError, Retry, compute, input_node, tick_once
from journey_async.testing import Point

calls = []

async def remind(customer):
    calls.append(customer)
    return f"Dear {customer}, …"

graph = Graph("reminders", "v1", [
    input_node("customer"),
    tick_once("in_three_days", ["customer"], lambda: timedelta(days=3)),
    compute("reminder", ["customer", "in_three_days"], remind),
])

@pytest.fixture
def journey_graphs():
    return [graph]
"""
TESTS = """
async def test_days_pass_in_no_time(journey, journey_clock):
    calls.clear()
    execution = await journey.start_execution(graph, {"customer": "Luigi"})
    await journey_clock.advance(days=2)
    assert calls == []
    await journey_clock.advance(days=1)
    assert calls == ["Luigi"]
    execution = await journey.settle(execution)
    assert execution.values["reminder"].value == "Dear Luigi, …"

@pytest.mark.fault_points(Point.AFTER_FUNCTION)
async def test_whoever_dies(journey, journey_clock):
    execution = await journey.start_execution(graph, {"customer": "Luigi"})
    await journey_clock.advance(days=3)
    execution = await journey.settle(execution)
    assert execution.values["reminder"].value == "Dear Luigi, …"
    assert journey.deaths == 1

async def test_a_crash_where_the_test_wants_it(journey, journey_clock):
    calls.clear()
    crash = journey.crash_at(Point.AFTER_FUNCTION, node="reminder")
    execution = await journey.start_execution(graph, {"customer": "Luigi"})
    await journey_clock.advance(days=3)
    await crash.happened()
    async with journey.another() as successor:
        await successor.settle(execution.id)
    assert calls == ["Luigi", "Luigi"]
"""
WAYS = {  # and the page, with pytest-asyncio in its mode `auto`
    "asyncio, strict": ("-o", "asyncio_mode=strict"),
    "anyio": ("-p", "no:asyncio"),
}
MARKS = {
    "asyncio, strict": "pytestmark = pytest.mark.asyncio\n",
    "anyio": (
        "pytestmark = pytest.mark.anyio\n\n"
        "@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
    ),
}

# without the plugins that these tests themselves are run with
BARE = [
    argument
    for name in ("randomly", "cacheprovider", "xdist", "hypothesispytest", "timeout")
    for argument in ("-p", f"no:{name}")
]


@pytest.mark.parametrize("way", WAYS)
def test_users_test_with_it(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    databases: Databases,
    way: str,
) -> None:
    monkeypatch.setenv("JOURNEY_TEST_DATABASE_URL", databases.dsn)
    pytester.makepyfile(HEAD + MARKS[way] + TESTS)
    ended = pytester.runpytest_subprocess(*BARE, *WAYS[way])
    ended.assert_outcomes(passed=3)


@pytest.mark.exhaustive
def test_what_the_page_shows_runs(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, databases: Databases
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "testing.md").read_text(encoding="utf-8")
    blocks = [block.partition("```")[0] for block in page.split("```python\n")[1:]]
    monkeypatch.setenv("JOURNEY_TEST_DATABASE_URL", databases.dsn)
    pytester.makepyfile(textwrap.dedent("\n".join(blocks)))
    ended = pytester.runpytest_subprocess(*BARE, "-o", "asyncio_mode=auto")
    assert ended.ret == 0
