from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from journey_async.core.change import Outcome, Pruning, Saved, SaveFailed
from journey_async.core.commands import Abandon, Fail, Release, SetValues, Succeed, Wake
from journey_async.core.conditions import Condition, all_of, any_of, is_true, not_, provided, value
from journey_async.core.description import described_graph
from journey_async.core.gates import unblocked_when
from journey_async.core.graph import Graph
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
from journey_async.core.reading import failed_computation, failed_upstream, has_come, is_settled
from journey_async.core.retry import Retry
from journey_async.core.schedules import cron, every
from journey_async.core.settle import settle
from journey_async.core.state import State, shown_state
from journey_async.core.values import Computation, ComputationState, NodeKind, NodeValue
from journey_async.errors import GraphError, UnknownNodeError
from tests.core.story import NOON, Story, some_function

AVAILABLE = ComputationState.AVAILABLE
COMPUTING = ComputationState.COMPUTING
SUCCESS = ComputationState.SUCCESS
FAILED = ComputationState.FAILED
ABANDONED = ComputationState.ABANDONED
CANCELLED = ComputationState.CANCELLED

f = some_function
ONCE = Retry(max_attempts=1)
THRICE = Retry(max_attempts=3, initial_delay=1, factor=2, jitter=False)
NOW = int(NOON.timestamp())


def graph(*nodes: Node, **options: Any) -> Graph:
    return Graph("g", "v1", nodes, **options)


def story(*nodes: Node, slots: int = 100) -> Story:
    return Story(graph(*nodes), slots=slots)


def begun(*nodes: Node, **values: Any) -> Story:
    """A story that has started with these values."""
    told = story(*nodes)
    told.start(**values)
    return told


def x_and(*nodes: Node, x: Any = 1, **values: Any) -> Story:
    return begun(input_node("x"), *nodes, x=x, **values)


# --- the example of the documentation ---------------------------------------------------------


def documented() -> Story:
    return story(
        input_node("x"),
        input_node("y"),
        compute("sum", ["x", "y"], f),
        compute("large_value_alert", value("sum") > 40, f),
    )


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


# --- set and unset ----------------------------------------------------------------------------


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


# --- OR, NOT ----------------------------------------------------------------------------------


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


# --- results ----------------------------------------------------------------------------------


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


# --- attempts ---------------------------------------------------------------------------------


def test_a_failed_attempt_is_tried_again_after_a_growing_delay() -> None:
    told = x_and(compute("a", ["x"], f, retry=THRICE))
    for attempt, delay in [(1, 1.0), (2, 2.0)]:
        assert told.newest("a").attempt == attempt
        told.fail("a")
        assert told.running() == []
        assert told.wakes_in == delay
        told.sleep()
        assert told.running() == ["a"]
    assert told.newest("a").attempt == 3
    told.fail("a", "for good")
    assert told.state.wake_at is None
    assert [c.state for c in told.computations("a")] == [FAILED] * 3
    assert told.outcomes[-1] == ("a", SaveFailed("for good", "error"))
    assert failed_computation(told.graph, told.state, "a") == told.newest("a")


def test_a_retry_that_is_not_due_is_not_begun_by_anything_else() -> None:
    told = begun(input_node("x"), input_node("y"), compute("a", ["x"], f, retry=THRICE), x=1)
    told.fail("a")
    told.set(y=1)
    assert told.running() == []
    told.later(0.999_999)
    assert not told.wake().written
    told.later(0.000_001)
    told.set(y=2)
    assert told.running() == ["a"]


def test_jitter_takes_a_share_of_the_delay() -> None:
    told = x_and(compute("a", ["x"], f, retry=Retry(initial_delay=8)))
    told.chance = 0.25
    told.fail("a")
    assert told.wakes_in == 2.0


def test_a_permanent_failure_is_the_last() -> None:
    told = x_and(compute("a", ["x"], f, retry=THRICE))
    told.fail("a", permanent=True)
    assert told.running() == []
    assert told.state.wake_at is None
    assert [type(o) for n, o in told.outcomes if n == "a"] == [SaveFailed]


def test_timeouts_use_up_attempts_like_errors() -> None:
    told = x_and(compute("a", ["x"], f, retry=Retry(max_attempts=2, initial_delay=0)))
    told.abandon("a")
    before = told.revision
    told.abandon("a")
    assert told.revision == before, "giving up is no event"
    assert told.running() == []
    assert [c.state for c in told.computations("a")] == [ABANDONED] * 2
    assert told.outcomes[-1] == ("a", SaveFailed("timeout", "timeout"))


def test_timeouts_after_a_success_and_a_new_input_end_too() -> None:
    told = x_and(compute("a", ["x"], f, retry=ONCE))
    told.succeed("a", 1)
    told.set(x=2)
    told.abandon("a")
    assert told.running() == []
    assert not told.wake().written


@pytest.mark.parametrize("how", ["fail", "abandon"])
def test_an_upstream_change_gives_new_attempts_even_if_none_ever_succeeded(how: str) -> None:
    told = x_and(compute("a", ["x"], f, retry=ONCE))
    getattr(told, how)("a")
    assert told.running() == []
    told.set(x=2)
    assert told.running() == ["a"]
    assert (told.newest("a").attempt, told.newest("a").number) == (1, 2)


def test_an_upstream_change_while_a_retry_waits_begins_anew_at_once() -> None:
    told = x_and(compute("a", ["x"], f, retry=THRICE))
    told.fail("a")
    told.set(x=2)
    assert told.running() == ["a"]
    assert told.newest("a").attempt == 1


def test_an_attempt_on_outdated_inputs_does_not_count() -> None:
    told = x_and(compute("a", ["x"], f, retry=ONCE))
    told.set(x=2)
    told.fail("a")
    assert told.running() == ["a"]
    assert told.newest("a").attempt == 1


