"""Faults of the Elixir original, provoked on the core; docs/defects-of-the-original.md."""

from collections.abc import Callable

import pytest

from journey_async.core.change import Saved, SaveFailed
from journey_async.core.commands import Abandon
from journey_async.core.conditions import Condition, all_of, any_of, value
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
)
from journey_async.core.reading import failed_computation
from journey_async.core.retry import Retry
from journey_async.core.state import shown_state
from journey_async.core.values import ComputationState, NodeValue
from journey_async.errors import GraphError
from tests.core.story import NOON, Story, some_function

ONCE = Retry(max_attempts=1)
AT_ONCE = Retry(max_attempts=2, initial_delay=0)
DAY = 86_400
NOW = int(NOON.timestamp())

f = some_function


def begun(*nodes: Node, **values: object) -> Story:
    """A story that has started with these values."""
    told = Story(Graph("g", "v1", nodes))
    told.start(**values)  # type: ignore[arg-type]
    return told


def x_and(*nodes: Node) -> Story:
    return begun(input_node("x"), *nodes, x=1)


# --- when a node runs -------------------------------------------------------------------------


def is_unset(node: NodeValue) -> bool:
    return not node.is_set


def lies_ahead(node: NodeValue) -> bool:
    return not node.is_set or node.value > NOW


@pytest.mark.parametrize("predicate", [is_unset, lies_ahead])
def test_a_predicate_that_an_unset_tick_meets_is_no_endless_round(  # B5
    predicate: Callable[[NodeValue], bool],
) -> None:
    told = begun(
        input_node("when"),
        tick_once("t", ["when"], f),
        compute("a", unblocked_when("t", predicate), f),
    )
    told.succeed("a", 1)
    assert told.value("a") == 1
    assert told.running() == []


@pytest.mark.parametrize(
    "gate",
    [
        any_of("when", ~(value("t") > NOW)),
        ~(value("t") == NOW + 60),
        ~all_of("t", "when"),
        ~unblocked_when("t", lies_ahead),
    ],
    ids=str,
)
def test_a_negation_on_a_tick_is_no_endless_round(gate: Condition) -> None:  # B5
    told = begun(input_node("when"), tick_once("t", ["when"], f), compute("a", gate, f), when=1)
    told.succeed("t", NOW + 60)
    runs = 0
    while "a" in told.running():
        told.succeed("a", runs)
        runs += 1
        assert runs < 4


def test_an_idle_execution_is_archived_by_a_tick_on_its_last_update() -> None:  # B31, B35
    told = begun(
        input_node("x"), tick_once("idle", ["last_updated_at"], f), archive("end", ["idle"])
    )
    told.succeed("idle", NOW + DAY)
    told.later(DAY - 1)
    told.set(x=1)
    assert told.running() == ["idle"]
    told.succeed("idle", NOW + 2 * DAY - 1)
    assert told.running() == []
    told.later(DAY - 1)
    assert not told.wake().written
    told.sleep()
    assert told.state.archived_at == told.now
    assert told.value("end") == NOW + 2 * DAY - 1


# --- attempts ---------------------------------------------------------------------------------


def test_failures_of_earlier_runs_do_not_count_as_failed_for_good() -> None:  # B15
    told = x_and(compute("a", ["x"], f, retry=AT_ONCE))
    for x in range(2, 7):
        told.fail("a")
        assert failed_computation(told.graph, told.state, "a") is None
        told.succeed("a", x)
        told.set(x=x)
        assert failed_computation(told.graph, told.state, "a") is None
    assert [c.state for c in told.computations("a")].count(ComputationState.FAILED) == 5


def test_timeouts_count_as_failed_for_good() -> None:  # B15
    told = x_and(compute("a", ["x"], f, retry=AT_ONCE))
    told.abandon("a")
    assert failed_computation(told.graph, told.state, "a") is None
    told.fail("a")
    assert failed_computation(told.graph, told.state, "a") == told.newest("a")
    told.set(x=2)
    told.fail("a")
    told.abandon("a")
    assert failed_computation(told.graph, told.state, "a") == told.newest("a")


