"""sql/schema.sql is read by people, sql/migrations/ is run: both must give the same database."""

from pathlib import Path

import asyncpg
import pglast
import pytest

from journey_async.store.migrations import as_script, migrate, migrations
from journey_async.store.sql import folder, in_schema

SQL = Path(str(folder()))

CATALOG = """
SELECT 'column' AS what, c.relname AS relation, a.attname AS name,
       format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' '
           || coalesce(co.collname, '') || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
           || ' ' || coalesce(a.attoptions::text, '')
           AS definition
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
LEFT JOIN pg_collation co ON co.oid = a.attcollation
WHERE n.nspname = $1 AND c.relkind IN ('r', 'c')
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(k.oid)
FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE n.nspname = $1
UNION ALL
SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = $1
UNION ALL
SELECT 'options', c.relname, c.relreplident::text, array_to_string(c.reloptions, ',')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1
UNION ALL
SELECT 'label', t.typname, e.enumlabel,
       row_number() OVER (PARTITION BY t.oid ORDER BY e.enumsortorder)::text
FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname = $1
UNION ALL
SELECT 'statistics', s.stxrelid::regclass::text, s.stxname, pg_get_statisticsobjdef(s.oid)
FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE n.nspname = $1
UNION ALL
SELECT 'function', p.proname, pg_get_function_identity_arguments(p.oid), pg_get_functiondef(p.oid)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = $1
UNION ALL
SELECT 'trigger', t.tgrelid::regclass::text, t.tgname, pg_get_triggerdef(t.oid)
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND NOT t.tgisinternal
ORDER BY 1, 2, 3, 4
"""


async def described(dsn: str) -> list[tuple[str, ...]]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(CATALOG, "journey")
        return [tuple(map(str, row.values())) for row in rows]
    finally:
        await connection.close()


async def run(dsn: str, script: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(script)
    finally:
        await connection.close()


async def test_schema_and_migrations_give_the_same_database(dsn: str, empty_dsn: str) -> None:
    schema = (SQL / "schema.sql").read_text(encoding="utf-8")
    await run(empty_dsn, in_schema(schema, "journey"))
    assert await described(empty_dsn) == await described(dsn)


async def test_the_printed_script_gives_the_same_database_and_counts_as_migrated(
    dsn: str, empty_dsn: str
) -> None:
    await run(empty_dsn, as_script())
    assert await described(empty_dsn) == await described(dsn)
    connection = await asyncpg.connect(empty_dsn)
    try:
        assert await migrate(connection) == []
    finally:
        await connection.close()


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [m.number for m in migrations()] == list(range(1, len(migrations()) + 1))


# These ask the server itself, or its catalogue.
OF_THE_SERVER = ("doctor_server.sql", "doctor_tables.sql", "read_clock.sql")


@pytest.mark.parametrize("file", sorted(SQL.rglob("*.sql")), ids=lambda file: file.name)
def test_every_file_is_sql_and_names_the_schema(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    pglast.parse_sql(in_schema(text, "journey").replace(':"role"', '"role"'))
    assert ':"schema"' in text or file.name in OF_THE_SERVER


def test_every_query_is_one_statement() -> None:
    for file in (SQL / "queries").iterdir():
        assert len(pglast.parse_sql(in_schema(file.read_text(encoding="utf-8"), "x"))) == 1, file