@pytest.mark.parametrize("how", ["fail", "abandon"])
def test_a_failure_on_outdated_inputs_is_no_terminal_outcome(how: str) -> None:
    told = x_and(compute("a", ["x"], f, retry=ONCE))
    told.set(x=2)
    getattr(told, how)("a")
    assert told.running() == ["a"]
    assert [o for n, o in told.outcomes if n == "a"] == []


def test_successes_do_not_use_up_attempts() -> None:
    told = begun(tick_recurring("t", [], f, retry=Retry(max_attempts=2, initial_delay=0)))
    for cycle in range(1, 5):
        told.succeed("t", NOW + 60 * cycle)
        told.sleep()
        assert told.newest("t").attempt == 1
    told.fail("t")
    assert told.running() == ["t"]
    assert told.newest("t").attempt == 2


def test_a_failing_recomputation_keeps_the_old_value() -> None:
    told = x_and(compute("a", ["x"], f, retry=ONCE))
    told.succeed("a", "old")
    told.set(x=2)
    told.fail("a")
    assert told.value("a") == "old"


def test_a_long_error_is_cut() -> None:
    told = x_and(compute("a", ["x"], f))
    told.fail("a", "e" * 5000)
    assert told.computations("a")[0].error == "e" * 1000


def test_failure_upstream_is_found() -> None:
    told = x_and(compute("a", ["x"], f, retry=ONCE), compute("b", ["a"], f))
    told.fail("a")
    failed = failed_upstream(told.graph, told.state, "b")
    assert failed is not None
    assert failed.node == "a"


def test_retry_by_an_operator_adds_one_attempt() -> None:
    told = x_and(compute("a", ["x"], f, retry=ONCE))
    told.fail("a")
    told.retry("a")
    assert told.running() == ["a"]
    assert told.newest("a").attempt == 2
    told.fail("a")
    assert told.running() == []


def test_retry_by_an_operator_makes_a_waiting_one_due() -> None:
    told = x_and(compute("a", ["x"], f, retry=THRICE))
    told.fail("a")
    told.retry("a")
    assert told.running() == ["a"]
    assert told.newest("a").number == 2


def test_retry_by_an_operator_leaves_a_running_one_and_an_unborn_one_alone() -> None:
    told = begun(
        input_node("x"), input_node("y"), compute("a", ["x"], f), compute("b", ["y"], f), x=1
    )
    assert not told.retry("a").written
    assert not told.retry("b").written


def test_retry_by_an_operator_runs_a_success_again() -> None:
    told = x_and(compute("a", ["x"], f))
    told.succeed("a", 1)
    told.retry("a")
    assert told.running() == ["a"]
    assert told.newest("a").attempt == 1


def test_retry_by_an_operator_does_not_override_the_gate() -> None:
    told = x_and(compute("a", ["x"], f))
    told.succeed("a", 1)
    told.unset("x")
    told.retry("a")
    assert told.running() == []
    assert told.shown("a") is CANCELLED
    told.set(x=1)
    assert told.running() == ["a"]


@pytest.mark.parametrize("archived", [False, True])
def test_a_last_failure_is_told_unless_new_inputs_are_to_be_tried(archived: bool) -> None:
    def outcomes(meanwhile: Callable[[Story], object]) -> list[Outcome]:
        told = x_and(compute("a", ["x"], f, retry=ONCE))
        meanwhile(told)
        if archived:
            told.archive()
        told.fail("a")
        return [outcome for node, outcome in told.outcomes if node == "a"]

    assert outcomes(lambda _: None) == [SaveFailed("no", "error")]
    assert outcomes(lambda told: told.unset("x")) == [SaveFailed("no", "error")]
    assert outcomes(lambda told: told.set(x=2)) == []


# --- workers that go away ---------------------------------------------------------------------


def test_work_of_a_worker_that_died_begins_again_and_no_attempt_is_counted() -> None:
    told = x_and(compute("a", ["x"], f))
    told.worker = "worker-2"
    told.release("worker-1")
    newest = told.newest("a")
    assert (newest.state, newest.worker, newest.attempt) == (COMPUTING, "worker-2", 1)
    assert (newest.number, newest.deaths) == (1, 1)


def test_release_leaves_the_work_of_others_alone() -> None:
    told = x_and(compute("a", ["x"], f))
    assert not told.release("worker-2").written


def test_release_of_some_leaves_the_others_running() -> None:
    told = x_and(compute("a", ["x"], f), compute("b", ["x"], f))
    token = told.token("b")
    told.do(Release("worker-1", died=False, keys=(told.newest("a").key,)))
    assert told.token("b") == token
    assert told.newest("a").deaths == 0


def test_the_tenth_death_in_a_row_ends_it() -> None:
    told = x_and(compute("a", ["x"], f))
    for deaths in range(1, 10):
        told.release()
        assert told.newest("a").deaths == deaths
        assert told.running() == ["a"]
    before = told.revision
    told.release()
    assert told.revision == before + 1
    assert told.shown("a") is FAILED
    assert "10 times" in (told.newest("a").error or "")
    assert isinstance(told.outcomes[-1][1], SaveFailed)
    told.set(x=2)
    assert told.running() == ["a"]


def test_an_orderly_stop_is_no_death() -> None:
    told = x_and(compute("a", ["x"], f))
    for _ in range(20):
        told.release(died=False)
    assert told.newest("a").deaths == 0


def test_an_attempt_that_ended_by_itself_breaks_the_row_of_deaths() -> None:
    told = x_and(compute("a", ["x"], f, retry=Retry(initial_delay=0)))
    for _ in range(9):
        told.release()
    told.fail("a")
    told.release()
    assert told.shown("a") is COMPUTING


