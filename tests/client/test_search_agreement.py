"""What the database finds is what Python would find."""

import string
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from math import inf, nextafter
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journey_async.core import jsonvalue
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
from journey_async.core.evaluation import Evaluation
from journey_async.core.nodes import InputNode
from journey_async.core.state import State
from journey_async.core.values import NodeKind, NodeValue
from journey_async.engine.engine import Engine
from journey_async.store.filters import Filter
from journey_async.store.search import Order, Search, Selection, count_statement, page_statement
from tests.support.rows import (
    NOW,
    add_states,
    cleared,
    held,
    reading_engine,
    remove_all,
    state,
)

LONG = "a" * 63


@pytest.fixture
async def engine(dsn: str) -> AsyncIterator[Engine]:
    async with reading_engine(dsn) as engine:
        yield engine


# Values that are easily confused, or lie at an edge of an index or of an order.
EDGES: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.0, 1.5, 0.1, 10**30, 1e30, 1e-7, 2**53 + 1, 5e-324, 1e308),
    *("", "0", "1", "a", "A", "ab", "b", "B", "_", "%", "a%b", "é", "ß", "null", "true", "\n"),
    *("\uffff", "\U00010000", "\ue000", "z", "Z", "'", '"', "\\", "$1", ':"schema"', "{}"),
    *(LONG, LONG + "a", LONG + "b", LONG + "aa", LONG + "ab", LONG + "\U00010000x"),
    *([], [1], ["a"], [1, "a", None, True], [[1]], [1.0], {}, {"a": 1}, {"a": None}, {"a": 1.0}),
]
SECONDS = NOW.timestamp()
SOON = nextafter(SECONDS, inf)  # in the same microsecond
TIMES: list[Any] = [
    *(0, -1, 1e-320, 1e300, None, SECONDS, SOON, SECONDS - 1, SECONDS + 1),
    *(int(SECONDS), int(SECONDS) + 1),
]
NODES = ["x", "y", "tick", "never", "execution_id", "last_updated_at", ':"schema"', "'; --"]
IDS = [f"E{n}" for n in range(5)]

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4)
numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
edges = st.sampled_from(EDGES)
ordered = st.one_of(
    edges.filter(lambda e: isinstance(e, str) or jsonvalue.is_number(e)), numbers, texts
)
operands = st.one_of(edges, numbers, texts, st.sampled_from([*TIMES, *IDS]))
nodes = st.sampled_from(NODES)

COMPARISONS: dict[str, Callable[[Any, Any], Condition]] = {
    "==": lambda v, o: v == o,
    "!=": lambda v, o: v != o,
    "<": lambda v, o: v < o,
    "<=": lambda v, o: v <= o,
    ">": lambda v, o: v > o,
    ">=": lambda v, o: v >= o,
}


def leaves() -> st.SearchStrategy[Condition]:
    equality = st.sampled_from(["==", "!="])
    order = st.sampled_from(["<", "<=", ">", ">="])
    return st.one_of(
        nodes.map(provided),
        nodes.map(is_true),
        nodes.map(is_false),
        st.builds(lambda n, o, v: COMPARISONS[o](value(n), v), nodes, equality, operands),
        st.builds(lambda n, o, v: COMPARISONS[o](value(n), v), nodes, order, ordered),
        st.builds(lambda n, v: value(n).in_(v), nodes, st.lists(operands, max_size=4)),
        st.builds(lambda n, v: value(n).contains(v), nodes, texts),
    )


def trees() -> st.SearchStrategy[Condition]:
    return st.recursive(
        leaves(),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda items: all_of(*items)),
            st.lists(inner, max_size=3).map(lambda items: any_of(*items)),
            inner.map(not_),
        ),
        max_leaves=6,
    )


