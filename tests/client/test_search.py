"""What the database finds is what Python would find."""

import functools
import string
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from math import inf, nan, nextafter
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journey_async.client.execution import Execution
from journey_async.client.search import count_executions, list_executions
from journey_async.core import jsonvalue
from journey_async.core.conditions import (
    Compare,
    Condition,
    In,
    Not,
    all_of,
    any_of,
    is_false,
    is_true,
    not_,
    provided,
    unblocked_when,
    value,
)
from journey_async.core.evaluation import Evaluation
from journey_async.core.graph import Graph
from journey_async.core.nodes import InputNode, compute, input_node
from journey_async.core.state import State
from journey_async.core.values import NodeKind, NodeValue
from journey_async.engine.engine import Engine
from journey_async.errors import ConditionError, InvalidOptionError
from journey_async.store.filters import MAX_DEPTH, MAX_LEAVES, STORED, Filter
from journey_async.store.search import Order, Search, Selection, count_statement, page_statement
from journey_async.store.sql import folder, in_schema
from tests.support.rows import (
    NOW,
    SCHEMA,
    StoppedClock,
    add_graphs,
    add_states,
    cleared,
    held,
    reading_engine,
    remove_all,
    state,
)

LONG = "a" * 63
GRAPH = Graph(
    "g", "v1", [input_node("x"), input_node("y"), compute("sum", ["x", "y"], lambda x, y: x + y)]
)


UNREACHABLE: Any = SimpleNamespace(clock=StoppedClock())  # has no store to send anything to


@pytest.fixture
async def engine(dsn: str) -> AsyncIterator[Engine]:
    async with reading_engine(dsn) as engine:
        yield engine


async def found(engine: Engine, **search: Any) -> list[str]:
    """The ids of what is listed, which must be as many as are counted."""
    executions = await list_executions(engine, **search)
    limited = search.keys() & {"limit", "offset"}
    for option in ("order_by", "limit", "offset"):
        search.pop(option, None)
    if not limited:
        assert await count_executions(engine, **search) == len(executions)
    return [execution.id for execution in executions]


# --- agreement with Python --------------------------------------------------------------------