def test_deaths_are_counted_for_each_iteration_of_a_loop() -> None:
    told = x_and(loop("l", ["x"], f, max_iterations=100))
    for n in range(12):
        told.release()
        told.carry_on("l", n)
    assert told.shown("l") is COMPUTING


def test_released_work_whose_inputs_changed_begins_on_the_new_ones() -> None:
    told = x_and(compute("a", ["x"], f))
    told.set(x=2)
    told.release()
    assert told.newest("a").computed_with == {"x": told.node("x").revision}


def test_released_work_whose_gate_closed_is_withdrawn() -> None:
    told = x_and(compute("a", ["x"], f))
    told.unset("x")
    told.release()
    assert told.shown("a") is CANCELLED


# --- capacity ---------------------------------------------------------------------------------


def test_what_does_not_fit_is_left_available_and_wants_to_be_looked_at() -> None:
    told = story(input_node("x"), *(compute(name, ["x"], f) for name in "cab"), slots=2)
    told.start(x=1)
    assert told.running() == ["c", "a"]
    assert told.shown("b") is AVAILABLE
    assert told.state.wake_at == told.now
    told.succeed("a", 1)
    assert told.running() == ["c", "b"]
    assert told.state.wake_at is None


def test_what_cannot_run_here_is_left_available() -> None:
    told = story(input_node("x"), compute("a", ["x"], f))
    told.can_run = lambda node: False
    told.start(x=1)
    assert told.shown("a") is AVAILABLE
    told.can_run = lambda node: True
    told.wake()
    assert told.running() == ["a"]


def test_steps_without_a_function_need_no_capacity() -> None:
    told = story(
        input_node("x"), historian("h", ["x"]), tick_once("t", ["x"], cron("0 9 * * *")), slots=0
    )
    told.start(x=1)
    assert told.is_set("h")
    assert told.is_set("t")


def test_queued_work_sees_the_newest_inputs_once_it_begins() -> None:
    told = story(input_node("x"), compute("a", ["x"], f), slots=0)
    told.start(x=1)
    told.set(x=2)
    told.slots = 1
    change = told.wake()
    assert change.begun[0].computation.computed_with == {"x": 2}
    assert change.begun[0].state.values["x"].value == 2
    assert told.newest("a").number == 1


def test_queued_work_whose_gate_closes_is_withdrawn() -> None:
    told = story(input_node("x"), compute("a", ["x"], f), slots=0)
    told.start(x=1)
    told.unset("x")
    assert told.shown("a") is CANCELLED
    assert shown_state(told.state, "a") == "not_set"
    assert told.state.wake_at is None
    told.slots = 1
    told.set(x=1)
    assert told.newest("a").number == 2
    assert told.running() == ["a"]


def test_a_withdrawn_run_does_not_hide_that_the_node_has_run() -> None:
    told = begun(input_node("x"), input_node("y"), mutate("m", ["x"], f, mutates="y"), x=1)
    told.succeed("m", 1)
    told.slots = 0
    told.set(x=2)
    told.unset("x")
    assert told.is_set("m")
    assert shown_state(told.state, "m") == "success"


# --- mutate -----------------------------------------------------------------------------------


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


# --- historian --------------------------------------------------------------------------------


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


# --- archive ----------------------------------------------------------------------------------


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


# --- ticks ------------------------------------------------------------------------------------


def ticking(*, recurring: bool = False, gate: Any = ("x",)) -> Story:
    kind = tick_recurring if recurring else tick_once
    return x_and(kind("t", list(gate), f), compute("d", ["t"], f))


def test_what_waits_for_a_tick_begins_at_its_time() -> None:
    told = ticking()
    told.succeed("t", NOW + 60)
    assert told.wakes_in == 60
    told.later(59.999_999)
    assert not told.wake().written
    told.later(0.000_001)
    told.wake()
    assert told.running() == ["d"]
    assert told.state.wake_at is None


def test_a_past_tick_fires_at_once() -> None:
    told = ticking()
    told.succeed("t", NOW - 3600)
    assert told.running() == ["d"]


@pytest.mark.parametrize("paused", [0, None])
@pytest.mark.parametrize("recurring", [False, True])
def test_a_paused_tick_does_not_fire_nor_poll(paused: Any, recurring: bool) -> None:
    told = ticking(recurring=recurring)
    told.succeed("t", paused)
    assert told.state.wake_at is None
    told.later(86400)
    assert not told.wake().written
    told.set(x=2)
    assert told.running() == ["t"]


@pytest.mark.parametrize("bad", ["tomorrow", True, -5, [1], {"a": 1}])
def test_a_tick_without_a_time_stops_nothing(bad: Any) -> None:
    told = ticking()
    told.succeed("t", bad)
    told.set(x=2)
    told.succeed("t", NOW)
    assert told.running() == ["d"]


def test_a_tick_between_two_microseconds_fires_when_it_wakes() -> None:
    told = ticking()
    told.succeed("t", NOW + 60.1234567)
    told.sleep()
    assert told.running() == ["d"]


def test_a_tick_just_after_a_microsecond_is_not_forgotten() -> None:
    told = begun(tick_once("t", [], f), compute("d", ["t"], f))
    told.succeed("t", NOW + 60.1234565)
    told.sleep()
    assert told.running() == ["d"] or told.state.wake_at is not None


def test_moving_or_pausing_a_tick_wipes_nothing() -> None:
    told = ticking()
    told.succeed("t", NOW)
    told.succeed("d", "done")
    told.set(x=2)
    told.succeed("t", NOW + 60)
    assert told.value("d") == "done"
    told.set(x=3)
    told.succeed("t", 0)
    assert told.value("d") == "done"


