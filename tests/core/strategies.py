"""What Hypothesis draws: JSON, conditions, graphs, histories."""

from typing import Any

from hypothesis import strategies as st

from journey_async.core.conditions import (
    Condition,
    all_of,
    any_of,
    is_false,
    is_true,
    not_,
    provided,
    value,
)
from journey_async.core.graph import Graph
from journey_async.core.nodes import Node, compute, input_node
from tests.core.story import some_function

# few values, so that conditions are met, results repeat, and 1 meets True
SMALL = [0, 1, True, False, None, 2, 1.0, "a", "ab", [1], {"a": True}]

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


def json_values() -> st.SearchStrategy[Any]:
    """JSON of every kind."""
    scalars = (
        st.none()
        | st.booleans()
        | st.integers(-(10**30), 10**30)
        | st.floats(allow_nan=False, allow_infinity=False)
        | texts
    )
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=10,
    )


def small_values() -> st.SearchStrategy[Any]:
    """A handful of JSON values, some of them easily confused."""
    return st.sampled_from(SMALL)


def leaf_conditions(names: list[str]) -> st.SearchStrategy[Condition]:
    """A condition on one of some nodes."""
    name = st.sampled_from(names)
    return st.one_of(
        name.map(provided),
        name.map(provided),
        name.map(is_true),
        name.map(is_false),
        st.builds(lambda n, v: value(n) == v, name, small_values()),
        st.builds(lambda n, v: value(n) != v, name, small_values()),
        st.builds(lambda n, v: value(n) > v, name, st.sampled_from([0, 1, "a"])),
        st.builds(lambda n, v: value(n) <= v, name, st.sampled_from([0, 1, "a"])),
        st.builds(lambda n, v: value(n).in_(v), name, st.lists(small_values(), max_size=3)),
        name.map(lambda n: value(n).contains("b")),
    )


def conditions(names: list[str]) -> st.SearchStrategy[Condition]:
    """A condition of any depth on some nodes."""
    return st.recursive(
        leaf_conditions(names),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda items: all_of(*items)),
            st.lists(inner, min_size=1, max_size=3).map(lambda items: any_of(*items)),
            inner.map(not_),
        ),
        max_leaves=4,
    )


@st.composite
def evolved(draw: st.DrawFn, graph: Graph) -> Graph:
    """The graph as it may be next: some nodes get another gate, some leave it, some return."""
    nodes: list[Node] = list(graph.inputs.values())
    for name in ("c0", "c1", "c2", "c3", "c4", "c5", "c6"):
        node, names = graph.by_name.get(name), [node.name for node in nodes]
        fate = draw(st.sampled_from(["stays", "stays", "stays", "changes", "leaves"]))
        stays = node is not None and fate == "stays" and set(graph.upstream[name]) <= set(names)
        if node is not None and stays:
            nodes.append(node)
        elif fate != "leaves":
            nodes.append(compute(name, draw(conditions(names)), some_function))
    return Graph(graph.name, graph.version, draw(st.permutations(nodes)))


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """An acyclic graph of inputs and computed nodes, 3 to 10 of them, in any order."""
    inputs = [f"x{n}" for n in range(draw(st.integers(1, 3)))]
    nodes: list[Node] = [input_node(name) for name in inputs]
    names = list(inputs)
    for number in range(draw(st.integers(2, 7))):
        gate = draw(st.one_of(conditions(names), st.just(provided(names[-1]))))
        nodes.append(compute(f"c{number}", gate, some_function))
        names.append(f"c{number}")
    return Graph("g", "v1", draw(st.permutations(nodes)))
