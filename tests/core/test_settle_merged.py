"""Changes that are decided one upon the other are one write."""

import pytest

from journey_async.core.nodes import compute, input_node
from tests.core.stories import ABANDONED, COMPUTING, f, graph, story
from tests.core.story import Story


def test_merged_changes_are_one_write() -> None:
    told = x_and_nothing_yet()
    first = told.start(x=1)
    second = told.abandon("a")
    merged = first.then(second)
    assert (merged.expected, merged.state.version) == (0, second.state.version)
    assert merged.computations[told.computations("a")[0].key].state is ABANDONED


@pytest.mark.parametrize("how", ["abandon", "release"])
def test_merged_changes_begin_only_what_still_runs(how: str) -> None:
    told = x_and_nothing_yet()
    first = told.start(x=1)
    second = told.abandon("a") if how == "abandon" else told.release()
    running = {c.token for c in told.state.newest.values() if c.state is COMPUTING}
    assert {b.computation.token for b in first.then(second).begun} == running


def test_merged_changes_take_the_slot_of_a_singleton_only_to_come_alive() -> None:
    told = Story(graph(singleton=True))
    started, archived, unarchived = told.start(), told.archive(), told.unarchive()
    assert started.slot == started.then(archived).then(unarchived).slot == "g"
    assert archived.then(unarchived).slot is None, "it has it, and cannot take it twice"
    assert unarchived.then(told.archive()).slot is None


def x_and_nothing_yet() -> Story:
    return story(input_node("x"), compute("a", ["x"], f))