# Values that are easily confused, or lie at an edge of an index or of an order.
EDGES: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.0, 1.5, 0.1, 10**30, 1e30, 1e-7, 2**53 + 1, 5e-324, 1e308),
    *("", "0", "1", "a", "A", "ab", "b", "B", "_", "%", "a%b", "é", "ß", "null", "true", "\n"),
    *("\uffff", "\U00010000", "\ue000", "z", "Z", "'", '"', "\\", "$1", ':"schema"', "{}"),
    *(LONG, LONG + "a", LONG + "b", LONG + "aa", LONG + "ab", LONG + "\U00010000x"),
    *([], [1], ["a"], [1, "a", None, True], [[1]], [1.0], {}, {"a": 1}, {"a": None}, {"a": 1.0}),
]
SECONDS = NOW.timestamp()
TIMES: list[Any] = [
    0,
    -1,
    1e-320,
    1e300,
    nextafter(SECONDS, inf),
    SECONDS - 1,
    SECONDS,
    SECONDS + 1,
    int(SECONDS),
    int(SECONDS) + 1,
    None,
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


# --- filters by example -----------------------------------------------------------------------


@pytest.fixture
async def five(connection: asyncpg.Connection) -> None:
    """E0: nothing. E1: 1. E2: null. E3: cleared. E4: a list."""
    await add_graphs(connection, GRAPH)
    await add_states(
        connection,
        [
            state("E0", GRAPH),
            state("E1", GRAPH, [held("x", 1)]),
            state("E2", GRAPH, [held("x", None)]),
            state("E3", GRAPH, [cleared("x")]),
            state("E4", GRAPH, [held("x", ["red", 42, True, None, ["deep"]])]),
        ],
    )


@pytest.mark.usefixtures("five")
@pytest.mark.parametrize(
    "item, expected",
    [
        (("x", "is_set"), "E1 E2 E4"),
        (("x", "is_not_set"), "E0 E3"),
        (("nobody", "is_not_set"), "E0 E1 E2 E3 E4"),
        (("nobody", "neq", 1), ""),
        (("x", "eq", None), "E2"),
        (("x", "is_nil"), "E2"),
        (("x", "neq", None), "E1 E4"),
        (("x", "is_not_nil"), "E1 E4"),
        (("x", "neq", 1), "E2 E4"),
        (("x", "not_in", [1, None]), "E4"),
        (("x", "not_in", []), "E1 E2 E4"),
        (("x", "in", []), ""),
        (("x", "in", [None, 1.0]), "E1 E2"),
        (("x", "in", (1, "1")), "E1"),
        (("x", "eq", True), ""),
        (("x", "list_contains", "red"), "E4"),
        (("x", "list_contains", 42.0), "E4"),
        (("x", "list_contains", "42"), ""),
        (("x", "list_contains", 1), ""),
        (("x", "list_contains", None), "E4"),
        (("x", "list_contains", "deep"), ""),
        (("x", "lt", 2), "E1"),
        (("x", "contains", ""), ""),
        (("execution_id", "eq", "E2"), "E2"),
        (("execution_id", "lt", "E2"), "E0 E1"),
        (("execution_id", "lt", 2), ""),
        (("last_updated_at", "eq", int(SECONDS)), "E0 E1 E2 E3 E4"),
        (("last_updated_at", "gt", "a"), ""),
        (["last_updated_at", "is_nil"], ""),
    ],
)
async def test_filters(engine: Engine, item: tuple[Any, ...], expected: str) -> None:
    assert await found(engine, filter_by=[item], order_by=["id"]) == expected.split()


async def test_a_tick_is_provided_once_it_is_due(
    engine: Engine, connection: asyncpg.Connection
) -> None:
    times = {"E0": SECONDS, "E1": SECONDS + 0.001, "E2": 0, "E3": None, "E4": "soon"}
    await add_graphs(connection, GRAPH)
    await add_states(
        connection,
        [
            state(name, GRAPH, [held("x", time, kind=NodeKind.TICK_RECURRING)])
            for name, time in times.items()
        ],
    )
    assert await found(engine, where=provided("x")) == ["E0"]
    assert await found(engine, where=~provided("x")) == ["E1", "E2", "E3", "E4"]
    assert await found(engine, filter_by=[("x", "is_set")]) == list(times)
    assert await found(engine, where=value("x") > SECONDS) == ["E1"]


async def test_archived_executions_are_found_when_asked_for(
    engine: Engine, connection: asyncpg.Connection
) -> None:
    await add_graphs(connection, GRAPH)
    await add_states(connection, [state("E0", GRAPH), state("E1", GRAPH, archived_at=NOW)])
    assert await found(engine) == ["E0"]
    assert await found(engine, include_archived=True) == ["E0", "E1"]


async def test_executions_are_found_by_graph(
    engine: Engine, connection: asyncpg.Connection
) -> None:
    other = Graph("g", "v2", [input_node("z")])
    await add_graphs(connection, GRAPH, other)
    await add_states(connection, [state("E0", GRAPH), state("E1", other), state("E2", other)])
    assert await found(engine, graph_name="g") == ["E0", "E1", "E2"]
    assert await found(engine, graph_name="g", graph_version="v2") == ["E1", "E2"]
    assert await found(engine, graph_name="nobody's", graph_version="v1") == []
    assert await found(engine, graph_name="nobody's", filter_by=[("x", "is_set")]) == []


async def test_what_is_listed_is_whole(engine: Engine, connection: asyncpg.Connection) -> None:
    whole = state("E0", GRAPH, [held("x", {"a": [1, "é"]}, metadata={"by": "me"}), cleared("y")])
    await add_graphs(connection, GRAPH)
    await add_states(connection, [whole])
    [execution] = await list_executions(engine)
    assert isinstance(execution, Execution)
    assert dict(execution.values) == {
        n.name: node_value(whole, n.name) for n in GRAPH.nodes[:4]
    } | {"sum": NodeValue("sum", NodeKind.COMPUTE)}


# --- order and pages --------------------------------------------------------------------------


async def test_nodes_order_by_type_then_by_code_point_and_unset_last(
    engine: Engine, connection: asyncpg.Connection
) -> None:
    ascending: list[Any] = [
        *(None, "", "A", "B", "a", "é", "\uffff", "\U00010000"),
        *(-1, 0.5, 1, False, True, [], [1], {}, {"a": 1}),
    ]
    states = [state(f"E{n:02}", GRAPH, [held("x", v)]) for n, v in enumerate(ascending)]
    await add_graphs(connection, GRAPH)
    await add_states(
        connection, [*states, state("E98", GRAPH, [cleared("x")]), state("E99", GRAPH)]
    )
    names = [s.execution_id for s in states]
    assert await found(engine, order_by=["x"]) == [*names, "E98", "E99"]
    assert await found(engine, order_by=[("x", "desc")]) == ["E98", "E99", *reversed(names)]
    assert await found(engine, order_by=["nobody"]) == [*names, "E98", "E99"]


async def test_columns_order_before_nodes_of_their_name(
    engine: Engine, connection: asyncpg.Connection
) -> None:
    graph = Graph("g", "v1", [input_node("revision")])
    await add_graphs(connection, graph)
    await add_states(
        connection,
        [
            state("E0", graph, [held("revision", 1, revision=3)]),
            state("E1", graph, [held("revision", 2, revision=2)]),
        ],
    )
    assert await found(engine, order_by=["revision"]) == ["E1", "E0"]
    assert await found(engine, order_by=["last_updated_at", ("execution_id", "desc")]) == [
        "E1",
        "E0",
    ]


async def test_pages_of_equal_keys_neither_repeat_nor_miss(
    engine: Engine, connection: asyncpg.Connection
) -> None:
    names = [f"E{n:03}" for n in range(25)]
    await add_graphs(connection, GRAPH)
    await add_states(connection, [state(name, GRAPH) for name in reversed(names)])
    pages = [await found(engine, limit=10, offset=offset) for offset in (0, 10, 20, 30)]
    assert pages == [names[:10], names[10:20], names[20:], []]
    assert await list_executions(engine, limit=0) == []
    assert await found(engine, order_by=[]) == names
    assert await found(engine, order_by=[("graph_name", "desc"), ("id", "desc")]) == names[::-1]


# --- what is refused --------------------------------------------------------------------------


HUGE = 10**5000
NOT_JSON: list[Any] = [nan, inf, -inf, "a\0", "\ud800", HUGE, {1: 2}, b"", {1}, NOW]
DEEP: Any = functools.reduce(lambda inner, _: [inner], range(200), cast(Any, 1))


@pytest.mark.parametrize(
    "search",
    [
        {"graph_version": "v1"},
        {"graph_name": 5},
        {"graph_name": "a\0b"},
        {"graph_name": "a\ud800b"},
        {"include_archived": "yes"},
        {"limit": -1},
        {"limit": 1.0},
        {"limit": True},
        {"limit": None},
        {"limit": 2**63},
        {"limit": HUGE},
        {"offset": -1},
        {"order_by": "updated_at"},
        {"order_by": ("updated_at", "desc")},
        {"order_by": [("updated_at", "down")]},
        {"order_by": [("updated_at",)]},
        {"order_by": [5]},
        {"order_by": ["a\0b"]},
        {"order_by": ["x"] * 50},
        {"order_by": {"x": "asc"}},
        {"filter_by": "x"},
        {"filter_by": {"x": 1}},
        {"filter_by": [("x",)]},
        {"filter_by": ["x"]},
        {"filter_by": [HUGE]},
        {"filter_by": [("x", "eq")]},
        {"filter_by": [("x", "is_set", 1)]},
        {"filter_by": [("x", "like", "a")]},
        {"filter_by": [("x", ["eq"], "a")]},
        {"filter_by": [(5, "eq", 1)]},
        {"filter_by": [("a\0b", "eq", 1)]},
        {"filter_by": [("\udcff", "is_set")]},
        *(
            {"filter_by": [("x", operator, operand)]}
            for operator, operand in [
                *(("eq", bad) for bad in NOT_JSON),
                *(("lt", bad) for bad in (*NOT_JSON, True, None, [1], {})),
                *(("in", bad) for bad in (5, "abc", None, [nan], [["\0"]], {"a": 1})),
                *(("contains", bad) for bad in (5, None, ["a"], "\0")),
                *(("icontains", bad) for bad in (True, "\udfff")),
                *(("list_contains", bad) for bad in ([1], {"a": 1}, nan)),
                ("eq", DEEP),
            ]
        ),
        {"where": unblocked_when("x", lambda node: True)},
        {"where": ~(provided("y") | unblocked_when("x", bool, label="truthy"))},
        {"where": value("x")},
        {"where": 5},
        {"where": True},
        {"where": Compare.model_construct(node="x", operator="==", operand=nan)},
        {"where": Compare.model_construct(node="x", operator="<", operand=None)},
        {"where": Compare(node="x\0", operator="==", operand=1)},
        {"where": In.model_construct(node="x", operands=("\ud800",))},
        {"where": any_of(*(value("x") == n for n in range(MAX_LEAVES + 1)))},
        {"filter_by": [("x", "is_set")] * (MAX_LEAVES + 1)},
    ],
)
async def test_bad_searches_are_refused_before_anything_is_sent(search: dict[str, Any]) -> None:
    with pytest.raises((InvalidOptionError, ConditionError)):
        await list_executions(UNREACHABLE, **search)


async def test_conditions_nested_too_deep_are_refused() -> None:
    condition: Condition = provided("x")
    for _ in range(5000):
        condition = Not(condition=condition)
    with pytest.raises(InvalidOptionError, match="nested"):
        await count_executions(UNREACHABLE, where=condition)


async def test_unknown_nodes_are_refused_where_the_graph_is_known(
    engine: Engine, connection: asyncpg.Connection
) -> None:
    older = Graph("g", "v1", [input_node("former")])
    await add_graphs(connection, older, GRAPH)
    exactly = {"graph_name": "g", "graph_version": "v1"}
    for search in (
        {"filter_by": [("typo", "eq", 1)]},
        {"where": ~is_true("typo")},
        {"order_by": ["x", ("typo", "desc")]},
    ):
        with pytest.raises(InvalidOptionError, match="no node 'typo'"):
            await list_executions(engine, **exactly, **search)  # type: ignore[arg-type]
        assert await found(engine, graph_name="g", **search) == []
        nobody = {"graph_name": "nobody's", "graph_version": "v1"}
        assert await found(engine, **nobody, **search) == []
    assert await found(engine, **exactly, filter_by=[("former", "is_set")], order_by=["x"]) == []


async def test_the_most_that_is_allowed_is_planned_in_time(
    engine: Engine, connection: asyncpg.Connection
) -> None:
    await add_graphs(connection, GRAPH)
    await add_states(connection, [state("E0", GRAPH, [held("x", 1), held("y", 1)])])
    half = MAX_LEAVES // 2
    either = any_of(*(value("x") == n for n in range(half)))
    both = [("y", "gt", -n) for n in range(1, half + 1)]
    assert await found(engine, where=either, filter_by=both) == ["E0"]
    deep: Condition = provided("x")
    for _ in range(MAX_DEPTH // 2):
        deep = all_of(any_of(deep, is_true("x")), provided("y"))
    assert await found(engine, where=deep) == ["E0"]


# --- hostile texts ----------------------------------------------------------------------------

HOSTILE = [
    "'; DROP TABLE journey.executions; --",
    '"; DROP TABLE journey.executions; --',
    ':"schema"',
    "$1",
    "$$",
    "%s %(x)s {0} {alias}",
    "\\",
    "E'\\x27'",
    "/*",
    "--",
    "\u202e\u200b\r\n\t\x01\x7f",
    "' OR '1'='1",
]


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_texts_are_just_texts(
    engine: Engine, connection: asyncpg.Connection, text: str
) -> None:
    graph = Graph(text, text, [input_node(text), input_node("y")])
    await add_graphs(connection, graph, GRAPH)
    await add_states(connection, [state("E0", graph, [held(text, text)]), state("E1", GRAPH)])
    for operator in ("eq", "lte", "gte", "contains", "icontains"):
        assert await found(engine, filter_by=[(text, operator, text)]) == ["E0"]
    assert await found(engine, filter_by=[(text, "in", [text, [text], {text: text}])]) == ["E0"]
    assert await found(engine, where=value(text).contains(text) & (value(text) == text)) == ["E0"]
    assert await found(engine, graph_name=text, graph_version=text, order_by=[text]) == ["E0"]
    assert await found(engine, order_by=[(text, "desc")]) == ["E1", "E0"]
    assert await found(engine) == ["E0", "E1"]


async def test_the_schema_may_have_any_name() -> None:
    selection = Selection(now=NOW, filters=[Filter("x", "eq", ':"schema"')])
    for made in (count_statement(selection), page_statement(selection, [Order("y")], 1, 0)):
        text = in_schema(made.text, 'a"b')
        assert ':"schema"' not in text
        assert "x" not in made.text.split()
        assert ':"schema"' in made.arguments


# --- plans ------------------------------------------------------------------------------------

MANY = 20_000


async def test_selective_searches_use_the_indexes(connection: asyncpg.Connection) -> None:
    await _many(connection)
    searches = {
        "values_number": [value("x") == 7, value("x") > MANY - 3, value("x").in_([1, 2, 3])],
        "values_text": [
            value("y") == _text(7),
            value("y") < _text(3),
            value("y").in_(["a", _text(1)]),
        ],
    }
    for index, conditions in searches.items():
        for condition in conditions:
            plan = await _plan(connection, where=condition)
            assert index in plan, f"{condition!r}:\n{plan}"
            assert "Seq Scan" not in plan, f"{condition!r}:\n{plan}"
    plan = await _plan(connection, filters=[Filter("execution_id", "eq", "E00007")])
    assert "executions_pkey" in plan


async def test_the_words_of_the_indexes_are_those_of_the_search() -> None:
    indexes = (folder() / "migrations" / "0001_initial.sql").read_text(encoding="utf-8")
    for expression in (STORED.number, STORED.is_number, STORED.prefix, STORED.is_text):
        assert expression is not None
        assert expression.replace("v.value", "value") in indexes


def _text(number: int) -> str:
    return f"{'a' * 60}{number:05}"  # the index tells only some of them apart


async def _many(connection: asyncpg.Connection) -> None:
    await connection.execute(
        """
        INSERT INTO journey.executions
        SELECT 'E' || lpad(n::text, 5, '0'), 'g', 'v1', 'h', 1, 1, $1, $1, NULL, NULL, $1, 1, 1
        FROM generate_series(1, $2::integer) AS n
        """,
        *(NOW, MANY),
    )
    await connection.execute(
        """
        INSERT INTO journey."values"
        SELECT 'E' || lpad(n::text, 5, '0'), node, 'input',
            CASE node
                WHEN 'x' THEN to_jsonb(n)
                WHEN 'y' THEN to_jsonb(repeat('a', 60) || lpad(n::text, 5, '0'))
            END, NULL, 1, $1
        FROM generate_series(1, $2::integer) AS n, unnest(ARRAY['x', 'y']) AS node
        """,
        *(NOW, MANY),
    )
    await connection.execute('ANALYZE journey.executions, journey."values"')


async def _plan(connection: asyncpg.Connection, **selection: Any) -> str:
    page = page_statement(Selection(now=NOW, **selection), [Order("updated_at")], 100, 0)
    text = in_schema(page.text, SCHEMA)
    rows = await connection.fetch(f"EXPLAIN {text}", *page.arguments)
    return "\n".join(row[0] for row in rows)
