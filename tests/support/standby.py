"""What processes see when a standby takes over that was behind: the server has lost commits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.backends import TERMINATE
from tests.support.graphs import TABLES

ALL = [*TABLES, "workers"]  # those that others refer to before those that refer to them


@asynccontextmanager
async def behind(connection: Any) -> AsyncIterator[None]:
    """What is written within the block is lost at its end, as is every connection."""
    await connection.execute("CREATE SCHEMA standby")
    async with connection.transaction(isolation="repeatable_read"):
        for table in ALL:
            await connection.execute(f'CREATE TABLE standby."{table}" AS TABLE journey."{table}"')
    yield
    async with connection.transaction():
        await connection.execute(f"LOCK TABLE {', '.join(f'journey.{_quoted(t)}' for t in ALL)}")
        for table in reversed(ALL):
            await connection.execute(f"DELETE FROM journey.{_quoted(table)}")
        for table in ALL:
            name = _quoted(table)
            await connection.execute(f"INSERT INTO journey.{name} SELECT * FROM standby.{name}")
        await connection.fetch(TERMINATE)


def _quoted(table: str) -> str:
    return f'"{table}"'
