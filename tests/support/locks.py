"""Who waits for a lock, in the database of the connection that asks."""

from typing import Any

WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1
"""


async def waiting_for_locks(connection: Any, query: str = "%") -> int:
    """How many connections wait for a lock, with a statement like `query`."""
    await connection.execute("SELECT pg_stat_clear_snapshot()")  # kept while in a transaction
    waiting: int = await connection.fetchval(WAITING, query)
    return waiting
