"""Migrations: fresh, again, at once, and refusals that say what to do."""

import asyncio
from contextlib import suppress
from typing import Any

import asyncpg
import pglast
import pytest

from journey_async import Journey
from journey_async.errors import MigrationError
from journey_async.store import migrations as module
from journey_async.store.migrations import Migration, as_script, migrate, migrations, pending
from tests.support.graphs import basic_graph

TABLES = """
    SELECT table_name FROM information_schema.tables WHERE table_schema = $1 ORDER BY table_name
"""


async def tables(dsn: str, schema: str = "journey") -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row["table_name"] for row in await connection.fetch(TABLES, schema)]
    finally:
        await connection.close()


async def run(dsn: str, schema: str = "journey", **settings: str) -> list[int]:
    connection = await asyncpg.connect(dsn, server_settings=settings)
    try:
        return [migration.number for migration in await migrate(connection, schema)]
    finally:
        await connection.close()


async def execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_fresh_database_gets_all_of_them_once(empty_dsn: str) -> None:
    everything = [migration.number for migration in migrations()]
    assert everything == list(range(1, len(everything) + 1))
    assert await run(empty_dsn) == everything
    assert "executions" in await tables(empty_dsn)
    assert await run(empty_dsn) == []


@pytest.mark.parametrize("schema", ["journey", 'odd "name"'])
async def test_many_may_migrate_at_once(empty_dsn: str, schema: str) -> None:
    done = await asyncio.gather(*(run(empty_dsn, schema) for _ in range(6)))
    assert sorted(number for numbers in done for number in numbers) == [
        migration.number for migration in migrations()
    ]


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_many_may_migrate_at_once_whatever_isolation_is_usual(
    empty_dsn: str, isolation: str
) -> None:
    done = await asyncio.gather(
        *(run(empty_dsn, default_transaction_isolation=isolation) for _ in range(6))
    )
    assert sorted(number for numbers in done for number in numbers) == [
        migration.number for migration in migrations()
    ]


async def test_many_journeys_may_open_on_an_empty_database_at_once(empty_dsn: str) -> None:
    journeys = [Journey(empty_dsn) for _ in range(4)]
    await asyncio.gather(*(journey.__aenter__() for journey in journeys))
    await asyncio.gather(*(journey.close() for journey in journeys))


@pytest.mark.direct("changes what the migrations left")
async def test_a_newer_database_is_refused(dsn: str) -> None:
    await execute(
        dsn, "INSERT INTO journey.migrations (number, name, checksum) VALUES (999, 'later', '-')"
    )
    for bring_up_to_date in (True, False):
        with pytest.raises(MigrationError, match=r"999 \(later\).*upgrade"):
            await Journey(dsn, migrate=bring_up_to_date).__aenter__()


@pytest.mark.direct("changes what the migrations left")
async def test_a_schema_from_other_files_is_refused(dsn: str) -> None:
    await execute(dsn, "UPDATE journey.migrations SET checksum = 'x' WHERE number = 1")
    for bring_up_to_date in (True, False):
        with pytest.raises(MigrationError, match="another file"):
            await Journey(dsn, migrate=bring_up_to_date).__aenter__()


async def test_an_empty_schema_is_refused_if_it_may_not_be_filled(empty_dsn: str) -> None:
    with pytest.raises(MigrationError, match="migrate=True"):
        await Journey(empty_dsn, migrate=False).__aenter__()
    assert await tables(empty_dsn) == []


async def test_a_schema_that_is_there_and_empty_is_used(empty_dsn: str) -> None:
    await execute(empty_dsn, "CREATE SCHEMA journey")
    assert await run(empty_dsn)


async def test_a_migration_waits_for_a_table_only_for_a_moment(
    direct_dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody else would wait behind it."""
    change = 'ALTER TABLE :"schema".executions ADD COLUMN more text'
    all_of_them = [*migrations(), Migration(len(migrations()) + 1, "more", change)]
    monkeypatch.setattr(module, "migrations", lambda: all_of_them)
    monkeypatch.setattr(module, "LOCK_PATIENCE", "50ms")
    async with connection.transaction():
        await connection.fetch("SELECT 1 FROM journey.executions")  # as pg_dump does
        with pytest.raises(MigrationError, match="another transaction keeps"):
            await run(direct_dsn)
    assert await run(direct_dsn) == [all_of_them[-1].number]


async def test_a_migration_that_fails_leaves_nothing(empty_dsn: str) -> None:
    await execute(empty_dsn, "CREATE SCHEMA journey", "CREATE TABLE journey.executions ()")
    with pytest.raises(Exception, match="already exists"):
        await run(empty_dsn)
    assert await tables(empty_dsn) == ["executions"]


async def test_the_script_does_the_same(empty_dsn: str) -> None:
    await execute(empty_dsn, as_script('s"1'))
    assert await run(empty_dsn, 's"1') == []
    assert await run(empty_dsn, "s2")
    assert await tables(empty_dsn, 's"1') == await tables(empty_dsn, "s2")
    async with Journey(empty_dsn, schema='s"1', migrate=False):
        pass


async def test_a_script_that_fails_leaves_nothing_though_its_reader_goes_on(
    empty_dsn: str,
) -> None:
    await execute(empty_dsn, "CREATE SCHEMA journey", "CREATE TABLE journey.executions ()")
    connection = await asyncpg.connect(empty_dsn)
    try:
        for statement in pglast.split(as_script()):  # as psql does
            with suppress(asyncpg.PostgresError):
                await connection.execute(statement)
        assert await pending(connection) == migrations()
    finally:
        await connection.close()
    assert await tables(empty_dsn) == ["executions"]


async def test_pending_names_what_is_missing(empty_dsn: str) -> None:
    connection = await asyncpg.connect(empty_dsn)
    try:
        assert await pending(connection) == migrations()
        await migrate(connection)
        assert await pending(connection) == []
    finally:
        await connection.close()


@pytest.mark.direct("makes a role of its own")
async def test_who_may_only_read_and_write_rows_can_open(dsn: str) -> None:
    role = f"journey_{dsn.rpartition('/')[2].partition('?')[0]}"
    await execute(
        dsn,
        f'CREATE ROLE "{role}"',
        f'GRANT USAGE ON SCHEMA journey TO "{role}"',
        f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA journey TO "{role}"',
    )

    async def as_role(connection: Any) -> None:
        await connection.execute(f'SET ROLE "{role}"')

    try:
        pool = await asyncpg.create_pool(dsn, min_size=1, max_size=2, setup=as_role)
        async with pool, Journey(pool=pool, listen_dsn=dsn, migrate=False) as journey:
            execution = await journey.start_execution(basic_graph(), {"x": 1, "y": 2})
            assert await journey.get_value(execution, "sum", wait_any=True) == 3
            await journey.archive(execution)
    finally:
        await execute(dsn, f'DROP OWNED BY "{role}"', f'DROP ROLE "{role}"')
