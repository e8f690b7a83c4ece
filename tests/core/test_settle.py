"""What follows from a command: what is set, cleared, gated and recorded."""

from typing import Any

import pytest

from journey_async.core.commands import Abandon, Fail, Succeed
from journey_async.core.conditions import all_of, any_of, not_
from journey_async.core.gates import unblocked_when
from journey_async.core.nodes import compute, historian, input_node, mutate, tick_once
from journey_async.core.retry import Retry
from journey_async.core.state import shown_state
from journey_async.core.values import NodeValue
from tests.core.stories import NOW, SUCCESS, THRICE, begun, documented, f, x_and
from tests.core.story import Story

# --- the example of the documentation -----------------------------------------------------------


def test_revisions_of_the_documented_example() -> None:
    told = documented()
    told.start()
    assert told.revision == 0
    told.set(x=12)
    assert told.revision == 1
    assert told.running() == []
    told.set(y=2)
    assert told.running() == ["sum"]
    assert (told.node("y").revision, told.revision) == (2, 3)
    told.succeed("sum", 14)
    assert (told.node("sum").revision, told.revision) == (4, 4)
    assert not told.has_run("large_value_alert")
    told.set(y=37)
    told.succeed("sum", 49)
    assert told.running() == ["large_value_alert"]
    told.succeed("large_value_alert", "🚨")
    assert told.revision == 9
    assert told.newest("sum").computed_with == {"x": 1, "y": 5}
    assert told.newest("large_value_alert").computed_with == {"sum": 7}


def test_an_alert_is_cleared_in_the_same_change_as_the_sum_that_closes_its_gate() -> None:
    told = documented()
    told.start(x=12, y=37)
    told.succeed("sum", 49)
    told.succeed("large_value_alert", "🚨")
    told.set(y=1)
    assert told.value("large_value_alert") == "🚨"
    before = told.revision
    change = told.succeed("sum", 13)
    assert change.values == {"sum", "large_value_alert"}
    assert not told.is_set("large_value_alert")
    assert told.revision == before + 2
    assert shown_state(told.state, "large_value_alert") == "not_set"


def test_values_given_at_the_start_are_one_event() -> None:
    told = documented()
    change = told.start(x=1, y=2)
    assert told.node("x").revision == told.node("y").revision == 1
    assert [b.computation.node for b in change.begun] == ["sum"]
    assert told.revision == 2


def test_a_step_without_upstream_begins_at_once() -> None:
    assert begun(compute("a", [], f)).running() == ["a"]


def test_a_chain_unblocks_link_by_link() -> None:
    told = x_and(compute("a", ["x"], f), compute("b", ["a"], f), compute("c", ["b"], f))
    assert told.running() == ["a"]
    told.succeed("a", 1)
    assert told.running() == ["b"]
    told.succeed("b", 2)
    told.succeed("c", 3)
    assert told.node("c").revision == told.revision == 7


# --- set and unset ------------------------------------------------------------------------------


def test_setting_the_same_value_and_metadata_writes_nothing() -> None:
    told = begun(input_node("x"), compute("a", ["x"], f), x={"a": [1, 2]})
    told.succeed("a", 1)
    assert not told.set(x={"a": [1.0, 2]}).written


def test_setting_several_writes_only_what_differs() -> None:
    told = begun(input_node("x"), input_node("y"), x=1, y=1)
    change = told.set(x=1, y=2)
    assert change.values == {"y"}
    assert (told.node("x").revision, told.node("y").revision) == (1, 2)


@pytest.mark.parametrize(
    "old, new", [(True, 1), (1, True), (False, 0), (None, 0), ("1", 1), ([True], [1]), ({}, [])]
)
def test_values_that_python_or_a_reader_may_confuse_differ(old: Any, new: Any) -> None:
    told = x_and(compute("a", ["x"], f), x=old)
    told.succeed("a", 1)
    told.set(x=new)
    assert told.running() == ["a"]


def test_none_is_a_value() -> None:
    told = x_and(compute("a", ["x"], f), x=None)
    assert told.is_set("x")
    assert told.running() == ["a"]
    assert not told.set(x=None).written


def test_several_nones_at_once_are_values_too() -> None:
    told = begun(input_node("x"), input_node("y"))
    assert told.set(x=None, y=None).values == {"x", "y"}


