"""Searches are planned in time, and use the indexes made for them."""

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from journey_async.core.conditions import (
    Condition,
    all_of,
    any_of,
    is_true,
    provided,
    value,
)
from journey_async.core.graph import Graph
from journey_async.core.nodes import compute, input_node
from journey_async.engine.engine import Engine
from journey_async.store.filters import MAX_LEAVES, STORED, Filter
from journey_async.store.search import Order, Selection, count_statement, page_statement
from journey_async.store.sql import folder, in_schema
from journey_async.store.where import MAX_DEPTH
from tests.support.rows import (
    NOW,
    SCHEMA,
    add_graphs,
    add_states,
    found,
    held,
    reading_engine,
    state,
)

GRAPH = Graph(
    "g", "v1", [input_node("x"), input_node("y"), compute("sum", ["x", "y"], lambda x, y: x + y)]
)


@pytest.fixture
async def engine(dsn: str) -> AsyncIterator[Engine]:
    async with reading_engine(dsn) as engine:
        yield engine


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


async def test_the_schema_may_have_any_name() -> None:
    selection = Selection(now=NOW, filters=[Filter("x", "eq", ':"schema"')])
    for made in (count_statement(selection), page_statement(selection, [Order("y")], 1, 0)):
        text = in_schema(made.text, 'a"b')
        assert ':"schema"' not in text
        assert "x" not in made.text.split()
        assert ':"schema"' in made.arguments


# --- plans ------------------------------------------------------------------------------------

MANY = 10_000
NOTE = "a text that is longer than what the index holds of it, and that all executions have"


SOME_TEXTS = value("y") < f"{'a' * 60}00003"


async def test_selective_searches_use_the_indexes(connection: asyncpg.Connection) -> None:
    await _many(connection)
    searches = {
        "values_number": [value("x") == 7, value("x") > MANY - 3, value("x").in_([1, 2, 3])],
        "values_text": [
            value("y") == _text(7),
            SOME_TEXTS,
            value("y").in_(["a", _text(1)]),
        ],
    }
    for index, conditions in searches.items():
        for condition in conditions:
            plan = await _plan(connection, where=condition)
            assert index in plan, f"{condition!r}:\n{plan}"
            # of texts it is not known how many come before another: executions may all be read
            if condition != SOME_TEXTS:
                assert "Seq Scan" not in plan, f"{condition!r}:\n{plan}"
    plan = await _plan(connection, filters=[Filter("execution_id", "eq", "E00007")])
    assert "executions_pkey" in plan


async def test_both_ends_of_a_range_are_one_look_into_the_index(
    connection: asyncpg.Connection,
) -> None:
    await _many(connection)
    least, most = MANY // 2, MANY // 2 + 10
    ranges = {
        "values_number": (value("x") >= least) & (value("x") < most),
        "values_text": (value("y") >= _text(least)) & (value("y") < _text(most)),
    }
    for index, condition in ranges.items():
        plan = await _plan(connection, where=condition)
        assert plan.count(index) == 1, plan
    filters = [Filter("x", "gte", least), Filter("status", "eq", "done"), Filter("x", "lt", most)]
    explained = await _explained(connection, filters, Order("updated_at"))
    assert explained["Shared Hit Blocks"] + explained["Shared Read Blocks"] < 500


async def test_what_tells_most_is_a_join_whatever_else_is_asked(
    connection: asyncpg.Connection,
) -> None:
    await _many(connection)
    either = any_of(*(value("status") == f"{number}" for number in range(20)), provided("n"))
    unset = [Filter(f"z{number}", "is_not_set") for number in range(20)]
    plan = await _plan(connection, where=all_of(either, value("x") == 7), filters=unset)
    assert "values_number" in plan, plan
    assert "Seq Scan" not in plan, plan


async def test_what_most_executions_have_is_searched_among_the_newest(
    connection: asyncpg.Connection,
) -> None:
    """To read all that has it, and sort that, would be 30,000 pages and more."""
    await _many(connection)
    common = [Filter("status", "eq", "done"), Filter("note", "eq", NOTE), Filter("n", "gt", -8)]
    rare = Filter("x", "eq", 7)
    for filters in ([common[0]], [common[1]], [common[2]], common, [*common, rare], [rare]):
        newest = await _explained(connection, filters, Order("created_at", descending=True))
        pages = newest["Shared Hit Blocks"] + newest["Shared Read Blocks"]
        assert pages < 6_000, filters


async def test_a_search_is_planned_for_what_is_asked(engine: Engine) -> None:
    """PostgreSQL would keep one plan for all values after some times, as if they were rare."""
    for number in range(10):
        await found(engine, filter_by=[("x", "eq", number)])
    again = """
        SELECT FROM pg_prepared_statements
        WHERE statement LIKE '%executions AS e%' AND generic_plans + custom_plans > 1
    """
    assert await engine.store.fetch_text(again) == []


async def test_the_words_of_the_indexes_are_those_of_the_search() -> None:
    indexes = (folder() / "migrations" / "0001_initial.sql").read_text(encoding="utf-8")
    for expression in (STORED.number, STORED.is_number, STORED.prefix, STORED.is_text):
        assert expression is not None
        assert expression.replace("v.value", "value") in " ".join(indexes.split())


def _text(number: int) -> str:
    return f"{'a' * 60}{number:05}"  # the index tells only some of them apart


async def _many(connection: asyncpg.Connection) -> None:
    await connection.execute(
        """
        INSERT INTO journey.executions
        SELECT 'E' || lpad(n::text, 5, '0'), 'g', 'v1', 'h', 1, 1,
            $1::timestamptz + make_interval(secs => n), $1, NULL, NULL, $1, 1, 1
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
                WHEN 'n' THEN to_jsonb(-(n % 10))
                WHEN 'status' THEN CASE WHEN n % 10 > 0 THEN '"done"'::jsonb ELSE '"new"' END
                WHEN 'note' THEN to_jsonb($3::text)
            END, NULL, 1, $1
        FROM generate_series(1, $2::integer) AS n,
            unnest(ARRAY['x', 'y', 'n', 'status', 'note']) AS node
        """,
        *(NOW, MANY, NOTE),
    )
    await connection.execute('ANALYZE journey.executions, journey."values"')


async def _explained(
    connection: asyncpg.Connection, filters: list[Filter], order: Order
) -> dict[str, Any]:
    """What a page of a hundred does at its root, in EXPLAIN's words."""
    selection = Selection(now=NOW, graph_name="g", graph_version="v1", filters=filters)
    how = "(ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON)"
    [told] = await _explain(connection, selection, order, how)
    plan: dict[str, Any] = json.loads(told)[0]["Plan"]
    return plan


async def _plan(connection: asyncpg.Connection, **selection: Any) -> str:
    order = Order("updated_at")
    return "\n".join(await _explain(connection, Selection(now=NOW, **selection), order))


async def _explain(
    connection: asyncpg.Connection, selection: Selection, order: Order, how: str = ""
) -> list[str]:
    page = page_statement(selection, [order], 100, 0)
    text = f"EXPLAIN {how} {in_schema(page.text, SCHEMA)}"
    return [row[0] for row in await connection.fetch(text, *page.arguments)]
