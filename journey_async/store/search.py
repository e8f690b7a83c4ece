"""Searches executions: one statement for a page of them with all that they hold, one for a count.

What is searched for stands in `where` and `filters`. Within equal keys a page is ordered by id, so
that paging neither repeats nor misses. A node's values are ordered by type (null, texts by code
point, numbers, false, true, lists, objects); nodes that are not set come last, and first when
descending.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from journey_async.core.conditions import Condition
from journey_async.core.nodes import EXECUTION_ID, LAST_UPDATED_AT
from journey_async.core.state import State
from journey_async.store.breath import in_turn
from journey_async.store.filters import (
    SYSTEM_CELLS,
    Filter,
    Parameters,
    checked_name,
)
from journey_async.store.rows import states_of
from journey_async.store.sql import statement
from journey_async.store.store import Store
from journey_async.store.where import all_sql

# What an execution is ordered by; a node of the same name stands behind.
COLUMNS: Mapping[str, str] = {
    "id": "e.id",
    "graph_name": "e.graph_name",
    "graph_version": "e.graph_version",
    "graph_hash": "e.graph_hash",
    "archived_at": "e.archived_at",
    "revision": "e.revision",
    "created_at": "e.created_at",
    "updated_at": "e.updated_at",
    EXECUTION_ID: SYSTEM_CELLS[EXECUTION_ID].text,
    LAST_UPDATED_AT: SYSTEM_CELLS[LAST_UPDATED_AT].number,
}

TYPES = "ARRAY['null', 'string', 'number', 'boolean', 'array', 'object']"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which executions: of which graph, under which conditions (all of them), as of when."""

    now: datetime
    graph_name: str | None = None
    graph_version: str | None = None
    where: Condition | None = None
    filters: Sequence[Filter] = ()
    include_archived: bool = False


class Order(NamedTuple):
    """A column of executions, or a node, to order by."""

    name: str
    descending: bool = False


class Statement(NamedTuple):
    """A text with places for its arguments."""

    text: str
    arguments: Sequence[Any]


def count_statement(selection: Selection) -> Statement:
    """Counts the executions; raises InvalidOptionError."""
    bound = Parameters(selection.now)
    text = _lines("SELECT count(*) AS count", _source(selection, bound, []))
    return Statement(text, bound.values)


def page_statement(
    selection: Selection, order: Sequence[Order], limit: int, offset: int
) -> Statement:
    """Loads a page of executions, each with its place in it; raises InvalidOptionError."""
    bound = Parameters(selection.now)
    joins: list[str] = []
    keys = _keys(order, bound, joins)
    ids = _lines(
        "SELECT e.id",
        _source(selection, bound, joins),
        f"ORDER BY {', '.join(keys)}",
        f"LIMIT {bound.bind(limit, 'bigint')} OFFSET {bound.bind(offset, 'bigint')}",
    )
    # In the same statement, so that what is loaded is what was found.
    text = _lines(
        "SELECT page.place, loaded.*",
        f"FROM unnest(ARRAY({ids})) WITH ORDINALITY AS page (id, place)",
        f"CROSS JOIN LATERAL ({_load_one()}) AS loaded",
    )
    return Statement(text, bound.values)


class Search:
    """Sends the statements; raises as Store does."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, page: Statement) -> list[State]:
        """The states of the executions of a page, in order."""
        rows = await self._store.fetch_text(page.text, *page.arguments)
        rows.sort(key=lambda row: row["place"])
        return list((await in_turn(states_of(rows))).values())

    async def count(self, count: Statement) -> int:
        """How many there are."""
        rows = await self._store.fetch_text(count.text, *count.arguments)
        number: int = rows[0]["count"]
        return number


def _load_one() -> str:
    """load_executions.sql for the one execution of a row of `page`."""
    text = statement("load_executions")
    asked = {"$1::text[]": "page.id", "$2::bigint[]": "-1::bigint", "$3::boolean[]": "false"}
    for argument, one in asked.items():
        before, found, after = text.partition(f"ARRAY(SELECT unnest({argument}))")
        assert found
        text = f"{before}ARRAY[{one}]{after}"
    return f"{text}\n"


def _source(selection: Selection, bound: Parameters, joins: Sequence[str]) -> str:
    tests = [] if selection.include_archived else ["e.archived_at IS NULL"]
    if selection.graph_name is not None:
        tests.append(f"e.graph_name = {bound.bind(selection.graph_name, 'text')}")
    if selection.graph_version is not None:
        tests.append(f"e.graph_version = {bound.bind(selection.graph_version, 'text')}")
    where = [] if selection.where is None else [selection.where]
    tests += all_sql(where, selection.filters, bound)
    tested = [f"WHERE {' AND '.join(tests)}"] if tests else []
    return _lines('FROM :"schema".executions AS e', *joins, *tested)


def _keys(order: Sequence[Order], bound: Parameters, joins: list[str]) -> list[str]:
    keys = []
    for number, (name, descending) in enumerate(order):
        direction = "DESC" if descending else "ASC"
        if name in COLUMNS:
            keys.append(f"{COLUMNS[name]} {direction}")
            continue
        alias = f"o{number}"
        joins.append(
            f'LEFT JOIN :"schema"."values" AS {alias} ON {alias}.execution_id = e.id '
            f"AND {alias}.node = {bound.bind(checked_name(name), 'text')}"
        )
        keys += [f"{key} {direction}" for key in _node_keys(f"{alias}.value")]
    return [*keys, "e.id ASC"]


def _node_keys(value: str) -> tuple[str, str, str]:
    """The type, then the text (jsonb's own order of texts is the locale's), then the value."""
    text = f"CASE WHEN jsonb_typeof({value}) = 'string' THEN {value} #>> '{{}}' END"
    return f"array_position({TYPES}, jsonb_typeof({value}))", f'({text}) COLLATE "C"', value


def _lines(*parts: str) -> str:
    return "\n".join(parts)