def test_a_computed_none_is_a_value_and_unblocks() -> None:
    told = x_and(compute("a", ["x"], f), compute("b", ["a"], f))
    told.succeed("a", None)
    assert told.is_set("a")
    assert told.running() == ["b"]


def test_other_metadata_alone_is_a_change() -> None:
    told = x_and(compute("a", ["x"], f), historian("h", ["x"]))
    told.succeed("a", 1)
    told.set(x=1, metadata={"by": "ann"})
    assert told.running() == ["a"]
    assert [entry["metadata"] for entry in told.value("h")] == [{"by": "ann"}, None]
    told.set(x=1)
    assert told.node("x").metadata is None


def test_unsetting_clears_what_depended_on_it_one_revision_each() -> None:
    told = x_and(compute("a", ["x"], f), compute("b", ["a"], f), compute("c", ["b"], f))
    for name in "abc":
        told.succeed(name, name)
    before = told.revision
    change = told.unset("x")
    assert change.values == {"x", "a", "b", "c"}
    assert told.revision == before + 4
    assert [told.node(name).revision for name in "xabc"] == [before + n for n in (1, 2, 3, 4)]


def test_unsetting_several_is_one_event_and_clears_once() -> None:
    told = begun(input_node("x"), input_node("y"), compute("a", ["x", "y"], f), x=1, y=2)
    told.succeed("a", 1)
    before = told.revision
    told.unset("x", "y", "x")
    assert told.revision == before + 2
    assert not told.unset("x", "y").written


def test_a_diamond_is_cleared_once() -> None:
    told = x_and(compute("a", ["x"], f), compute("b", ["x"], f), compute("c", ["a", "b"], f))
    told.succeed("a", 1)
    told.succeed("b", 1)
    told.succeed("c", 1)
    before = told.revision
    told.unset("x")
    assert told.revision == before + 4


def test_a_gate_that_stays_open_keeps_the_old_value_until_the_new_one() -> None:
    told = x_and(compute("a", ["x"], f))
    told.succeed("a", "old")
    told.set(x=2)
    assert told.value("a") == "old"
    told.succeed("a", "new")
    assert told.value("a") == "new"


def test_a_cleared_value_is_computed_again_once_the_gate_opens() -> None:
    told = x_and(compute("a", ["x"], f))
    told.succeed("a", 1)
    told.unset("x")
    assert told.running() == []
    told.set(x=1)
    assert told.running() == ["a"]
    assert told.newest("a").number == 2


def test_inputs_mutates_ticks_historians_are_never_cleared() -> None:
    told = begun(
        input_node("x"),
        input_node("target"),
        mutate("m", ["x"], f, mutates="target"),
        tick_once("t", ["x"], f),
        historian("h", ["x"]),
        x=1,
        target=0,
    )
    told.succeed("m", 5)
    told.succeed("t", NOW + 60)
    told.unset("x")
    assert all(told.is_set(name) for name in ("m", "t", "h", "target"))


# --- OR, NOT ------------------------------------------------------------------------------------


def either() -> Story:
    return begun(input_node("a"), input_node("b"), compute("c", any_of("a", "b"), f), a="A")


def test_an_or_branch_that_appears_computes_again() -> None:
    told = either()
    told.succeed("c", "A")
    told.set(b="B")
    assert told.newest("c").computed_with == {"a": 1, "b": told.node("b").revision}
    assert told.running() == ["c"]


def test_an_or_branch_that_vanishes_computes_again() -> None:
    told = either()
    told.succeed("c", "A")
    told.set(b="B")
    told.succeed("c", "A-B")
    told.unset("a")
    assert told.value("c") == "A-B"
    assert told.running() == ["c"]
    told.succeed("c", "B")
    assert told.newest("c").computed_with == {"b": told.node("b").revision}


def test_the_last_or_branch_that_vanishes_clears() -> None:
    told = either()
    told.succeed("c", "A")
    told.unset("a")
    assert not told.is_set("c")


def test_a_met_leaf_in_an_unmet_and_branch_counts() -> None:
    gate = any_of(all_of("a", "b"), "d")
    told = begun(input_node("a"), input_node("b"), input_node("d"), compute("c", gate, f), a=1, d=1)
    assert told.newest("c").computed_with == {"a": 1, "d": 1}


def test_not_holds_until_the_node_is_set() -> None:
    told = begun(input_node("stop"), compute("go", not_("stop"), f))
    assert told.newest("go").computed_with == {"stop": 0}
    told.succeed("go", 1)
    told.set(stop=True)
    assert not told.is_set("go")
    told.unset("stop")
    assert told.running() == ["go"]


