"""Graphs and stories that several tests of `settle` begin with."""

from typing import Any

from journey_async.core.conditions import value
from journey_async.core.graph import Graph
from journey_async.core.nodes import Node, compute, input_node
from journey_async.core.retry import Retry
from journey_async.core.values import ComputationState
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


def documented() -> Story:
    return story(
        input_node("x"),
        input_node("y"),
        compute("sum", ["x", "y"], f),
        compute("large_value_alert", value("sum") > 40, f),
    )
