"""watch() tells what happens, in order; over a gap, the latest of each node."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from journey_async import (
    Continue,
    Event,
    Graph,
    Journey,
    Retry,
    compute,
    input_node,
    loop,
    mutate,
)
from journey_async.client.watching import MAX_BEHIND, news
from journey_async.errors import (
    DatabaseUnavailable,
    ExecutionNotFound,
    InvalidOptionError,
    UnknownNodeError,
)
from tests.core.story import Story
from tests.support.eventually import eventually
from tests.support.graphs import basic_graph, one_input
from tests.support.waits import waits_in

BACKENDS = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'journey_async'
"""


def told(event: Event) -> tuple[int, str, str | None, Any]:
    return event.revision, event.kind.value, event.node, event.value


async def some(events: AsyncGenerator[Event, None], number: int) -> list[Any]:
    async with asyncio.timeout(30):
        return [told(await anext(events)) for _ in range(number)]


async def begun(journey: Journey, events: AsyncGenerator[Event, None]) -> "asyncio.Future[Event]":
    """The first event, once somebody listens for it."""
    first = asyncio.ensure_future(anext(events))
    await eventually(lambda: waits_in(journey) == 1)
    await journey.graphs()  # behind the first read of the watcher
    return first


async def test_news_since_a_snapshot_of_one_of_many_writes_is_told(dsn: str) -> None:
    """They share a commit, and the next one is newer than what each of them was told."""
    async with Journey(dsn) as journey, Journey(dsn) as other:
        execution = await journey.start_execution(one_input())
        sets = (journey.set_value(execution, "x", n) for n in range(5))
        last = (await asyncio.gather(*sets))[-1]
        async with aclosing(journey.watch(last)) as events:
            first = await begun(journey, events)
            await other.set_value(execution, "x", "news")
            assert told(await asyncio.wait_for(first, 10)) == (6, "set", "x", "news")


async def test_everything_is_told_in_the_order_of_revisions(dsn: str) -> None:
    async with Journey(dsn, graphs=[basic_graph()]) as journey:
        execution = await journey.start_execution(basic_graph())
        async with aclosing(journey.watch(execution)) as events:
            first = await begun(journey, events)
            await journey.set_values(execution, {"x": 40, "y": 2}, metadata="both")
            await journey.get_value(execution, "large_value_alert", wait_any=True)
            await journey.unset_value(execution, "y")
            assert [told(await first), *await some(events, 8)] == [
                (1, "set", "x", 40),
                (1, "set", "y", 2),
                (2, "computing", "sum", None),
                (3, "set", "sum", 42),
                (4, "computing", "large_value_alert", None),
                (5, "set", "large_value_alert", "🚨"),
                (6, "cleared", "y", None),
                (7, "cleared", "sum", None),
                (8, "cleared", "large_value_alert", None),
            ]
            await journey.archive(execution)
            await journey.unarchive(execution)
            assert await some(events, 2) == [
                (9, "archived", None, None),
                (10, "unarchived", None, None),
            ]


async def test_failures_are_told_with_their_error(dsn: str) -> None:
    def fails(x: int) -> None:
        raise ValueError("too bad")

    graph = Graph(
        "g", "v1", [input_node("x"), compute("y", ["x"], fails, retry=Retry(max_attempts=1))]
    )
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        async with aclosing(journey.watch(execution, nodes=["y"])) as events:
            first = await begun(journey, events)
            await journey.set_value(execution, "x", 1)
            computing, failed = await first, await anext(events)
            assert (computing.kind, failed.kind) == ("computing", "failed")
            assert failed.error == "ValueError: too bad"
            assert failed.time is not None


async def test_that_a_computation_has_ended_is_told_though_its_value_is_the_same(dsn: str) -> None:
    """Who shows that it is being computed shows it no longer."""
    graph = Graph("g", "v1", [input_node("x"), compute("parity", ["x"], lambda x: x % 2)])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        value = await journey.get_node(execution, "parity", wait_any=True)
        execution = await journey.load(execution)
        async with aclosing(journey.watch(execution, nodes=["parity"])) as events:
            first = await begun(journey, events)
            await journey.set_value(execution, "x", 3)
            kinds = [(await first).kind, (await anext(events)).kind]
        assert kinds == ["computing", "unchanged"]
        async with aclosing(
            journey.watch(execution, nodes=["parity"], since_revision=execution.revision)
        ) as later:
            assert [(await anext(later)).kind] == ["unchanged"]
        assert (await journey.get_node(execution, "parity")).revision == value.revision
        await journey.unset_value(execution, "x")  # what is cleared since was not kept
        async with aclosing(
            journey.watch(execution, nodes=["parity"], since_revision=execution.revision)
        ) as later:
            assert [(await anext(later)).kind] == ["cleared"]


