"""Gathers what says whether a database is well: one look at server, schema, rows and listener."""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from journey_async.errors import MigrationError
from journey_async.store.connecting import connect, read_clock
from journey_async.store.faults import translated
from journey_async.store.migrations import pending
from journey_async.store.sql import folder, in_schema, statement

HEARD_WITHIN = 5.0  # seconds for a notification to come back
OVERDUE = timedelta(seconds=60)  # after which somebody should have taken care of what was due

_INDEX = re.compile(r"CREATE (?:UNIQUE )?INDEX (?:IF NOT EXISTS )?(\w+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was found. Times in seconds; `schema_error` says what is wrong with the migrations.

    `notified` is how long a notification took (None: it did not come), `skew` how far this
    machine's clock is ahead of the database's. Where the schema is not `readable` to this role,
    nothing is known of its migrations.
    """

    connected: float
    behind_pooler: bool
    listens_directly: bool
    notified: float | None
    skew: float
    server: Mapping[str, Any]
    readable: bool
    schema_error: str | None
    missing_migrations: list[str]
    tables: list[Mapping[str, Any]] = field(default_factory=list)
    missing_indexes: list[str] = field(default_factory=list)
    work: Mapping[str, Any] | None = None

    @property
    def takes_writes(self) -> bool:
        """Whether the server takes any: a standby does not, nor does it let anybody listen."""
        return not (self.server["is_standby"] or self.server["is_read_only"])


async def examine(dsn: str, listen_dsn: str | None, schema: str) -> Facts:
    """Look at a database; raises DatabaseUnavailable, and InvalidOptionError for a bad DSN."""
    began = time.monotonic()
    connection = await connect(dsn)
    try:
        connected = time.monotonic() - began
        first = await read_clock(connection)
        with translated():
            [server] = await _fetch(connection, "doctor_server", schema, schema)
            tables = await _fetch(connection, "doctor_tables", schema, schema)
            readable = server["may_use_schema"] is not False and not any(
                table["lacks"] for table in tables if table["name"] == "migrations"
            )
            error, missing = await _migrations(connection, schema) if readable else (None, [])
            complete = readable and error is None and not missing
            work = await _work(connection, schema, server["now"]) if complete else None
    finally:
        connection.terminate()
    facts = Facts(
        connected=connected,
        behind_pooler=first.behind_pooler,
        listens_directly=True,
        notified=None,
        skew=(datetime.now(UTC) - server["now"]).total_seconds(),
        server=dict(server),
        readable=readable,
        schema_error=error,
        missing_migrations=missing,
        tables=[dict(table) for table in tables],
        missing_indexes=_missing_indexes(tables) if complete else [],
        work=None if work is None else dict(work),
    )
    if not facts.takes_writes:
        return facts
    direct, notified = await _heard(listen_dsn or dsn)
    return replace(facts, listens_directly=direct, notified=notified)


async def _migrations(connection: asyncpg.Connection, schema: str) -> tuple[str | None, list[str]]:
    try:
        return None, [f"{m.number:04} {m.name}" for m in await pending(connection, schema)]
    except MigrationError as error:
        return str(error), []


def _missing_indexes(tables: list[asyncpg.Record]) -> list[str]:
    present = {index for table in tables for index in table["indexes"]}
    expected = set(_INDEX.findall((folder() / "schema.sql").read_text(encoding="utf-8")))
    return sorted(expected - present)


async def _work(connection: asyncpg.Connection, schema: str, now: datetime) -> Any:
    try:
        [work] = await _fetch(connection, "doctor_work", schema, now, now - OVERDUE)
    except asyncpg.InsufficientPrivilegeError:
        return None  # the rights of the tables say so
    return work


async def _heard(dsn: str) -> tuple[bool, float | None]:
    """Whether a session is one's own, and how long a notification takes to come back."""
    connection = await connect(dsn)
    try:
        if (await read_clock(connection)).behind_pooler:
            return False, None
        heard = asyncio.Event()
        channel = f"journey_doctor.{time.time_ns()}"
        with translated():
            await connection.add_listener(channel, lambda *_: heard.set())
            began = time.monotonic()
            await connection.fetch("SELECT pg_notify($1, '')", channel)
            try:
                async with asyncio.timeout(HEARD_WITHIN):
                    await heard.wait()
            except TimeoutError:
                return True, None
        return True, time.monotonic() - began
    finally:
        connection.terminate()


async def _fetch(
    connection: asyncpg.Connection, name: str, schema: str, *arguments: Any
) -> list[asyncpg.Record]:
    return await connection.fetch(in_schema(statement(name), schema), *arguments)
