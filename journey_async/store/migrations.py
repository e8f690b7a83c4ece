"""Brings a schema up to date: numbered, checksummed, forward only, one transaction each."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import asyncpg

from journey_async.errors import MigrationError
from journey_async.store.faults import translated
from journey_async.store.sql import checked_schema, folder, in_schema

_TABLE = """
CREATE TABLE IF NOT EXISTS :"schema".migrations (
    number     integer     PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
_APPLIED = 'SELECT number, name, checksum FROM :"schema".migrations ORDER BY number'
_RECORD = 'INSERT INTO :"schema".migrations (number, name, checksum) VALUES ($1, $2, $3)'
# Whoever wants a table while somebody waits to change it waits, too.
LOCK_PATIENCE = "5s"
_BE_IMPATIENT = """
SELECT set_config('lock_timeout', $1, true) WHERE current_setting('lock_timeout') = '0'
"""
_HAS_SCHEMA = "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)"
_HAS_TABLE = (
    "SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = 'migrations')"
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of sql/migrations."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> list[Migration]:
    """All migrations of this package, in the order of their numbers."""
    found = []
    for file in (folder() / "migrations").iterdir():
        number, _, name = file.name.removesuffix(".sql").partition("_")
        if file.name.endswith(".sql") and number.isdigit():
            found.append(Migration(int(number), name, file.read_text(encoding="utf-8")))
    return sorted(found, key=lambda migration: migration.number)


@contextmanager
def _told(what: str, script: str) -> Iterator[None]:
    """As `translated`, and for what this role may not do, which script lets it."""
    with translated():
        try:
            yield
        except asyncpg.InsufficientPrivilegeError as error:
            raise MigrationError(
                f"this role may not {what} ({error.args[0]}); "
                f"`journey sql {script} --role ROLE` prints what it needs"
            ) from None


async def migrate(connection: asyncpg.Connection, schema: str = "journey") -> list[Migration]:
    """Apply what is missing; the migrations that were applied, in order.

    Any number of processes may call it at once. Raises MigrationError if the database is newer
    than this package, or was made by other files than these.
    """
    schema = checked_schema(schema)
    with _told(f"migrate schema {schema!r}", "grants-migrating"):
        return await _migrate(connection, schema)


async def _migrate(connection: asyncpg.Connection, schema: str) -> list[Migration]:
    done: list[Migration] = []
    if not await pending(connection, schema):
        return done
    while True:
        # Whatever level is usual here: who waited for the lock must see what was done meanwhile.
        async with connection.transaction(isolation="read_committed"):
            await connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"journey_async {schema}"
            )
            if not await connection.fetchval(_HAS_SCHEMA, schema):
                await connection.execute(in_schema('CREATE SCHEMA :"schema"', schema))
            if not await connection.fetchval(_HAS_TABLE, schema):
                await connection.execute(in_schema(_TABLE, schema))
            missing = await pending(connection, schema)
            if not missing:
                return done
            migration = missing[0]
            await connection.execute(_BE_IMPATIENT, LOCK_PATIENCE)
            try:
                await connection.execute(in_schema(migration.text, schema))
            except asyncpg.LockNotAvailableError:
                raise MigrationError(
                    f"migration {migration.number} ({migration.name}) of schema {schema!r} wants "
                    f"a table that another transaction keeps for long, and lets nobody else wait "
                    f"behind it; try again, or end that one"
                ) from None
            await connection.execute(
                in_schema(_RECORD, schema), migration.number, migration.name, migration.checksum
            )
        done.append(migration)


async def pending(connection: asyncpg.Connection, schema: str = "journey") -> list[Migration]:
    """The migrations that the database lacks; raises MigrationError as `migrate` does."""
    with _told(f"read the migrations of schema {schema!r}", "grants"):
        if not await connection.fetchval(_HAS_TABLE, schema):
            return migrations()
        rows = await connection.fetch(in_schema(_APPLIED, schema))
    applied = {row["number"]: row for row in rows}
    known = {migration.number: migration for migration in migrations()}
    newer = sorted(applied.keys() - known.keys())
    if newer:
        raise MigrationError(
            f"schema {schema!r} has migration {newer[-1]} ({applied[newer[-1]]['name']}), which "
            f"this version of journey_async does not know; upgrade the package"
        )
    for number, row in applied.items():
        if row["checksum"] != known[number].checksum:
            raise MigrationError(
                f"migration {number} ({row['name']}) of schema {schema!r} was applied from another "
                f"file than the one in this package; install the package that made the schema"
            )
    return [migration for number, migration in known.items() if number not in applied]


async def ensure_current(connection: asyncpg.Connection, schema: str) -> None:
    """Raise MigrationError unless the schema is as this package needs it."""
    missing = await pending(connection, schema)
    if missing:
        raise MigrationError(
            f"schema {schema!r} lacks migration {missing[0].number} ({missing[0].name}); run "
            f"`journey migrate`, or open Journey with migrate=True"
        )


def as_script(schema: str = "journey") -> str:
    """All migrations as one SQL script, for those who migrate by their own tools.

    It is a transaction: psql goes on after an error, and would record what has failed.
    """
    schema = checked_schema(schema)
    parts = ["BEGIN;", in_schema(f'CREATE SCHEMA IF NOT EXISTS :"schema";\n{_TABLE};', schema)]
    for migration in migrations():
        parts.append(in_schema(migration.text, schema))
        parts.append(
            in_schema(
                f'INSERT INTO :"schema".migrations (number, name, checksum) '  # noqa: S608 - ours
                f"VALUES ({migration.number}, '{migration.name}', '{migration.checksum}');\n",
                schema,
            )
        )
    return "\n".join([*parts, "COMMIT;\n"])
