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
SELDOM = "anyio"
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


@pytest.mark.parametrize(
    "way",
    [pytest.param(w, marks=[pytest.mark.exhaustive] if w == SELDOM else []) for w in WAYS],
)
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


CHECK_NOTHING = """
@pytest.mark.fault_points(Point.AFTER_FUNCTION, Point.AFTER_RELEASE)
async def test_nothing_computes(journey):
    await journey.start_execution(graph)

@pytest.mark.fault_points(Point.AFTER_BEGIN)
class TestWithAMark:
    def test_that_uses_no_journey(self):
        pass

async def test_a_node_that_was_renamed(journey):
    journey.crash_at(Point.AFTER_FUNCTION, node="letter")
    await journey.start_execution(graph)
"""
WRONG = {
    "no_point": """
@pytest.mark.fault_points("after_function")
async def test_it(journey):
    pass
""",
    "no_journey": """
@pytest.mark.fault_points
async def test_it():
    pass
""",
}


def test_tests_of_crashes_that_check_nothing_are_told(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, databases: Databases
) -> None:
    monkeypatch.setenv("JOURNEY_TEST_DATABASE_URL", databases.dsn)
    pytester.makepyfile(HEAD + CHECK_NOTHING)
    ended = pytester.runpytest_subprocess(*BARE, "-o", "asyncio_mode=auto", "-rs")
    ended.assert_outcomes(passed=4, skipped=2, warnings=1)
    ended.stdout.fnmatch_lines(
        [
            "*nobody died at AFTER_FUNCTION: it was not reached*",
            "*nobody died at AFTER_RELEASE: it was not reached*",
        ]
    )
    ended.stdout.fnmatch_lines(["*at AFTER_FUNCTION of 'letter', and no graph here has such*"])


def test_a_mark_that_cannot_be_followed_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(**{f"test_{name}": HEAD + wrong for name, wrong in WRONG.items()})
    ended = pytester.runpytest_subprocess(*BARE, "-o", "asyncio_mode=auto")
    ended.assert_outcomes(errors=len(WRONG))
    ended.stdout.fnmatch_lines_random(
        ["*fault_points wants a Point*", "*fault_points is for a test that uses*"]
    )
    ended.stdout.no_fnmatch_line("*Traceback*")


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
