"""What four times as large a graph costs: some four times as much, not sixteen times."""

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from journey_async.core.commands import SetValues, Start, Succeed, Wake
from journey_async.core.conditions import Condition, any_of, provided, value
from journey_async.core.gates import unblocked_when
from journey_async.core.graph import Graph
from journey_async.core.nodes import (
    Node,
    compute,
    historian,
    input_node,
    tick_once,
    tick_recurring,
)
from journey_async.core.reading import is_settled
from journey_async.core.schedules import every
from journey_async.core.settle import settle, settling
from journey_async.core.values import NodeValue
from tests.core.story import NOON, Story, some_function, state_at
from tests.support.effort import effort, growth

LINEAR = 5.0  # times for four times the size, with room for a logarithm


def recorder(n: int) -> Node:
    return historian(f"h{n}", ["x"])


def clock(n: int) -> Node:
    return tick_recurring(f"t{n}", ["x"], every(timedelta(hours=1)))


def asks(asked: list[NodeValue]) -> Callable[[NodeValue], bool]:
    """A predicate that holds, and keeps what it was asked about."""

    def holds(value: NodeValue) -> bool:
        asked.append(value)
        return True

    return holds


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


def test_a_start_looks_at_nothing_that_waits_for_a_value() -> None:
    def work(size: int) -> Callable[[], object]:
        steps = [compute(f"s{n}", ["x"], some_function) for n in range(size)]
        told = Story(Graph("g", "v1", [input_node("x"), *steps]))

        def start() -> object:
            return settle(told.graph, told.state, Start({}), told.env())

        start()  # by which it is known what may begin
        return start

    assert growth(work) < 1.1


@pytest.mark.parametrize("missing", [0, -1])
@pytest.mark.parametrize("needs", [provided, lambda name: value(name) > 0])
def test_a_gate_is_not_read_to_its_end_while_one_at_an_end_is_missing(
    needs: Callable[[str], Condition], missing: int
) -> None:
    def work(size: int) -> Callable[[], object]:
        names = [f"x{n}" for n in range(size)]
        gate = [needs(name) for name in names]
        told = Story(Graph("g", "v1", [*map(input_node, names), compute("s", gate, some_function)]))
        del names[missing]
        told.start(**dict.fromkeys(names, 1))
        return lambda: settle(told.graph, told.state, SetValues({names[5]: 2}), told.env())

    assert growth(work) < 1.1


def test_a_function_of_many_parameters() -> None:
    def work(size: int) -> Callable[[], object]:
        names = [f"x{n}" for n in range(size)]
        function: Any = eval(f"lambda {', '.join(names)}: None")
        return lambda: Graph("g", "v1", [*map(input_node, names), compute("s", names, function)])

    assert growth(work) < LINEAR


def test_a_diagram_of_names_that_mermaid_cannot_tell_apart() -> None:
    def work(size: int) -> Callable[[], object]:
        names = ["".join(chr(ord("一") + int(d)) for d in f"{n:04}") for n in range(size)]
        return Graph("g", "v1", [*map(input_node, names)]).to_mermaid

    assert growth(work) < LINEAR


def test_a_result_is_recorded_without_reading_the_gate_again_and_again() -> None:
    asked: list[NodeValue] = []
    told = Story(
        Graph(
            "g",
            "v1",
            [input_node("x"), compute("s", unblocked_when("x", asks(asked)), some_function)],
        )
    )
    told.start(x=1)
    running = told.newest("s")
    asked.clear()
    settle(told.graph, told.state, Succeed(running.key, told.token("s"), 1), told.env())
    assert len(asked) == 1


def test_a_wake_looks_at_what_has_ticked_alone() -> None:
    asked: list[NodeValue] = []
    told = Story(
        Graph(
            "g",
            "v1",
            [
                input_node("x"),
                compute("others", unblocked_when("x", asks(asked)), some_function),
                tick_once("t", ["x"], some_function),
                compute("s", ["t"], some_function),
            ],
        )
    )
    told.start(x=1)
    told.succeed("others", 1)
    told.succeed("t", told.now.timestamp() + 60)
    told.later(60)
    asked.clear()
    change = settle(told.graph, told.state, Wake(), told.env())
    assert [begun.computation.node for begun in change.begun] == ["s"]
    assert asked == []


def test_what_is_upstream_is_found_once_however_many_wait_for_it_to_be_settled() -> None:
    width = 12
    names = [[f"n{layer}_{n}" for n in range(width)] for layer in range(width)]
    steps = [compute(name, above, some_function) for above, row in pairwise(names) for name in row]
    graph = Graph("layers", "v1", [*map(input_node, names[0]), *steps])
    state = state_at(graph)
    node = names[-1][-1]
    first = effort(lambda: is_settled(graph, state, node, NOON))
    assert effort(lambda: is_settled(graph, state, node, NOON)) < first / 2


def test_whether_a_value_is_settled_is_not_asked_of_each_node_upstream() -> None:
    def work(size: int) -> Callable[[], object]:
        names = [f"n{n}" for n in range(size)]
        steps = [compute(name, [above], some_function) for above, name in pairwise(names)]
        told = Story(Graph("g", "v1", [input_node(names[0]), *steps]))
        told.start(n0=1)
        is_settled(told.graph, told.state, names[-1], told.now)
        return lambda: is_settled(told.graph, told.state, names[-1], told.now)

    assert growth(work) < 1.1


@pytest.mark.parametrize("step", [recorder, clock])
def test_others_have_their_turn_between_built_in_steps(step: Callable[[int], Node]) -> None:
    told = started(200, step)
    pieces = settling(told.graph, told.state, SetValues({"x": 1}), told.env())
    efforts = [effort(lambda: next(pieces, None)) for _ in range(200)]
    assert max(efforts) < sum(efforts) / 5


def test_so_they_have_between_steps_with_broad_gates() -> None:
    names = [f"x{n}" for n in range(400)]
    gate = any_of(*(value(name) > 1 for name in names))
    steps = [compute(f"s{n}", gate, some_function) for n in range(15)]
    told = Story(Graph("g", "v1", [*map(input_node, names), *steps]))
    told.start()
    pieces = settling(told.graph, told.state, SetValues(dict.fromkeys(names, 0)), told.env())
    assert sum(1 for _ in pieces) >= len(steps)