def test_an_operators_retry_of_a_loop_keeps_iteration_and_carried_value() -> None:  # B32
    told = x_and(loop("l", ["x"], f, max_iterations=9, retry=ONCE))
    told.carry_on("l", 1, fallback=True)
    told.carry_on("l", 2, fallback=True)
    told.fail("l")
    assert told.running() == []
    told.retry("l")
    assert told.running() == ["l"]
    assert (told.newest("l").iteration, told.newest("l").carried) == (3, 2)
    assert not told.retry("l").written, "one that runs is enough"
    told.succeed("l", 999)
    assert told.value("l") == 999


def test_an_attempt_that_an_operator_abandons_is_retried_or_reported() -> None:  # B32
    told = x_and(compute("a", ["x"], f, retry=AT_ONCE))
    told.do(Abandon(told.newest("a").key, error="abandoned"))
    assert told.running() == ["a"]
    told.do(Abandon(told.newest("a").key, error="abandoned"))
    assert told.running() == []
    assert [o for n, o in told.outcomes if n == "a"] == [SaveFailed("abandoned", "timeout")]


def test_a_loop_whose_gate_closes_and_opens_has_one_run() -> None:  # B33
    told = x_and(loop("l", ["x"], f, max_iterations=9))
    told.succeed("l", "first run")
    told.set(x=2)
    told.carry_on("l", "of 2")
    told.unset("x")
    told.set(x=3)
    assert len(told.running()) == 1
    told.carry_on("l", "of 2, too")
    assert (told.running(), told.newest("l").iteration) == (["l"], 1)
    assert told.newest("l").carried is None
    assert told.newest("l").computed_with == {"x": told.node("x").revision}


# --- what is recorded and told ----------------------------------------------------------------


def test_a_historian_records_what_came_while_it_was_gated_newest_first() -> None:  # B20
    told = begun(input_node("a"), input_node("b"), input_node("c"), historian("h", ["a", "b", "c"]))
    told.set(b=1)
    told.set(a=2)
    told.set(c=3)
    assert [entry["node"] for entry in told.value("h")] == ["c", "a", "b"]


def test_mutating_a_mutation_reports_the_marker_that_is_stored() -> None:  # B44
    told = begun(input_node("x"), input_node("to"), mutate("m", ["x"], f, mutates="to"), x=1)
    told.succeed("m", {"raw": True})
    stored = Saved(told.value("m"), told.node("m").revision)
    assert [o for n, o in told.outcomes if n == "m"] == [stored]
    assert stored.value == "updated to"


def test_nothing_is_reported_as_saved_that_its_own_change_cleared() -> None:  # B44
    told = x_and(compute("a", ["x"], f))
    told.unset("x")
    told.succeed("a", 1)
    assert not told.is_set("a")
    assert [o for n, o in told.outcomes if n == "a"] == []


def test_what_runs_is_shown_as_computing_and_what_was_given_up_as_abandoned() -> None:  # B52
    told = x_and(compute("a", ["x"], f, retry=ONCE))
    told.succeed("a", 1)
    assert shown_state(told.state, "a") == "success"
    told.set(x=2)
    assert shown_state(told.state, "a") == "computing"
    told.abandon("a")
    assert shown_state(told.state, "a") == "abandoned"
    assert told.newest("a").completed_at == told.now
    assert told.newest("a").revision_at_completion is not None


def test_a_callback_that_cannot_be_called_back_is_refused() -> None:  # Q30
    def takes_one(execution_id: str) -> None: ...

    with pytest.raises(GraphError):
        Graph("g", "v1", [input_node("x", on_save=takes_one)])
    with pytest.raises(GraphError):
        Graph("g", "v1", [], on_save=takes_one)