def test_a_tick_moved_on_while_what_it_unblocked_was_queued_does_not_withdraw_it() -> None:
    told = story(input_node("x"), tick_once("t", ["x"], f), compute("d", ["t"], f))
    told.start(x=1)
    told.slots = 1
    told.can_run = lambda node: node.name == "t"
    told.succeed("t", NOW)
    fired = told.node("t").revision
    assert told.shown("d") is AVAILABLE
    told.set(x=2)
    told.succeed("t", NOW + 60)
    assert told.shown("d") is AVAILABLE
    told.can_run = lambda node: True
    told.wake()
    assert told.newest("d").computed_with == {"t": fired}
    told.succeed("d", 1)
    told.sleep()
    assert told.running() == ["d"]
    assert told.newest("d").computed_with == {"t": told.node("t").revision}


def test_a_retry_goes_on_though_the_tick_has_moved_on() -> None:
    told = begun(
        tick_recurring("t", [], every(timedelta(minutes=1))), compute("d", ["t"], f, retry=THRICE)
    )
    told.sleep()
    assert told.running() == ["d"]
    told.fail("d")
    assert told.wakes_in == 1.0
    told.sleep()
    assert told.newest("d").attempt == 2
    told.succeed("d", 1)
    assert told.wakes_in == 59.0


@pytest.mark.parametrize("moved_to", [NOW + 3600, 0])
def test_after_its_last_attempt_a_node_waits_for_its_tick_again(moved_to: int) -> None:
    told = begun(
        input_node("x"),
        input_node("when"),
        tick_once("t", ["when"], f),
        compute("d", ["t", "x"], f, retry=ONCE),
        x=1,
        when=1,
    )
    told.succeed("t", NOW)
    told.fail("d")
    told.set(when=2)
    told.succeed("t", moved_to)
    told.set(x=2)
    assert told.running() == []


def test_a_negated_tick_holds_until_the_tick_is_due() -> None:
    told = begun(tick_once("t", [], f), compute("early", not_("t"), f))
    told.succeed("t", NOW + 60)
    told.succeed("early", 1)
    told.succeed("early", 1)
    assert told.running() == []
    assert told.is_set("early")
    told.sleep()
    assert not told.is_set("early")
    assert told.state.wake_at is None


def test_a_negated_tick_in_an_or_that_becomes_due_computes_again() -> None:
    told = begun(
        tick_once("t", [], f), input_node("x"), compute("a", any_of(not_("t"), "x"), f), x=1
    )
    told.succeed("t", NOW + 60)
    told.succeed("a", "early")
    told.succeed("a", "early")
    assert set(told.newest("a").computed_with) == {"t", "x"}
    told.sleep()
    assert told.running() == ["a"]
    assert set(told.newest("a").computed_with) == {"x"}


def test_a_recurring_tick_runs_again_after_each_firing() -> None:
    told = ticking(recurring=True)
    for cycle in (1, 2, 3):
        told.succeed("t", NOW + 60 * cycle)
        told.sleep()
        assert told.running() == ["t", "d"]
        told.succeed("d", cycle)
    assert told.revision == 1 + 2 * 3 + 1 + 2 * 3


def test_a_slow_recurring_tick_is_one_run_at_a_time() -> None:
    told = ticking(recurring=True)
    told.succeed("t", NOW + 60)
    told.sleep()
    told.succeed("d", 1)
    told.later(3600)
    assert not told.wake().written
    assert told.newest("t").number == 2


def test_firings_during_a_run_are_one_more_run() -> None:
    told = ticking(recurring=True)
    told.succeed("t", NOW + 60)
    told.sleep()
    told.succeed("t", NOW + 120)
    told.sleep()
    told.succeed("t", NOW + 180)
    told.sleep()
    told.succeed("t", NOW + 240)
    assert told.running() == ["d"]
    told.succeed("d", 1)
    assert told.running() == []
    assert told.wakes_in == 60


def test_a_recurring_tick_whose_time_is_always_past_pauses_for_a_second() -> None:
    told = ticking(recurring=True)
    told.succeed("t", NOW - 100)
    assert told.running() == ["d"]
    assert told.wakes_in == 1.0
    told.sleep()
    assert "t" in told.running()


def test_every_counts_from_the_time_it_fired_at() -> None:
    told = begun(tick_recurring("t", [], every(timedelta(seconds=10))), compute("d", ["t"], f))
    assert told.value("t") == NOW + 10
    told.later(13)
    told.wake()
    assert told.value("t") == NOW + 20
    told.later(100)
    told.wake()
    assert told.value("t") == NOW + 120
    assert told.running() == ["d"]


def test_an_interval_beyond_all_times_is_refused_or_stops_nothing() -> None:
    with pytest.raises(GraphError):
        every(timedelta.max)
    begun(tick_recurring("t", [], every(timedelta(days=36500))))


def test_cron_in_place_of_a_function() -> None:
    told = begun(
        tick_recurring("t", [], cron("0 9 * * *", tz="Europe/Berlin")), compute("d", ["t"], f)
    )
    assert told.value("t") == datetime(2024, 3, 2, 8, tzinfo=UTC).timestamp()
    told.sleep()
    assert told.running() == ["d"]
    assert told.value("t") == datetime(2024, 3, 3, 8, tzinfo=UTC).timestamp()
    assert told.revision == 2 + 1 + 2


def test_a_tick_is_not_cleared_and_fires_after_its_inputs_are_gone() -> None:
    told = ticking()
    told.succeed("t", NOW + 60)
    told.unset("x")
    told.sleep()
    assert told.running() == ["d"]


