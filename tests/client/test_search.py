"""Searches by example: filters, order, pages, hostile texts."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from journey_async.client.execution import Execution
from journey_async.client.search import list_executions
from journey_async.core.conditions import (
    provided,
    value,
)
from journey_async.core.graph import Graph
from journey_async.core.nodes import compute, input_node
from journey_async.core.values import NodeKind
from journey_async.engine.engine import Engine
from tests.support.rows import (
    NOW,
    add_graphs,
    add_states,
    cleared,
    found,
    held,
    reading_engine,
    state,
)

GRAPH = Graph(
    "g", "v1", [input_node("x"), input_node("y"), compute("sum", ["x", "y"], lambda x, y: x + y)]
)


SECONDS = NOW.timestamp()


@pytest.fixture
async def engine(dsn: str) -> AsyncIterator[Engine]:
    async with reading_engine(dsn) as engine:
        yield engine


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
    expected = {node.name: whole.value_of(node) for node in GRAPH.nodes}
    assert dict(execution.values) == expected


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
