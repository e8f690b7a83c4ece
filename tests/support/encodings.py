"""Databases that cannot hold every text."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from journey_async.testing.databases import drop_statement, with_database

CREATE = """
    CREATE DATABASE "{}" TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'
"""


@asynccontextmanager
async def latin1(dsn: str, connection: Any) -> AsyncIterator[str]:
    """The DSN of an empty database beside another one, in LATIN1."""
    name = f"latin1_{uuid4().hex[:12]}"
    await connection.execute(CREATE.format(name))
    try:
        yield with_database(dsn, name)
    finally:
        await connection.execute(drop_statement(name))