async def test_that_it_was_given_up_is_told_though_that_has_no_revision_of_its_own(
    dsn: str,
) -> None:
    async def hangs(x: int) -> None:
        await asyncio.Event().wait()

    once = Retry(max_attempts=1)
    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], hangs, retry=once)])
    async with Journey(dsn, graphs=[graph], grace_period=0) as journey:
        execution = await journey.start_execution(graph)
        async with aclosing(journey.watch(execution, nodes=["y"])) as events:
            await journey.set_value(execution, "x", 1)
            assert (await some(events, 1))[0][1] == "computing"
            [running] = await journey.computations(execution)
            await journey.abandon_computation(running.id)
            assert await some(events, 1) == [(2, "abandoned", "y", None)]


async def test_a_loop_that_ran_out_is_told_to_have_failed(dsn: str) -> None:
    endless = loop("l", ["x"], lambda x: Continue(-x), max_iterations=2)
    graph = Graph("g", "v1", [input_node("x"), endless])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        async with aclosing(journey.watch(execution, nodes=["l"])) as events:
            first = await begun(journey, events)
            await journey.set_value(execution, "x", 1)
            found = [await first]
            while found[-1].kind == "computing":
                found.append(await anext(events))
        assert (found[-1].kind, found[-1].error) == ("failed", "max_iterations_reached")


async def test_another_process_is_heard_and_only_chosen_nodes_are_told(dsn: str) -> None:
    async with (
        Journey(dsn, graphs=[basic_graph()]) as journey,
        Journey(dsn, run_computations=False) as other,
    ):
        execution = await journey.start_execution(basic_graph())
        async with aclosing(other.watch(execution.id, nodes=["sum"], since_revision=0)) as events:
            await journey.set_values(execution, {"x": 1, "y": 2})
            while (event := await anext(events)).kind == "computing":
                pass
            assert told(event) == (3, "set", "sum", 3)


async def test_who_was_away_is_told_the_latest_of_each_node(dsn: str) -> None:
    async with Journey(dsn, run_computations=False) as journey:
        execution = await journey.start_execution(basic_graph(), {"x": 0, "y": 0})
        for x in range(1, 5):
            execution = await journey.set_value(execution, "x", x)
        await journey.unset_value(execution, "y")
        async with aclosing(journey.watch(execution.id, since_revision=0)) as events:
            assert await some(events, 2) == [(5, "set", "x", 4), (6, "cleared", "y", None)]
        async with aclosing(journey.watch(execution.id, since_revision=5)) as events:
            assert await some(events, 1) == [(6, "cleared", "y", None)]


@pytest.mark.parametrize("is_away", [False, True], ids=["there", "away"])
async def test_a_mutation_is_told_though_it_keeps_the_revision(dsn: str, is_away: bool) -> None:
    graph = Graph(
        "g",
        "v1",
        [
            input_node("ssn"),
            input_node("note"),
            input_node("go"),
            mutate("redact", ["go"], lambda: "<redacted>", mutates=["ssn", "note"]),
        ],
    )
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"ssn": "123"})
        wanted = ["ssn", "note"]
        since = execution.revision if is_away else None
        events = journey.watch(execution, nodes=wanted, since_revision=since)
        async with aclosing(events):
            first = None if is_away else await begun(journey, events)
            await journey.set_value(execution, "go", True)
            await journey.get_value(execution, "redact", wait_any=True)
            heard = [told(await first)] if first else []
            heard += await some(events, 2 - len(heard))
            assert heard == [
                (0, "set", "note", "<redacted>"),
                (1, "set", "ssn", "<redacted>"),
            ]
        after = await journey.load(execution)
        again = journey.watch(execution.id, nodes=wanted, since_revision=after.revision)
        async with aclosing(again) as events:
            first = await begun(journey, events)
            await journey.set_value(execution, "note", "new")
            assert told(await first) == (after.revision + 1, "set", "note", "new")


def test_a_mutation_is_told_though_the_clock_stands_still() -> None:
    redact = mutate("redact", ["ssn"], lambda: "<redacted>", mutates="ssn")
    story = Story(Graph("g", "v1", [input_node("ssn"), redact]))
    story.start(ssn="123")
    seen = story.state
    story.succeed("redact", "<redacted>")
    found = news(story.graph, seen, seen.revision, story.state, ["ssn"])
    assert list(map(told, found)) == [(1, "set", "ssn", "<redacted>")]


