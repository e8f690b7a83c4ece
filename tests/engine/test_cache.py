"""What is kept in memory, and what goes first."""

from typing import Any

import pytest

from journey_async import Graph, historian, input_node
from journey_async.core.commands import Start
from journey_async.core.settle import settle
from journey_async.core.state import State, new_state
from journey_async.engine.cache import StateCache
from tests.core.story import Story

GRAPH = Graph("g", "v1", [input_node("x"), input_node("y"), historian("h", ["x"])])
MEGABYTE = 2**20


def begun(execution_id: str, **values: Any) -> State:
    story = Story(GRAPH)
    before = new_state(execution_id, GRAPH, story.now)
    return settle(GRAPH, before, Start(values), story.env()).state


def kept(cache: StateCache, *ids: str) -> list[str]:
    return [execution_id for execution_id in ids if cache.get(execution_id) is not None]


def test_the_least_recently_used_goes_first() -> None:
    cache = StateCache(2)
    cache.put(begun("a"))
    cache.put(begun("b"))
    cache.get("a")
    cache.put(begun("c"))
    assert kept(cache, "a", "b", "c") == ["a", "c"]


@pytest.mark.parametrize(
    "large", ["x" * MEGABYTE, [["x"] * 100] * 200, {"x": list(range(20_000))}], ids=type
)
def test_what_is_large_goes_sooner(large: Any) -> None:
    cache = StateCache(100, max_weight=3 * MEGABYTE)
    ids = [f"e{n}" for n in range(10)]
    for execution_id in ids:
        cache.put(begun(execution_id, x=large))
        cache.put(begun(f"light {execution_id}", x=1))
    assert cache.weight <= 3 * MEGABYTE
    assert kept(cache, *ids) in (["e8", "e9"], ["e9"])


def test_what_was_replaced_weighs_nothing_any_more() -> None:
    cache = StateCache(100, max_weight=4 * MEGABYTE)
    cache.put(begun("light"))
    story = Story(GRAPH)
    cache.put_written(story.start(y="y" * MEGABYTE))
    for n in range(20):
        cache.put_written(story.set(y=str(n) * MEGABYTE))
    assert kept(cache, "light", "EXEC1") == ["light", "EXEC1"]


def test_what_is_written_weighs_as_much_as_what_is_read() -> None:
    story, cache = Story(GRAPH), StateCache(100)
    story.start()
    changes = [
        story.set(x="x" * 5_000, y=["y"] * 5_000),
        story.set(metadata="m" * 2_000, x=1),
        story.set(x=2),
        story.unset("y"),
        story.archive(),
    ]
    for change in changes:
        cache.put_written(change)
        read = StateCache(100)
        read.put(change.state)
        assert cache.weight == read.weight


def test_a_state_that_others_have_written_is_weighed_anew() -> None:
    story, cache = Story(GRAPH), StateCache(100)
    cache.put_written(story.start(y="y" * MEGABYTE))
    story.set(y=1)  # elsewhere
    cache.put_written(story.set(x=1))
    assert cache.weight < MEGABYTE


def test_one_is_kept_whatever_it_weighs() -> None:
    cache = StateCache(100, max_weight=MEGABYTE)
    cache.put(begun("light"))
    cache.put(begun("heavy", x="x" * 2 * MEGABYTE))
    assert kept(cache, "light", "heavy") == ["heavy"]
    cache.forget("heavy")
    assert (len(cache), cache.weight) == (0, 0)


def test_what_is_outdated_is_known_still_and_given_to_nobody() -> None:
    story, cache = Story(GRAPH), StateCache(100)
    older = story.start(x=1).state
    newer = story.set(x=2).state
    cache.put(older)
    cache.outdate(older.execution_id, older_than=older.version)
    assert cache.get(older.execution_id) is older
    cache.outdate(older.execution_id, older_than=newer.version)
    assert cache.get(older.execution_id) is None
    assert cache.known([older.execution_id, "another"]) == {older.execution_id: older}
    cache.put(newer)
    assert cache.get(older.execution_id) is newer


def test_what_is_outdated_gives_way_to_what_is_older_and_was_read_since() -> None:
    story, cache = Story(GRAPH), StateCache(100)
    older = story.start(x=1).state
    lost = story.set(x=2).state
    cache.put(lost)
    cache.outdate(lost.execution_id)
    cache.put(older)
    assert cache.get(lost.execution_id) is older


def test_an_older_state_does_not_replace_a_newer_one() -> None:
    story, cache = Story(GRAPH), StateCache(100)
    older = story.start(x="x" * MEGABYTE).state
    newer = story.set(x=1).state
    cache.put(newer)
    weight = cache.weight
    cache.put(older)
    assert (cache.get("EXEC1"), cache.weight) == (newer, weight)
