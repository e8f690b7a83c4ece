"""The database refuses rows that cannot be."""

from typing import Any

import asyncpg
import pytest

from journey_async.core.values import ComputationState, NodeKind

EXECUTION: dict[str, str] = {
    "id": "'EXEC2'",
    "graph_name": "'g'",
    "graph_version": "'v1'",
    "graph_hash": "'h'",
    "version": "1",
    "revision": "3",
    "created_at": "now()",
    "updated_at": "now()",
    "archived_at": "NULL",
    "wake_at": "NULL",
    "values_at": "now()",
    "values_revision": "2",
    "inputs_revision": "1",
}
VALUE: dict[str, str] = {
    "execution_id": "'EXEC1'",
    "node": "'x'",
    "kind": "'input'",
    "value": "'1'",
    "metadata": "NULL",
    "revision": "1",
    "set_time": "now()",
}
COMPUTATION: dict[str, str] = {
    "execution_id": "'EXEC1'",
    "node": "'y'",
    "number": "1",
    "kind": "'compute'",
    "state": "'computing'",
    "attempt": "1",
    "iteration": "NULL",
    "computed_with": "'{}'",
    "created_at": "now()",
    "due_at": "NULL",
    "started_at": "now()",
    "deadline": "now()",
    "completed_at": "NULL",
    "worker": "'W'",
    "token": "1",
    "deaths": "0",
    "successes": "0",
    "permanent": "false",
    "error": "NULL",
}
AVAILABLE = {
    "state": "'available'",
    "due_at": "now()",
    "started_at": "NULL",
    "deadline": "NULL",
    "token": "NULL",
    "worker": "NULL",
}
ENDED = {"deadline": "NULL", "token": "NULL", "completed_at": "now()"}
GRAPH = {
    "name": "'g'",
    "version": "'v1'",
    "hash": "'h'",
    "definition": "'{}'",
    "registration": "1",
    "registered_at": "now()",
}
WORKER = {
    "id": "'W'",
    "lock_key": "1",
    "locked": "true",
    "host": "'h'",
    "pid": "1",
    "started_at": "now()",
    "lease_until": "now()",
    "graphs": "'{}'",
}
ROWS = {
    "executions": EXECUTION,
    "values": VALUE,
    "computations": COMPUTATION,
    "graphs": GRAPH,
    "workers": WORKER,
}

POSSIBLE: list[tuple[str, dict[str, str]]] = [
    ("executions", {}),
    ("values", {}),
    ("values", {"node": "'n'", "value": "'null'"}),
    ("values", {"node": "'c'", "value": "NULL", "set_time": "NULL"}),
    ("computations", {}),
    ("computations", {"node": "'a'", **AVAILABLE}),
    ("computations", {"node": "'s'", "state": "'success'", **ENDED}),
    ("computations", {"node": "'f'", "state": "'failed'", "error": "'e'", **ENDED}),
    ("computations", {"node": "'l'", "kind": "'loop'", "iteration": "1"}),
    ("computations", {"node": "'y'", "number": "2", "state": "'success'", **ENDED}),
    ("graphs", {}),
    ("workers", {}),
]