async def test_over_a_gap_an_execution_is_told_to_be_archived_if_it_still_is(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input(), {"x": 1})
        await journey.archive(execution)
        async with aclosing(journey.watch(execution.id, since_revision=1)) as events:
            assert await some(events, 1) == [(2, "archived", None, None)]
        await journey.unarchive(execution)
        await journey.set_value(execution, "x", 2)
        async with aclosing(journey.watch(execution.id, since_revision=1)) as events:
            assert await some(events, 1) == [(4, "set", "x", 2)]


async def test_an_event_says_from_where_to_go_on(dsn: str) -> None:
    async with Journey(dsn, run_computations=False) as journey:
        execution = await journey.start_execution(basic_graph(), {"x": 1})
        await journey.set_values(execution, {"x": 2, "y": 2})  # two events of one revision
        await journey.set_value(execution, "x", 3)
        async with aclosing(journey.watch(execution.id, since_revision=1)) as events:
            gap = [await anext(events) for _ in range(2)]
            await journey.set_value(execution, "y", 4)
            last = await anext(events)
        assert [told(event) for event in gap] == [(2, "set", "y", 2), (3, "set", "x", 3)]
        assert [event.resume_from for event in [*gap, last]] == [1, 3, 4]
        for event, number in [(gap[0], 2), (gap[1], 1)]:
            again = journey.watch(execution.id, since_revision=event.resume_from)
            async with aclosing(again) as events:
                assert len(await some(events, number)) == number


async def test_who_asks_late_costs_no_memory_and_misses_no_node(dsn: str) -> None:
    async with Journey(dsn, run_computations=False) as journey:
        execution = await journey.start_execution(basic_graph())
        async with aclosing(journey.watch(execution)) as events:
            first = await begun(journey, events)
            await journey.set_value(execution, "y", 1)
            assert told(await first) == (1, "set", "y", 1)
            for x in range(3 * MAX_BEHIND):
                await journey.set_value(execution, "x", x)
            told_of = [await anext(events)]
            while told_of[-1].value != 3 * MAX_BEHIND - 1:
                told_of.append(await anext(events))
            assert len(told_of) <= MAX_BEHIND
            assert [e.revision for e in told_of] == sorted(e.revision for e in told_of)


async def test_a_watcher_outlives_its_connections(dsn: str, connection: Any) -> None:
    async with Journey(dsn) as journey, Journey(dsn, run_computations=False) as other:
        execution = await journey.start_execution(one_input())
        async with aclosing(other.watch(execution.id, since_revision=0)) as events:
            await journey.set_value(execution, "x", 1)
            assert await some(events, 1) == [(1, "set", "x", 1)]
            for row in await connection.fetch(BACKENDS):
                await connection.execute("SELECT pg_terminate_backend($1)", row["pid"])
            await journey.set_value(execution, "x", 2)
            assert await some(events, 1) == [(2, "set", "x", 2)]


async def test_a_watcher_that_goes_leaves_nothing_behind(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input())
        events = journey.watch(execution)
        step = asyncio.ensure_future(anext(events))
        await eventually(lambda: waits_in(journey) == 1)
        step.cancel()
        await asyncio.gather(step, return_exceptions=True)
        await events.aclose()
        assert waits_in(journey) == 0
        again = journey.watch(execution)
        last = asyncio.ensure_future(anext(again))
        await eventually(lambda: waits_in(journey) == 1)
    with pytest.raises(DatabaseUnavailable):
        await last


async def test_thousands_may_watch(dsn: str) -> None:
    async with Journey(dsn, run_computations=False) as journey:
        execution = await journey.start_execution(one_input())
        heard: list[Event] = []

        async def watch() -> None:
            async with aclosing(journey.watch(execution)) as events:
                heard.append(await anext(events))

        watchers = [asyncio.create_task(watch()) for _ in range(2000)]
        await eventually(lambda: waits_in(journey) == 2000)
        await journey.values(execution)  # behind the reads of the watchers
        await journey.set_value(execution, "x", 1)
        await asyncio.gather(*watchers)
        assert {told(event) for event in heard} == {(1, "set", "x", 1)}
        assert len(heard) == 2000


@pytest.mark.parametrize(
    "options, error",
    [
        ({"nodes": "x"}, InvalidOptionError),
        ({"nodes": ["nothing"]}, UnknownNodeError),
        ({"since_revision": -1}, InvalidOptionError),
        ({"since_revision": True}, InvalidOptionError),
        ({"since_revision": -(10**5000)}, InvalidOptionError),
    ],
)
async def test_bad_calls_are_refused(dsn: str, options: Any, error: type[Exception]) -> None:
    async with Journey(dsn, run_computations=False) as journey:
        execution = await journey.start_execution(one_input())
        with pytest.raises(error):
            await anext(journey.watch(execution, **options))
        with pytest.raises(ExecutionNotFound):
            await anext(journey.watch("EXECnone"))
