"""Executions that take on another definition, and graphs whose code is elsewhere."""

import pytest

from journey_async.core.conditions import all_of, any_of, is_true, value
from journey_async.core.description import described_graph
from journey_async.core.gates import unblocked_when
from journey_async.core.graph import Graph
from journey_async.core.nodes import (
    archive,
    compute,
    historian,
    input_node,
    loop,
    mutate,
    tick_once,
    tick_recurring,
)
from journey_async.core.reading import failed_computation, is_settled
from journey_async.core.retry import Retry
from journey_async.core.state import State
from journey_async.core.values import NodeKind, NodeValue
from journey_async.errors import UnknownNodeError
from tests.core.stories import (
    ABANDONED,
    AVAILABLE,
    CANCELLED,
    COMPUTING,
    FAILED,
    NOW,
    ONCE,
    begun,
    f,
    graph,
    story,
    x_and,
)
from tests.core.story import Story

# --- evolution ----------------------------------------------------------------------------------


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


@pytest.mark.parametrize("how", ["succeed", "release"])
def test_what_was_dropped_is_no_attempt_of_a_node_that_is_back(how: str) -> None:
    new = graph(input_node("x"), compute("a", ["x"], f, retry=Retry(max_attempts=2)))
    told = story(*new.nodes)
    told.start(x=1)
    for _ in range(3):
        told.evolve(graph(input_node("x")))
        getattr(told, how)(*(["a"] if how == "succeed" else []))
        told.evolve(new)
        newest = told.state.newest["a"]
        assert (newest.state, newest.attempt) == (COMPUTING, 1)
    told.fail("a")
    assert (newest := told.state.newest["a"]).state is AVAILABLE
    assert newest.attempt == 2


def test_an_iteration_that_was_dropped_is_repeated_once_the_loop_is_back() -> None:
    new = graph(input_node("x"), loop("l", ["x"], f, max_iterations=9))
    told = story(*new.nodes)
    told.start(x=1)
    told.carry_on("l", 1)
    told.evolve(graph(input_node("x")))
    told.carry_on("l", 2)
    told.evolve(new)
    newest = told.state.newest["l"]
    assert (newest.state, newest.iteration, newest.attempt) == (COMPUTING, 2, 1)


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


# --- graphs whose code is elsewhere -------------------------------------------------------------


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
    assert not is_settled(told.graph, told.state, "b", told.now)
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
    assert not is_settled(told.graph, told.state, "a", told.now)
    assert is_settled(told.graph, told.state, "x", told.now)


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
