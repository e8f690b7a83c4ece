"""A database with a long past, filled by COPY.

One execution is run by the library itself; its rows are then copied with other ids, other values
and other times, so that whatever is built is what the library would have written.
"""

import random
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from journey_async import Graph, Journey, compute, input_node, value
from journey_async.store.sql import as_script, quoted

TABLES = ("executions", "values", "computations")
CHUNK = 2_000  # executions in a piece of COPY
NUMBERS = 1_000  # different values of x
CITIES = 200
ARCHIVED_EACH = 50  # every so many executions is archived
# What stands in the rows of the first execution in the places of what differs.
X, Y, CITY = 111_111_111, 222_222_222, "Samarkand"
SECONDARY = """
    SELECT i.relname AS name, pg_get_indexdef(i.oid) AS definition
    FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
    WHERE x.indrelid = ANY ($1::regclass[]) AND NOT x.indisprimary
"""
WARM_UP = """
    SELECT pg_prewarm(oid) FROM pg_class
    WHERE relnamespace = 'journey'::regnamespace AND relkind IN ('r', 'i')
"""


def total(x: int, y: int) -> int:
    """What `sum` computes."""
    return x + y


def label(city: str, sum: int) -> str:
    """What `label` computes."""
    return f"{city}: {sum}"


def alert() -> bool:
    """What `alert` computes."""
    return True


GRAPH = Graph(
    "growth",
    "v1",
    [
        input_node("x"),
        input_node("y"),
        input_node("city"),
        input_node("name"),
        input_node("email"),
        input_node("note"),
        input_node("active"),
        compute("sum", ["x", "y"], total),
        compute("label", ["city", "sum"], label),
        compute("alert", value("sum") > -1, alert),
    ],
)
INPUTS: dict[str, Any] = {
    "x": X,
    "y": Y,
    "city": CITY,
    "name": f"Somebody from {CITY}",
    "email": "somebody@example.org",
    "note": "Asked to be called back in the afternoon, if possible before the weekend.",
    "active": True,
}


async def build(dsn: str, executions: int, *, schema: str = "journey") -> None:
    """Fill a database: the schema, and `executions` with ten values and three computations each.

    Wants the rights of a superuser, for foreign keys are not checked again.
    """
    async with Journey(dsn, schema=schema, graphs=[GRAPH]) as journey:
        first = await journey.start_execution(GRAPH, INPUTS)
        for node in ("label", "alert"):
            await journey.get_value(first, node, wait_any=True)
        created_at = (await journey.load(first)).created_at
    connection = await asyncpg.connect(dsn)
    try:
        pattern = {t: await _rows(connection, schema, t, first.id) for t in TABLES}
        await connection.execute("SET session_replication_role = replica")
        tables = [f"{quoted(schema)}.{quoted(table)}" for table in TABLES]
        indexes = await connection.fetch(SECONDARY, tables)
        for index in indexes:
            await connection.execute(f"DROP INDEX {quoted(schema)}.{quoted(index['name'])}")
        # No version of a row is dead: an index that were made beside one would not be used for as
        # long as any transaction of the server goes on that had begun before (indcheckxmin).
        await connection.execute(f"TRUNCATE {', '.join(tables)} CASCADE")
        for table in TABLES:
            await connection.copy_to_table(
                table,
                schema_name=schema,
                source=_copies(table, pattern[table], first.id, created_at, executions),
            )
        await connection.execute("SET maintenance_work_mem = '512MB'")
        for index in indexes:
            await connection.execute(index["definition"])
        await connection.execute(as_script("recount", schema))
        for table in tables:
            await connection.execute(f"VACUUM (ANALYZE) {table}")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def warm_up(dsn: str) -> None:
    """Have the server read everything into its memory."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_prewarm")
        await connection.fetch(WARM_UP)
    finally:
        await connection.close()


def id_of(number: int) -> str:
    """The id of one of the copies, counted from 0."""
    return f"EXEC{number:026}"


async def _rows(
    connection: "asyncpg.Connection[asyncpg.Record]", schema: str, table: str, execution_id: str
) -> str:
    """The rows of an execution, as COPY has them."""
    pieces: list[bytes] = []

    async def take(piece: bytes) -> None:
        pieces.append(piece)

    key = "id" if table == "executions" else "execution_id"
    await connection.copy_from_query(
        f"SELECT * FROM {quoted(schema)}.{quoted(table)} WHERE {key} = $1",
        execution_id,
        output=take,
    )
    return b"".join(pieces).decode()


async def _copies(
    table: str, pattern: str, first: str, created_at: datetime, number: int
) -> AsyncIterator[bytes]:
    """The rows of many executions: the oldest first, a second apart."""
    second = f"{created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    times = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
    pattern = times.sub(second, pattern).replace(first, "{id}").replace(second, "{time}")
    if table == "executions":
        pattern, archived = _with_archived(pattern)
    else:
        archived = pattern
    made = [_template(pattern), _template(archived)]
    chance = random.Random(1)  # every table sees the same
    for begin in range(0, number, CHUNK):
        lines: list[str] = []
        for n in range(begin, min(begin + CHUNK, number)):
            time = created_at - timedelta(seconds=number - n)
            x, y = chance.randrange(NUMBERS), chance.randrange(NUMBERS)
            lines.append(
                made[n % ARCHIVED_EACH == 0]
                % {
                    "id": id_of(n),
                    "time": f"{time:%Y-%m-%d %H:%M:%S}",
                    "x": x,
                    "y": y,
                    "sum": x + y,
                    "city": f"City {n % CITIES}",
                }
            )
        yield "".join(lines).encode()


def _with_archived(pattern: str) -> tuple[str, str]:
    """The row of an execution, and the same archived."""
    fields = pattern.split("\t")
    return pattern, "\t".join([*fields[:8], fields[7], *fields[9:]])


def _template(pattern: str) -> str:
    text = pattern.replace("%", "%%").replace("{id}", "%(id)s").replace("{time}", "%(time)s")
    places: Sequence[tuple[object, str]] = [(X + Y, "sum"), (X, "x"), (Y, "y"), (CITY, "city")]
    for found, name in places:
        text = text.replace(str(found), f"%({name})s")
    return text