def test_a_tick_once_is_computed_again_after_it_fired() -> None:
    told = ticking()
    told.succeed("t", NOW)
    told.succeed("d", 1)
    told.set(x=2)
    assert told.running() == ["t"]
    told.succeed("t", NOW + 60)
    told.sleep()
    assert told.running() == ["d"]


@pytest.mark.parametrize("early", [0.000_001, 0.005, 1.0])
def test_attention_wanted_by_a_clock_that_is_ahead_is_not_forgotten(early: float) -> None:
    told = begun(input_node("x"), input_node("y"), compute("a", ["x"], f))
    # somebody who could not settle has set x, by a clock that is ahead of ours
    ahead = told.now + timedelta(seconds=early)
    told.state = _written_elsewhere(told.state, "x", 1, ahead)
    told.set(y=1)
    assert told.running() == ["a"] or told.state.wake_at == ahead


def _written_elsewhere(state: State, name: str, value: Any, at: datetime) -> State:
    row = NodeValue(name, NodeKind.INPUT, value, None, state.revision + 1, at)
    return state._replace(
        version=state.version + 1,
        revision=state.revision + 1,
        inputs_revision=state.revision + 1,
        values={**state.values, name: row},
        wake_at=at,
    )


def test_attention_wanted_is_given_by_whoever_comes_first() -> None:
    told = begun(input_node("x"), input_node("y"), compute("a", ["x"], f))
    told.state = _written_elsewhere(told.state, "x", 1, told.now)
    told.set(y=1)
    assert told.running() == ["a"]
    assert told.state.wake_at is None


# --- loops ------------------------------------------------------------------------------------


def looping(*nodes: Node, max_iterations: int = 3, retry: Retry = THRICE) -> Story:
    return x_and(
        loop("l", ["x"], f, max_iterations=max_iterations, retry=retry),
        compute("after", ["l"], f),
        *nodes,
    )


def test_a_loop_goes_on_until_it_is_done() -> None:
    told = looping()
    told.carry_on("l", "one")
    assert not told.is_set("l")
    newest = told.newest("l")
    assert (newest.iteration, newest.carried, newest.attempt, newest.number) == (2, "one", 1, 2)
    told.carry_on("l", "two")
    told.succeed("l", "done")
    assert told.value("l") == "done"
    assert told.running() == ["after"]
    assert [c.iteration for c in told.computations("l")] == [1, 2, 3]
    assert told.revision == 1 + 6 + 1


def test_a_carried_none_is_carried() -> None:
    told = looping()
    told.carry_on("l", None)
    assert (told.newest("l").iteration, told.newest("l").carried) == (2, None)


def test_at_the_cap_the_fallback_becomes_the_value() -> None:
    told = looping()
    for number in (1, 2, 3):
        told.carry_on("l", number, fallback=True)
    assert told.value("l") == 3
    assert told.running() == ["after"]
    assert told.outcomes[-1] == ("l", Saved(3, told.node("l").revision))


def test_at_the_cap_without_a_fallback_there_is_no_value() -> None:
    told = looping()
    for number in (1, 2, 3):
        told.carry_on("l", number)
    assert not told.is_set("l")
    assert told.running() == []
    assert told.outcomes[-1] == ("l", SaveFailed("max_iterations_reached", "max_iterations"))
    assert failed_computation(told.graph, told.state, "l") == told.newest("l")
    assert not told.wake().written
    told.set(x=2)
    assert (told.running(), told.newest("l").iteration) == (["l"], 1)


def test_a_cap_reached_on_outdated_inputs_is_no_terminal_outcome() -> None:
    told = looping(max_iterations=1)
    told.set(x=2)
    change = told.carry_on("l", "of 1")
    assert (told.running(), told.newest("l").iteration) == (["l"], 1)
    assert change.outcomes == ()


def test_an_upstream_change_in_the_middle_starts_over() -> None:
    told = looping()
    told.carry_on("l", "from 1")
    told.set(x=2)
    told.carry_on("l", "mixed")
    assert (told.newest("l").iteration, told.newest("l").carried) == (1, None)
    told.succeed("l", "from 2")
    assert told.value("l") == "from 2"


def test_a_queued_iteration_starts_over_after_an_upstream_change() -> None:
    told = looping()
    told.slots = 0
    told.carry_on("l", "from 1")
    assert told.shown("l") is AVAILABLE
    told.set(x=2)
    assert (told.newest("l").iteration, told.newest("l").carried) == (1, None)


def test_an_iteration_is_retried_with_what_was_carried_into_it() -> None:
    told = looping()
    told.carry_on("l", "one")
    told.fail("l")
    told.sleep()
    newest = told.newest("l")
    assert (newest.iteration, newest.attempt, newest.carried) == (2, 2, "one")
    told.fail("l")
    told.sleep()
    told.carry_on("l", "two")
    assert (told.newest("l").iteration, told.newest("l").attempt) == (3, 1)


def test_a_gate_that_closes_ends_the_loop() -> None:
    told = looping()
    told.carry_on("l", "one")
    told.unset("x")
    told.carry_on("l", "two")
    assert told.running() == []
    told.set(x=1)
    assert (told.running(), told.newest("l").iteration) == (["l"], 1)


def test_a_done_loop_writes_even_the_same_value() -> None:
    told = looping()
    told.succeed("l", 1)
    told.succeed("after", 1)
    told.set(x=2)
    told.succeed("l", 1)
    assert told.running() == ["after"]


def test_a_loop_that_ran_out_starts_over_when_an_operator_retries_it() -> None:
    told = looping(max_iterations=1)
    told.carry_on("l", "one")
    told.retry("l")
    assert (told.newest("l").iteration, told.newest("l").carried) == (1, None)


