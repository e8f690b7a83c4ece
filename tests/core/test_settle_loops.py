"""Loops: iterations, and what ends them."""

from datetime import timedelta

from journey_async.core.change import Saved, SaveFailed
from journey_async.core.conditions import value
from journey_async.core.nodes import Node, compute, input_node, loop, mutate, tick_recurring
from journey_async.core.reading import failed_computation
from journey_async.core.retry import Retry
from journey_async.core.schedules import every
from tests.core.stories import AVAILABLE, THRICE, begun, f, x_and
from tests.core.story import Story


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


def test_a_gate_that_a_mutation_closes_and_opens_ends_the_loop_as_well() -> None:
    """By default it changes no revision, so nothing else says that the inputs are others."""
    told = begun(
        *(input_node(name) for name in ("switch", "z")),
        mutate("m", ["z"], f, mutates="switch"),
        loop("l", value("switch") == 1, f, max_iterations=5, retry=THRICE),
        switch=1,
    )
    told.carry_on("l", "one")
    told.fail("l")
    for switch in (0, 1):
        told.set(z=switch)
        told.succeed("m", switch)
    newest = told.newest("l")
    assert told.running() == ["l"]
    assert (newest.iteration, newest.attempt, newest.carried) == (1, 1, None)


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
