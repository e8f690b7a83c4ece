"""Searches that mean nothing are refused before anything is sent."""

import functools
from collections.abc import AsyncIterator
from math import inf, nan
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest

from journey_async.client.search import count_executions, list_executions
from journey_async.core.conditions import (
    Compare,
    Condition,
    In,
    Not,
    any_of,
    is_true,
    provided,
    value,
)
from journey_async.core.gates import unblocked_when
from journey_async.core.graph import Graph
from journey_async.core.nodes import compute, input_node
from journey_async.engine.engine import Engine
from journey_async.errors import ConditionError, InvalidOptionError
from journey_async.store.filters import MAX_LEAVES
from tests.support.rows import (
    NOW,
    StoppedClock,
    add_graphs,
    found,
    reading_engine,
)

GRAPH = Graph(
    "g", "v1", [input_node("x"), input_node("y"), compute("sum", ["x", "y"], lambda x, y: x + y)]
)


UNREACHABLE: Any = SimpleNamespace(clock=StoppedClock())  # has no store to send anything to


@pytest.fixture
async def engine(dsn: str) -> AsyncIterator[Engine]:
    async with reading_engine(dsn) as engine:
        yield engine


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


async def test_a_limit_that_is_too_large_is_told_the_largest(engine: Engine) -> None:
    with pytest.raises(InvalidOptionError, match=r"to 2\*\*63 - 1"):
        await list_executions(engine, limit=2**63)