def test_a_thousand_iterations() -> None:
    told = looping(max_iterations=1000)
    for number in range(999):
        told.carry_on("l", number)
    told.succeed("l", "done")
    assert told.newest("l").number == 1000


def test_a_tick_that_moves_on_does_not_end_a_loop() -> None:
    told = begun(
        tick_recurring("t", [], every(timedelta(minutes=1))),
        loop("l", ["t"], f, max_iterations=3),
    )
    told.sleep()
    told.carry_on("l", 1)
    assert (told.running(), told.newest("l").iteration) == (["l"], 2)
    told.succeed("l", 2)
    told.sleep()
    assert (told.running(), told.newest("l").iteration) == (["l"], 1)


# --- evolution --------------------------------------------------------------------------------


def test_an_added_node_runs() -> None:
    told = x_and(compute("a", ["x"], f))
    told.succeed("a", 1)
    before = told.revision
    told.evolve(graph(input_node("x"), compute("a", ["x"], f), compute("b", ["a"], f)))
    assert told.running() == ["b"]
    assert told.revision == before + 1
    assert told.state.graph_hash == told.graph.hash


def test_the_same_graph_again_changes_nothing() -> None:
    told = x_and(compute("a", ["x"], f))
    assert not told.evolve(told.graph).written


def test_a_removed_node_that_was_queued_is_withdrawn() -> None:
    told = story(input_node("x"), compute("a", ["x"], f), slots=0)
    told.start(x=1)
    told.evolve(graph(input_node("x")))
    assert told.state.newest["a"].state is CANCELLED
    assert told.state.wake_at is None


@pytest.mark.parametrize("how", ["succeed", "fail", "abandon"])
def test_a_result_of_a_removed_node_is_dropped_and_stops_nothing(how: str) -> None:
    told = x_and(compute("a", ["x"], f))
    told.evolve(graph(input_node("x"), compute("b", ["x"], f)))
    getattr(told, how)("a")
    assert "a" not in told.state.values
    assert told.state.newest["a"].state in {ABANDONED, FAILED}
    told.set(x=2)
    assert told.state.wake_at is None


def test_a_result_of_a_node_that_became_another_kind_is_dropped_and_it_runs_anew() -> None:
    told = x_and(input_node("y"), compute("a", ["x"], f))
    told.evolve(graph(input_node("x"), input_node("y"), mutate("a", ["x"], f, mutates="y")))
    change = told.succeed("a", "of the function that was")
    assert "y" not in told.state.values
    assert change.outcomes == ()
    assert told.state.newest["a"].kind is NodeKind.MUTATE
    assert told.state.newest["a"].state is COMPUTING
    told.succeed("a", "new")
    assert told.state.values["y"].value == "new"


def test_retrying_a_node_that_left_the_graph_is_refused() -> None:
    told = x_and(compute("a", ["x"], f, retry=ONCE))
    told.fail("a")
    told.evolve(graph(input_node("x")))
    with pytest.raises(UnknownNodeError):
        told.retry("a")


def test_retrying_a_step_that_became_an_input_changes_nothing() -> None:
    told = x_and(compute("a", ["x"], f, retry=ONCE))
    told.fail("a")
    told.evolve(graph(input_node("x"), input_node("a")))
    assert not told.retry("a").written


def test_released_work_of_a_removed_node_is_withdrawn() -> None:
    told = x_and(compute("a", ["x"], f))
    told.evolve(graph(input_node("x")))
    told.release()
    assert told.state.newest["a"].state not in {AVAILABLE, COMPUTING}
    assert told.state.wake_at is None


def test_a_removed_node_that_returns_runs() -> None:
    both = graph(input_node("x"), compute("a", ["x"], f))
    told = Story(both, slots=0)
    told.start(x=1)
    told.evolve(graph(input_node("x")))
    told.slots = 1
    told.evolve(both)
    assert told.running() == ["a"]


def test_a_changed_gate_is_applied() -> None:
    told = x_and(compute("a", value("x") > 0, f))
    told.succeed("a", 1)
    told.evolve(graph(input_node("x"), compute("a", value("x") > 5, f)))
    assert not told.is_set("a")


def test_a_step_that_no_longer_waits_for_a_tick_runs_at_once() -> None:
    told = x_and(input_node("y"), tick_once("t", ["x"], f), compute("d", any_of("t", "y"), f), y=1)
    told.succeed("d", 1)
    told.succeed("t", NOW)
    told.succeed("d", 2)
    told.set(x=2)
    told.succeed("t", NOW + 60)
    assert told.running() == []
    told.evolve(
        graph(input_node("x"), input_node("y"), tick_once("t", ["x"], f), compute("d", ["y"], f))
    )
    assert told.running() == ["d"]
    told.succeed("d", 3)
    told.set(x=3)
    told.succeed("t", NOW)
    assert told.running() == []


def test_an_input_that_becomes_a_step_runs() -> None:
    told = begun(input_node("x"), input_node("a"), x=1)
    told.evolve(graph(input_node("x"), compute("a", ["x"], f)))
    assert told.running() == ["a"]


def test_a_step_that_changes_its_kind_runs_as_what_it_is_now() -> None:
    told = x_and(compute("a", ["x"], f))
    told.succeed("a", 1)
    told.evolve(graph(input_node("x"), tick_once("a", ["x"], f)))
    assert told.running() == ["a"]


def test_a_tick_that_becomes_a_value_is_read_as_one_though_it_computes_the_same() -> None:
    told = x_and(tick_once("a", ["x"], f), compute("b", ["a"], f))
    told.succeed("a", NOW + 60)
    told.evolve(graph(input_node("x"), compute("a", ["x"], f), compute("b", ["a"], f)))
    told.succeed("a", NOW + 60)
    assert told.node("a").kind is NodeKind.COMPUTE
    assert told.running() == ["b"]


