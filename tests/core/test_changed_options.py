"""Code whose options have changed: what they decided stays decided, what comes is by the new."""

from collections.abc import Callable

import pytest

from journey_async.core.commands import Wake
from journey_async.core.graph import Graph
from journey_async.core.nodes import compute, input_node, loop
from journey_async.core.reading import failed_computation, is_settled
from journey_async.core.retry import Retry
from journey_async.core.values import ComputationState
from tests.core.story import Story, looked_at_as_a_whole, some_function

f = some_function


def trying(attempts: int) -> Graph:
    step = compute("y", ["x"], f, retry=Retry(max_attempts=attempts, initial_delay=0))
    return Graph("g", "v1", [input_node("x"), step])


def looping(iterations: int) -> Graph:
    return Graph("g", "v1", [input_node("x"), loop("y", ["x"], f, max_iterations=iterations)])


def begun(graph: Graph) -> Story:
    told = Story(graph)
    told.start(x=1)
    return told


def fails(told: Story) -> None:
    told.fail("y")


def gives_up(told: Story) -> None:
    told.abandon("y")


def has_enough(told: Story) -> None:
    told.carry_on("y", "carried")


@pytest.mark.parametrize(
    "make, ends",
    [(trying, fails), (trying, gives_up), (looping, has_enough)],
    ids=lambda given: given.__name__,
)
def test_what_was_the_last_stays_so_though_more_is_allowed_by_now(
    make: Callable[[int], Graph], ends: Callable[[Story], None]
) -> None:
    told = begun(make(1))
    ends(told)
    told.graph = make(3)
    assert looked_at_as_a_whole(told, Wake()).newest == told.state.newest
    assert failed_computation(told.graph, told.state, "y") == told.newest("y")
    assert is_settled(told.graph, told.state, "y", told.now)
    told.set(x=2)
    ends(told)
    assert told.running() == ["y"]


def test_a_loop_that_took_its_fallback_does_not_go_on_though_it_might_by_now() -> None:
    told = begun(looping(1))
    told.carry_on("y", "enough", fallback=True)
    told.graph = looping(3)
    assert looked_at_as_a_whole(told, Wake()).newest == told.state.newest
    assert told.value("y") == "enough"


def test_what_was_not_the_last_goes_on_though_less_is_allowed_by_now() -> None:
    told = begun(looping(3))
    told.archive()
    told.carry_on("y", "carried")
    told.graph = looping(1)
    told.unarchive()
    assert (told.running(), told.newest("y").iteration) == (["y"], 2)
    told.carry_on("y", "carried")
    assert told.shown("y") is ComputationState.SUCCESS
    assert failed_computation(told.graph, told.state, "y") == told.newest("y")