IMPOSSIBLE: list[tuple[str, dict[str, str]]] = [
    ("executions", {"id": "'EXEC1'"}),
    ("executions", {"version": "0"}),
    ("executions", {"revision": "-1"}),
    ("executions", {"values_revision": "4"}),
    ("executions", {"inputs_revision": "3"}),
    ("executions", {"archived_at": "now()", "wake_at": "now()"}),
    ("executions", {"graph_name": "NULL"}),
    ("values", {"execution_id": "'NOBODY'"}),
    ("values", {"kind": "'odd'"}),
    ("values", {"revision": "-1"}),
    ("values", {"value": "NULL"}),
    ("values", {"set_time": "NULL"}),
    ("values", {"value": "NULL", "set_time": "NULL", "metadata": "'1'"}),
    ("computations", {"execution_id": "'NOBODY'"}),
    ("computations", {"state": "'odd'"}),
    ("computations", {"kind": "'odd'"}),
    ("computations", {"kind": "'input'"}),
    ("computations", {"number": "0"}),
    ("computations", {"attempt": "0"}),
    ("computations", {"deaths": "-1"}),
    ("computations", {"successes": "-1"}),
    ("computations", {"iteration": "1"}),
    ("computations", {"kind": "'loop'"}),
    ("computations", {"kind": "'loop'", "iteration": "0"}),
    ("computations", {"due_at": "now()"}),
    ("computations", {**AVAILABLE, "due_at": "NULL"}),
    ("computations", {**AVAILABLE, "token": "1"}),
    ("computations", {**AVAILABLE, "deadline": "now()"}),
    ("computations", {"token": "NULL"}),
    ("computations", {"deadline": "NULL"}),
    ("computations", {"worker": "NULL"}),
    ("computations", {"started_at": "NULL"}),
    ("computations", {"completed_at": "now()"}),
    ("computations", {"state": "'success'", **ENDED, "completed_at": "NULL"}),
    ("computations", {"state": "'success'", **ENDED, "token": "1"}),
    ("computations", {"state": "'failed'", **ENDED}),
    ("computations", {"state": "'abandoned'", **ENDED}),
    ("graphs", {"name": "''"}),
    ("graphs", {"name": "repeat('n', 201)"}),
    ("graphs", {"version": "''"}),
    ("graphs", {"registration": "0"}),
    ("workers", {"id": "'V'", "graphs": "'[]'"}),
    ("workers", {"id": "'V'", "graphs": "NULL"}),
]


async def insert(connection: Any, table: str, changed: dict[str, str]) -> None:
    row = {**ROWS[table], **changed}
    await connection.execute(
        f'INSERT INTO journey."{table}" ({", ".join(row)}) VALUES ({", ".join(row.values())})'
    )


@pytest.fixture
async def database(connection: Any) -> Any:
    await insert(connection, "executions", {"id": "'EXEC1'"})
    return connection


async def test_possible_rows_are_taken(database: Any) -> None:
    for table, changed in POSSIBLE:
        await insert(database, table, changed)


async def test_impossible_rows_are_refused(database: Any) -> None:
    taken = []
    for table, changed in IMPOSSIBLE:
        try:
            async with database.transaction():
                await insert(database, table, changed)
                taken.append((table, changed))
        except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError):
            continue
    assert taken == []


async def test_the_database_knows_the_words_of_the_core(connection: Any) -> None:
    for name, words in (("node_kind", NodeKind), ("computation_state", ComputationState)):
        known = await connection.fetchval(f"SELECT enum_range(NULL::journey.{name})::text[]")
        assert sorted(known) == sorted(words)


async def test_a_node_has_at_most_one_active_computation(database: Any) -> None:
    await insert(database, "computations", {})
    for second in ({}, AVAILABLE):
        with pytest.raises(asyncpg.UniqueViolationError):
            await insert(database, "computations", {"number": "2", **second})
    await insert(database, "computations", {"number": "2", "state": "'success'", **ENDED})


async def test_a_singleton_has_one_live_execution(database: Any) -> None:
    await insert(database, "executions", {})
    add = "INSERT INTO journey.singletons (graph_name, execution_id) VALUES ($1, $2)"
    await database.execute(add, "g", "EXEC1")
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.execute(add, "g", "EXEC2")
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.execute(add, "h", "EXEC1")


async def test_an_execution_is_deleted_with_all_that_is_its_own(database: Any) -> None:
    for table in ("values", "computations"):
        await insert(database, table, {})
    await database.execute("DELETE FROM journey.executions")
    for table in ("values", "computations", "singletons"):
        assert await database.fetchval(f'SELECT count(*) FROM journey."{table}"') == 0