def test_a_tick_that_becomes_an_input_is_provided_at_once() -> None:
    told = x_and(tick_once("a", ["x"], f), compute("b", ["a"], f))
    told.succeed("a", NOW + 60)
    told.evolve(graph(input_node("x"), input_node("a"), compute("b", ["a"], f)))
    assert told.running() == ["b"]
    assert told.state.wake_at is None


def test_what_a_loop_carried_is_nothing_that_a_historian_remembers() -> None:
    told = x_and(loop("a", ["x"], f, max_iterations=3))
    told.carry_on("a", {"x": "not a revision"})
    told.archive()
    told.abandon("a")
    told.evolve(graph(input_node("x"), historian("a", ["x"])))
    told.unarchive()
    assert [entry["value"] for entry in told.value("a")] == [1]


def test_a_step_that_becomes_a_historian_stops_nothing() -> None:
    told = x_and(compute("a", ["x"], f))
    told.succeed("a", 1)
    told.evolve(graph(input_node("x"), historian("a", ["x"])))
    told.set(x=2)


# --- graphs whose code is elsewhere -----------------------------------------------------------


def opaque() -> Graph:
    def positive(node: NodeValue) -> bool:
        return bool(node.value > 0)

    whole = graph(input_node("x"), input_node("y"), compute("a", unblocked_when("x", positive), f))
    described = described_graph(whole.model_dump(mode="json"))
    assert described.is_opaque
    return described


def test_whoever_cannot_read_a_gate_writes_and_asks_for_attention() -> None:
    told = Story(opaque())
    told.start()
    assert told.state.wake_at == told.now
    told.later(1)
    told.set(x=1)
    assert told.value("x") == 1
    assert told.running() == []
    assert told.state.wake_at == told.now


@pytest.mark.parametrize("how", ["release", "retry"])
def test_attention_wanted_is_not_taken_for_work_that_became_due_just_then(how: str) -> None:
    def positive(node: NodeValue) -> bool:
        return bool(node.value > 0)

    whole = graph(
        input_node("x"),
        input_node("y"),
        compute("a", unblocked_when("x", positive), f, retry=ONCE),
        compute("b", ["y"], f),
    )
    told = Story(whole)
    told.start(x=1)
    if how == "retry":
        told.fail("a")
    told.graph = described_graph(whole.model_dump(mode="json"))
    told.can_run = lambda node: False
    told.set(y=1)
    getattr(told, how)(*["a"] if how == "retry" else [])
    assert not is_settled(told.graph, told.state, "b")
    told.graph = whole
    told.can_run = lambda node: True
    told.set(x=2)
    assert sorted(told.running()) == ["a", "b"]


def test_nothing_set_by_whoever_cannot_settle_is_nothing_to_attend_to() -> None:
    told = Story(opaque())
    told.state = _settled(told.state)
    assert not told.unset("x").written
    assert told.state.wake_at is None


def _settled(state: State) -> State:
    return state._replace(version=1)


def test_a_description_with_readable_gates_settles_but_runs_nothing() -> None:
    whole = graph(
        input_node("x"),
        compute("a", value("x") > 0, f),
        historian("h", ["x"]),
        archive("end", is_true("x")),
    )
    told = Story(described_graph(whole.model_dump(mode="json")))
    told.can_run = lambda node: getattr(node, "function", None) is None
    told.start(x=1)
    assert told.shown("a") is AVAILABLE
    assert len(told.value("h")) == 1


def test_an_execution_that_wants_attention_is_not_settled() -> None:
    told = Story(opaque())
    told.start()
    told.set(x=1)
    assert not is_settled(told.graph, told.state, "a")
    assert is_settled(told.graph, told.state, "x")


def test_a_failure_on_inputs_that_nobody_has_attended_to_yet_is_not_the_last() -> None:
    def positive(node: NodeValue) -> bool:
        return bool(node.value > 0)

    whole = graph(input_node("x"), compute("a", unblocked_when("x", positive), f, retry=ONCE))
    told = Story(whole)
    told.start(x=1)
    told.fail("a")
    told.graph = described_graph(whole.model_dump(mode="json"))
    assert failed_computation(told.graph, told.state, "a") is not None
    told.set(x=2)
    assert failed_computation(told.graph, told.state, "a") is None


def test_a_failure_on_inputs_that_are_gone_is_not_the_last() -> None:
    told = x_and(tick_once("t", [], f), compute("a", all_of("x", "t"), f, retry=ONCE))
    told.succeed("t", NOW + 60)
    told.sleep()
    told.fail("a")
    assert failed_computation(told.graph, told.state, "a") == told.newest("a")
    told.unset("x")
    assert failed_computation(told.graph, told.state, "a") is None


def test_a_failure_after_a_tick_that_has_moved_on_is() -> None:
    told = x_and(tick_recurring("t", [], f), compute("a", all_of("x", "t"), f, retry=ONCE))
    told.succeed("t", NOW + 60)
    told.sleep()
    told.succeed("t", NOW + 120)
    told.fail("a")
    assert failed_computation(told.graph, told.state, "a") == told.newest("a")


# --- the rest ---------------------------------------------------------------------------------


def test_settled_means_nothing_upstream_is_queued_or_running() -> None:
    told = x_and(compute("a", ["x"], f), compute("b", ["a"], f), tick_once("t", [], f))
    assert not is_settled(told.graph, told.state, "b")
    told.succeed("t", NOW + 60)
    told.succeed("a", 1)
    assert is_settled(told.graph, told.state, "a")
    assert not is_settled(told.graph, told.state, "b")
    told.succeed("b", 1)
    assert is_settled(told.graph, told.state, "b")


