"""What is asked of a state, and what stands beside the values."""

from datetime import timedelta

import pytest

from journey_async.core.change import Pruning
from journey_async.core.commands import Wake
from journey_async.core.conditions import Condition, all_of, not_, provided, value
from journey_async.core.nodes import archive, compute, historian, input_node, tick_once
from journey_async.core.reading import has_come, is_settled
from journey_async.core.retry import Retry
from journey_async.core.values import Computation
from journey_async.errors import GraphError
from tests.core.stories import NOW, THRICE, begun, documented, f, graph, x_and
from tests.core.story import NOON, Story


def test_settled_means_nothing_upstream_is_queued_or_running() -> None:
    told = x_and(compute("a", ["x"], f), compute("b", ["a"], f), tick_once("t", [], f))
    assert not is_settled(told.graph, told.state, "b", told.now)
    told.succeed("t", NOW + 60)
    told.succeed("a", 1)
    assert is_settled(told.graph, told.state, "a", told.now)
    assert not is_settled(told.graph, told.state, "b", told.now)
    told.succeed("b", 1)
    assert is_settled(told.graph, told.state, "b", told.now)


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
    assert [is_settled(told.graph, told.state, name, told.now) for name in "abc"] == [
        True,
        False,
        True,
    ]
    told.unarchive()
    told.succeed("b", 2)
    told.archive()
    assert is_settled(told.graph, told.state, "b", told.now)


def test_nor_is_what_follows_from_a_tick_that_has_come_meanwhile() -> None:
    told = x_and(tick_once("t", ["x"], f), compute("after", ["t"], f))
    told.succeed("t", NOW + 60)
    told.archive()
    assert is_settled(told.graph, told.state, "after", told.now)
    told.later(60)
    assert not is_settled(told.graph, told.state, "after", told.now)


def test_nor_is_what_would_be_cleared() -> None:
    told = x_and(compute("a", ["x"], f), compute("b", value("a") > 1, f))
    told.succeed("a", 2)
    told.succeed("b", 1)
    told.set(x=2)
    told.archive()
    told.succeed("a", 1)
    assert not is_settled(told.graph, told.state, "b", told.now)
    told.unarchive()
    told.archive()
    assert is_settled(told.graph, told.state, "b", told.now)


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