def test_a_predicate_that_raises_is_not_met_and_reported() -> None:
    def picky(node: NodeValue) -> bool:
        return bool(node.value > 40)

    told = begun(input_node("x"), compute("a", unblocked_when("x", picky), f))
    assert told.running() == []
    assert [(step, type(error)) for step, _, error in told.changes[-1].failures] == [
        ("a", TypeError)
    ]
    told.set(x=41)
    assert told.running() == ["a"]


def test_a_predicate_sees_metadata_and_is_asked_for_unset_nodes() -> None:
    def unset_or_urgent(node: NodeValue) -> bool:
        return not node.is_set or node.metadata == "urgent"

    told = begun(input_node("x"), compute("a", unblocked_when("x", unset_or_urgent), f))
    assert told.running() == ["a"]
    told.succeed("a", 1)
    told.set(x=1)
    assert not told.is_set("a")
    told.set(x=1, metadata="urgent")
    assert told.running() == ["a"]


# --- results ------------------------------------------------------------------------------------


def test_an_unchanged_result_writes_no_value_and_nothing_downstream_runs() -> None:
    told = x_and(compute("a", ["x"], f), compute("b", ["a"], f))
    told.succeed("a", 1)
    told.succeed("b", 1)
    told.set(x=2)
    earlier = told.outcomes
    change = told.succeed("a", 1.0)
    assert change.values == set()
    assert told.node("a").revision == 3
    assert told.running() == []
    assert told.outcomes == earlier
    assert told.revision == 8


def test_true_after_one_is_another_result() -> None:
    told = x_and(compute("a", ["x"], f))
    told.succeed("a", 1)
    told.set(x=2)
    told.succeed("a", True)
    assert told.value("a") is True


def test_a_change_during_a_run_is_seen_by_exactly_one_more_run() -> None:
    told = x_and(compute("a", ["x"], f))
    told.set(x=2)
    told.set(x=3)
    assert len(told.computations("a")) == 1
    told.succeed("a", "from 1")
    assert told.value("a") == "from 1"
    assert told.running() == ["a"]
    told.succeed("a", "from 3")
    assert told.running() == []
    assert told.newest("a").computed_with == {"x": 3 + 1}


def test_a_result_whose_gate_closed_meanwhile_is_recorded_and_cleared_in_one_change() -> None:
    told = x_and(compute("a", ["x"], f), compute("b", ["a"], f))
    told.unset("x")
    before = told.revision
    change = told.succeed("a", 1)
    assert told.newest("a").state is SUCCESS
    assert not told.is_set("a")
    assert told.revision == before + 2
    assert not change.begun


def test_closing_and_opening_a_gate_during_a_run_never_makes_two() -> None:
    told = x_and(compute("a", ["x"], f))
    told.succeed("a", 1)
    told.set(x=2)
    told.unset("x")
    told.set(x=3)
    assert len(told.computations("a")) == 2
    told.succeed("a", "from 2")
    assert told.running() == ["a"]
    told.succeed("a", "from 3")
    assert told.value("a") == "from 3"


def test_late_result_of_an_abandoned_attempt_is_dropped() -> None:
    told = x_and(compute("a", ["x"], f, retry=Retry(initial_delay=0)))
    late = Succeed(told.newest("a").key, told.token("a"), "late")
    told.abandon("a")
    assert told.newest("a").number == 2
    assert not told.do(late).written
    told.succeed("a", "in time")
    assert not told.do(late).written
    assert told.value("a") == "in time"


def test_late_failure_of_an_abandoned_attempt_is_dropped() -> None:
    told = x_and(compute("a", ["x"], f))
    late = Fail(told.newest("a").key, told.token("a"), "late")
    told.abandon("a")
    assert not told.do(late).written


def test_result_under_the_token_of_an_earlier_begin_is_dropped() -> None:
    told = x_and(compute("a", ["x"], f))
    late = Succeed(told.newest("a").key, told.token("a"), "late")
    told.release()
    assert told.newest("a").key == late.key
    assert told.token("a") != late.token
    assert not told.do(late).written


def test_abandoning_twice_counts_once() -> None:
    told = x_and(compute("a", ["x"], f, retry=THRICE))
    again = Abandon(told.newest("a").key, told.token("a"))
    told.abandon("a")
    assert not told.do(again).written