def test_the_time_of_a_tick_that_has_come_counts_for_what_depends_on_it() -> None:
    told = x_and(tick_once("t", [], f), compute("late", ["t"], f), compute("a", ["x"], f))
    told.succeed("t", NOW + 60)
    told.succeed("a", 1)

    def come(seconds: float) -> list[str]:
        now = told.now + timedelta(seconds=seconds)
        return [n for n in ("x", "t", "late", "a") if has_come(told.graph, told.state, n, now)]

    assert come(59) == []
    assert come(60) == ["t", "late"]
    told.sleep()
    assert come(0) == []


def test_what_is_stale_in_an_archived_execution_is_not_settled() -> None:
    told = x_and(compute("a", ["x"], f), compute("b", ["a"], f), compute("c", ["x"], f))
    for name in "abc":
        told.succeed(name, 1)
    told.set(x=2)
    told.succeed("c", 2)
    told.archive()
    told.succeed("a", 2)
    assert [is_settled(told.graph, told.state, name) for name in "abc"] == [True, False, True]
    told.unarchive()
    told.succeed("b", 2)
    told.archive()
    assert is_settled(told.graph, told.state, "b")


def test_nor_is_what_would_be_cleared() -> None:
    told = x_and(compute("a", ["x"], f), compute("b", value("a") > 1, f))
    told.succeed("a", 2)
    told.succeed("b", 1)
    told.set(x=2)
    told.archive()
    told.succeed("a", 1)
    assert not is_settled(told.graph, told.state, "b")
    told.unarchive()
    told.archive()
    assert is_settled(told.graph, told.state, "b")


def test_last_updated_at_as_a_gate_does_not_trigger_itself() -> None:
    told = begun(input_node("x"), compute("a", ["last_updated_at"], f))
    told.succeed("a", 1)
    assert told.running() == []
    told.later(5)
    told.set(x=1)
    assert told.running() == ["a"]
    told.succeed("a", 2)
    assert told.running() == []
    assert told.value("last_updated_at") == NOW + 5


def test_a_comparison_with_last_updated_at_is_judged_as_a_whole_look_would() -> None:
    told = begun(compute("a", [], f), compute("late", value("last_updated_at") > NOW, f))
    told.later(5)
    told.succeed("a", 1)  # the story checks that deciding again gives nothing


def test_retention_keeps_the_oldest_and_the_latest() -> None:
    told = x_and(compute("a", ["x"], f, keep_latest_computations=2, keep_oldest_computations=3))
    pruned: set[int] = set()
    for number in range(2, 12):
        change = told.succeed("a", number)
        for pruning in change.prunings:
            assert pruning.node == "a"
            pruned |= set(range(pruning.above + 1, pruning.below))
        told.set(x=number)
    assert told.newest("a").successes == 10
    assert pruned == set(range(4, 9))


def test_retention_of_the_graph_holds_where_the_node_says_nothing() -> None:
    told = Story(
        graph(
            input_node("x"),
            compute("a", ["x"], f, keep_oldest_computations=1),
            compute("b", ["x"], f, keep_latest_computations="all", keep_oldest_computations=1),
            keep_latest_computations=1,
        )
    )
    told.start(x=1)
    prunings: list[Pruning] = []
    for number in range(2, 6):
        prunings += told.succeed("a", number).prunings
        prunings += told.succeed("b", number).prunings
        told.set(x=number)
    assert prunings == [Pruning("a", 1, 3), Pruning("a", 1, 4)]


def test_updated_at_moves_with_the_revision() -> None:
    told = x_and(compute("a", ["x"], f, retry=THRICE))
    told.later(1)
    told.abandon("a")
    assert told.state.updated_at == NOON
    told.later(1)
    told.set(x=2)
    assert told.state.updated_at == told.now


def test_the_execution_id_is_a_value() -> None:
    told = begun(compute("a", ["execution_id"], f))
    assert told.value("execution_id") == "EXEC1"
    assert told.running() == ["a"]
    told.succeed("a", 1)
    assert not told.wake().written


def test_a_failure_with_an_endless_delay_can_be_recorded() -> None:
    with pytest.raises(GraphError):
        Retry(initial_delay=1e13, max_delay=1e13)
    told = x_and(compute("a", ["x"], f, retry=Retry(initial_delay=3e8, max_delay=3e8)))
    told.fail("a")


def test_built_in_steps_that_exclude_each_other_do_not_depend_on_a_stale_look() -> None:
    told = x_and(historian("h", ["x"]), archive("end", all_of("x", not_("h"))))
    assert told.state.archived_at is None


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


def test_a_wake_finds_nothing_in_a_quiet_execution() -> None:
    told = documented()
    told.start(x=1, y=2)
    told.succeed("sum", 3)
    told.later(1_000_000)
    assert not told.do(Wake()).written


def test_conditions_of_every_kind_gate_a_step() -> None:
    gates: list[Condition] = [
        value("x") == 5,
        value("x") != 4,
        value("x").in_([5, 6]),
        (value("x") >= 5) & (value("x") <= 5),
        provided("x"),
        ~(value("x") < 5),
    ]
    told = x_and(*(compute(f"c{n}", gate, f) for n, gate in enumerate(gates)), x=5)
    assert len(told.running()) == len(gates)


def test_a_computations_id_tells_where_it_belongs() -> None:
    told = x_and(compute("a", ["x"], f))
    newest: Computation = told.newest("a")
    assert newest.id == "EXEC1:a:1"
    assert (newest.worker, newest.revision_at_start) == ("worker-1", 2)
    assert newest.deadline == NOON + timedelta(seconds=60)