def filters() -> st.SearchStrategy[tuple[Any, ...]]:
    alone = st.sampled_from(["is_set", "is_not_set", "is_nil", "is_not_nil"])
    scalars = operands.filter(lambda o: not isinstance(o, list | dict))
    ascii_texts = st.text(string.ascii_letters + "%_\\", max_size=2)
    return st.one_of(
        st.tuples(nodes, alone),
        st.tuples(nodes, st.sampled_from(["eq", "neq"]), operands),
        st.tuples(nodes, st.sampled_from(["lt", "lte", "gt", "gte"]), ordered),
        st.tuples(nodes, st.sampled_from(["in", "not_in"]), st.lists(operands, max_size=4)),
        st.tuples(nodes, st.just("contains"), texts | st.sampled_from(["", "a", "%", "_"])),
        st.tuples(nodes, st.just("icontains"), ascii_texts),
        st.tuples(nodes, st.just("list_contains"), scalars),
    )


@st.composite
def executions(draw: st.DrawFn) -> list[State]:
    """A few executions whose nodes hold anything, were cleared, or never set."""
    states = []
    for execution_id in IDS[: draw(st.integers(1, len(IDS)))]:
        values = []
        for node in NODES:
            if node in ("execution_id", "last_updated_at", "never"):
                continue
            kind = NodeKind.TICK_ONCE if node == "tick" else NodeKind.INPUT
            anything = st.sampled_from([*TIMES, *EDGES]) if node == "tick" else operands
            match draw(st.sampled_from(["set", "set", "set", "cleared", "never"])):
                case "set":
                    values.append(held(node, draw(anything), kind=kind))
                case "cleared":
                    values.append(cleared(node, kind=kind))
        at = datetime.fromtimestamp(draw(st.sampled_from([SECONDS, 1.5, 2**33])), UTC)
        states.append(state(execution_id, values=values, values_at=at))
    return states


def node_value(state: State, node: str) -> NodeValue:
    return state.value_of(InputNode(name=node))


def holds(state: State, condition: Condition) -> bool:
    return Evaluation(lambda node: node_value(state, node), NOW).holds(condition)


def passes(state: State, node: str, operator: str, operand: Any = None) -> bool:
    """The table of the operators, once more, in Python."""
    held = node_value(state, node)
    if not held.is_set:
        return operator == "is_not_set"
    actual, operand = held.value, jsonvalue.normalise(operand)
    match operator:
        case "is_set" | "is_not_set":
            return operator == "is_set"
        case "is_nil" | "is_not_nil":
            return (actual is None) is (operator == "is_nil")
        case "eq" | "neq":
            return jsonvalue.equal(actual, operand) is (operator == "eq")
        case "in" | "not_in":
            assert isinstance(operand, list)
            return any(jsonvalue.equal(actual, o) for o in operand) is (operator == "in")
        case "contains" | "icontains":
            assert isinstance(operand, str)
            if not isinstance(actual, str):
                return False
            if operator == "contains":
                return operand in actual
            return _ascii_lower(operand) in _ascii_lower(actual)
        case "list_contains":
            return isinstance(actual, list) and any(jsonvalue.equal(i, operand) for i in actual)
    sign = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}[operator]
    return holds(state, COMPARISONS[sign](value(node), operand))


def _ascii_lower(text: str) -> str:
    return "".join(c.lower() if c in string.ascii_uppercase else c for c in text)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    states=executions(),
    conditions=st.lists(trees(), min_size=1, max_size=4),
    items=st.lists(filters(), min_size=1, max_size=6),
)
async def test_the_database_and_python_find_the_same(
    engine: Engine,
    connection: asyncpg.Connection,
    states: list[State],
    conditions: list[Condition],
    items: list[tuple[Any, ...]],
) -> None:
    await remove_all(connection)
    await add_states(connection, states)
    search = Search(engine.store)

    async def ids(**given: Any) -> list[str]:
        selection = Selection(now=NOW, **given)
        page = await search.page(page_statement(selection, [Order("id")], 100, 0))
        assert await search.count(count_statement(selection)) == len(page)
        assert [s for s in states if s in page] == page  # loaded as they were written
        return [s.execution_id for s in page]

    for condition in conditions:
        assert await ids(where=condition) == [
            s.execution_id for s in states if holds(s, condition)
        ], condition
    for item in items:
        assert await ids(filters=[Filter(*item)]) == [
            s.execution_id for s in states if passes(s, *item)
        ], item
    assert await ids(filters=[Filter(*item) for item in items], where=conditions[0]) == [
        s.execution_id
        for s in states
        if holds(s, conditions[0]) and all(passes(s, *item) for item in items)
    ]
