"""Nodes that write to others, remember or archive."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from journey_async.core.commands import SetValues
from journey_async.core.conditions import Condition, any_of, provided, value
from journey_async.core.nodes import (
    Node,
    archive,
    compute,
    historian,
    input_node,
    loop,
    mutate,
    tick_once,
    tick_recurring,
)
from journey_async.core.schedules import every
from journey_async.core.settle import settle
from tests.core.stories import AVAILABLE, FAILED, NOW, THRICE, begun, f, x_and
from tests.core.story import Story

# --- mutate -------------------------------------------------------------------------------------


def mutating(*, update: bool, targets: Any = "target") -> Story:
    return begun(
        input_node("x"),
        input_node("target"),
        input_node("other"),
        mutate("m", ["x"], f, mutates=targets, update_revision_on_change=update),
        compute("after", ["target"], f),
        compute("high", value("target") > 40, f),
        x=1,
        target=50,
    )


def test_mutation_by_default_keeps_the_revision_and_nothing_downstream_runs_again() -> None:
    told = mutating(update=False)
    told.succeed("after", 1)
    told.succeed("high", 1)
    told.succeed("m", 60)
    assert (told.value("target"), told.node("target").revision) == (60, 1)
    assert told.value("m") == "updated target"
    assert told.running() == []


@pytest.mark.parametrize("update", [False, True])
def test_conditions_on_a_mutated_node_are_judged_again_in_the_same_change(update: bool) -> None:
    told = mutating(update=update)
    told.succeed("after", 1)
    told.succeed("high", 1)
    change = told.succeed("m", 10)
    assert {"m", "target", "high"} <= change.values
    assert not told.is_set("high")


def test_mutation_with_a_revision_runs_what_is_downstream() -> None:
    told = mutating(update=True)
    told.succeed("after", 1)
    told.succeed("high", 1)
    told.succeed("m", 60)
    assert told.node("target").revision == told.node("m").revision == told.revision - 2
    assert told.running() == ["after", "high"]


def test_mutation_to_the_same_value_leaves_the_target_alone() -> None:
    told = mutating(update=True)
    change = told.succeed("m", 50)
    assert change.values == {"m"}


def test_mutation_of_several_targets_is_one_event() -> None:
    told = mutating(update=True, targets=["target", "other"])
    told.succeed("m", 7)
    assert told.value("m") == "updated target, other"
    assert told.value("target") == told.value("other") == 7
    assert told.node("target").revision == told.node("other").revision


@pytest.mark.parametrize("update", [False, True])
def test_mutation_sets_an_unset_target_even_to_none(update: bool) -> None:
    told = begun(
        input_node("x"),
        input_node("target"),
        mutate("m", ["x"], f, mutates="target", update_revision_on_change=update),
        compute("after", ["target"], f),
        x=1,
    )
    told.succeed("m", None)
    assert told.is_set("target")
    assert told.running() == ["after"]


def test_mutation_keeps_the_targets_metadata() -> None:
    told = mutating(update=True)
    told.set(target=50, metadata={"by": "ann"})
    told.succeed("m", 51)
    assert told.node("target").metadata == {"by": "ann"}


def test_what_one_mutation_clears_and_the_next_allows_is_computed_again() -> None:
    told = mutating(update=False)
    told.succeed("after", 1)
    told.succeed("high", 1)
    told.succeed("m", 10)
    told.set(x=2)
    told.succeed("m", 60)
    assert told.node("target").revision == 1
    assert told.running() == ["high"]


def test_a_historian_does_not_record_again_what_a_mutation_hid_for_a_while() -> None:
    told = begun(
        input_node("a"),
        input_node("b"),
        input_node("go"),
        mutate("m", ["go"], f, mutates="a"),
        historian("h", any_of(value("a") > 0, "b")),
        a=1,
        go=1,
    )
    told.succeed("m", -1)
    told.set(b=1)
    told.set(go=2)
    told.succeed("m", 1)
    assert [(e["node"], e["value"]) for e in told.value("h")] == [("b", 1), ("a", 1)]


def test_a_mutated_input_can_be_set_back() -> None:
    told = mutating(update=False)
    told.succeed("m", 60)
    assert told.set(target=50).written


def test_a_mutated_node_whose_gate_is_closed_does_not_keep_what_it_was_given() -> None:
    told = begun(
        input_node("x"),
        input_node("y"),
        compute("c", ["y"], f),
        mutate("m", ["x"], f, mutates="c"),
        x=1,
    )
    told.succeed("m", 5)
    assert not told.is_set("c")


def test_a_historian_that_was_mutated_to_something_else_stops_nothing() -> None:
    told = x_and(historian("h", ["x"]), mutate("m", ["x"], f, mutates="h"))
    told.succeed("m", 5)
    told.set(x=2)


def test_a_tick_that_was_mutated_to_a_time_beyond_all_times_stops_nothing() -> None:
    told = x_and(tick_once("t", [], f), mutate("m", ["x"], f, mutates="t"))
    told.succeed("t", NOW + 60)
    told.succeed("m", 10**18)


@pytest.mark.parametrize(
    "gate",
    [~provided("c"), ~(value("c") > 3), any_of("c", ~provided("c"))],
    ids=["until it is there", "until it is more", "in any case"],
)
@pytest.mark.parametrize(
    "kind", [compute, partial(loop, max_iterations=3)], ids=["compute", "loop"]
)
def test_a_step_whose_gate_does_not_hold_is_given_nothing(kind: Any, gate: Condition) -> None:
    """It would be cleared at once, and the mutation run on that, for ever."""
    told = begun(input_node("x"), kind("c", ["x"], f), mutate("m", gate, f, mutates="c"))
    told.succeed("m", 0)
    assert told.running() == []
    assert not told.is_set("c")
    assert (told.value("m"), told.node("c").revision) == ("updated c", 0)
    told.set(x=1)
    told.succeed("c", 5)
    assert told.value("c") == 5
    told.unset("x")
    for _ in range(3):  # it ran meanwhile, and runs once more on what has changed
        if told.running():
            told.succeed("m", 0)
    assert told.running() == []
    assert not told.is_set("c")


def test_a_step_is_given_a_value_if_another_target_opens_its_gate() -> None:
    told = begun(
        input_node("x"),
        input_node("a"),
        compute("c", ["a"], f),
        mutate("m", ["x"], f, mutates=["c", "a"]),
        x=1,
    )
    told.succeed("m", 7)
    assert (told.value("a"), told.value("c")) == (7, 7)


# --- historian ----------------------------------------------------------------------------------


def test_historian_records_every_change_newest_first() -> None:
    told = begun(input_node("a"), input_node("b"), historian("h", any_of("a", "b")))
    told.set(a=1)
    told.set(b=2)
    told.later(61)
    told.set(a=3)
    entries = told.value("h")
    assert [(e["node"], e["value"]) for e in entries] == [("a", 3), ("b", 2), ("a", 1)]
    assert entries[0] == {
        "node": "a",
        "value": 3,
        "metadata": None,
        "revision": told.node("a").revision,
        "timestamp": NOW + 61,
    }
    revisions = [e["revision"] for e in entries]
    assert revisions == sorted(revisions, reverse=True)


def test_historian_records_what_was_set_together_newest_first_by_place() -> None:
    told = begun(input_node("b"), input_node("a"), historian("h", ["a", "b"]), a=1, b=2)
    assert [e["node"] for e in told.value("h")] == ["b", "a"]


def test_trimming_a_history_resurrects_nothing() -> None:
    told = begun(
        input_node("a"), input_node("b"), historian("h", any_of("a", "b"), max_entries=2), a=1
    )
    for number in (1, 2, 3):
        told.set(b=number)
    assert [(e["node"], e["value"]) for e in told.value("h")] == [("b", 3), ("b", 2)]


def test_a_history_without_limit_keeps_everything() -> None:
    told = begun(input_node("a"), historian("h", ["a"], max_entries=None))
    for number in range(1100):
        told.state = settle(told.graph, told.state, SetValues({"a": number}), told.env()).state
    assert len(told.value("h")) == 1100


def test_historian_records_computed_values_and_survives_its_gate() -> None:
    told = x_and(compute("a", ["x"], f), historian("h", ["a"]))
    told.succeed("a", 1)
    told.unset("x")
    told.set(x=2)
    told.succeed("a", 2)
    assert [e["value"] for e in told.value("h")] == [2, 1]


def test_retrying_a_historian_adds_nothing_twice() -> None:
    told = x_and(historian("h", ["x"]))
    told.retry("h")
    assert len(told.value("h")) == 1


def test_historian_on_last_updated_at_does_not_trigger_itself() -> None:
    told = begun(input_node("x"), historian("h", ["last_updated_at"]))
    before = len(told.value("h"))
    told.set(x=1)
    assert len(told.value("h")) == before + 1


@pytest.mark.parametrize("order", ["historian first", "tick first"])
def test_historian_on_a_scheduled_tick_records_each_firing(order: str) -> None:
    nodes: list[Node] = [
        historian("h", ["t"]),
        tick_recurring("t", [], every(timedelta(seconds=10))),
    ]
    if order == "tick first":
        nodes.reverse()
    told = begun(*nodes)
    fired = []
    for _ in range(3):
        fired.append((told.node("t").value, told.node("t").revision))
        told.sleep()
    assert [(e["value"], e["revision"]) for e in told.value("h")] == fired[::-1]


# --- archive ------------------------------------------------------------------------------------


def test_an_archive_node_takes_three_revisions_and_nothing_follows() -> None:
    told = begun(input_node("x"), archive("end", ["x"]), compute("after", ["end"], f))
    told.set(x=1)
    assert told.revision == 1 + 3
    assert told.value("end") == NOW
    assert told.state.archived_at == told.now
    assert told.running() == []
    assert told.state.wake_at is None


def test_a_result_after_archiving_is_recorded_and_nothing_follows() -> None:
    told = x_and(compute("a", ["x"], f), compute("b", ["a"], f))
    told.archive()
    told.succeed("a", 1)
    assert told.value("a") == 1
    assert told.running() == []
    told.unarchive()
    assert told.running() == ["b"]


def test_a_failure_after_archiving_is_recorded_and_tried_again_after_unarchiving() -> None:
    told = x_and(compute("a", ["x"], f, retry=THRICE))
    told.archive()
    told.fail("a")
    assert told.shown("a") is FAILED
    assert told.state.wake_at is None
    told.later(100)
    told.unarchive()
    assert told.running() == ["a"]
    assert told.newest("a").attempt == 2


def test_archiving_and_unarchiving_twice_is_once() -> None:
    told = x_and()
    told.archive()
    assert not told.archive().written
    told.unarchive()
    assert not told.unarchive().written
    assert told.revision == 3


def test_unarchiving_does_not_archive_again() -> None:
    told = x_and(archive("end", ["x"]), compute("after", ["end"], f))
    told.unarchive()
    assert told.state.archived_at is None
    assert told.running() == ["after"]


def test_a_tick_that_came_while_archived_fires_after_unarchiving() -> None:
    told = begun(tick_once("t", [], f), compute("d", ["t"], f))
    told.succeed("t", NOW + 60)
    told.archive()
    told.later(3600)
    assert not told.wake().written
    told.unarchive()
    assert told.running() == ["d"]


def test_release_while_archived_begins_nothing() -> None:
    told = x_and(compute("a", ["x"], f))
    told.archive()
    told.release()
    assert told.shown("a") is AVAILABLE
    assert told.state.wake_at is None
    told.unarchive()
    assert told.running() == ["a"]
