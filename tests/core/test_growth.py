"""What four times as large a graph costs: some four times as much, not sixteen times."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from journey_async.core.commands import SetValues
from journey_async.core.graph import Graph
from journey_async.core.nodes import Node, historian, input_node, tick_recurring
from journey_async.core.schedules import every
from journey_async.core.settle import settle, settling
from tests.core.story import Story
from tests.support.effort import effort, growth

LINEAR = 5.0  # times for four times the size, with room for a logarithm


def recorder(n: int) -> Node:
    return historian(f"h{n}", ["x"])


def clock(n: int) -> Node:
    return tick_recurring(f"t{n}", ["x"], every(timedelta(hours=1)))


def started(size: int, step: Callable[[int], Node]) -> Story:
    told = Story(Graph("g", "v1", [input_node("x"), *map(step, range(size))]))
    told.start()
    return told


@pytest.mark.parametrize("step", [recorder, clock])
def test_built_in_steps_that_one_input_unblocks(step: Callable[[int], Node]) -> None:
    def work(size: int) -> Callable[[], object]:
        told = started(size, step)
        return lambda: settle(told.graph, told.state, SetValues({"x": 1}), told.env())

    assert growth(work) < LINEAR


@pytest.mark.parametrize("step", [recorder, clock])
def test_others_have_their_turn_between_built_in_steps(step: Callable[[int], Node]) -> None:
    told = started(200, step)
    pieces = settling(told.graph, told.state, SetValues({"x": 1}), told.env())
    efforts = [effort(lambda: next(pieces, None)) for _ in range(200)]
    assert max(efforts) < sum(efforts) / 5
