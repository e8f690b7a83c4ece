"""Counts statements in a test's own database."""

from typing import Any

from journey_async.store.sql import statement

COUNTS = """
    SELECT s.query, sum(s.calls)::int AS calls
    FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid
    WHERE d.datname = current_database() AND s.toplevel
    GROUP BY s.query
"""
RESET = """
    SELECT pg_stat_statements_reset(0, oid, 0) FROM pg_database WHERE datname = current_database()
"""
# What happens now and then by itself: signs of life, the alarm clock, the safety net.
BACKGROUND = (
    "attention",
    "other_workers",
    "outdated_executions",
    "overdue_work",
    "read_clock",
    "register_worker",
    "renew_lease",
)
# What the driver asks once on each connection, when it first meets a type of the schema's own.
DRIVERS = ("typeinfo_tree", "set_config")


class Statements:
    """What was executed since `reset`, by the first line of its text; background work left out."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._left_out = {_first_line(statement(name)) for name in BACKGROUND}

    async def reset(self) -> None:
        """Count from here."""
        await self._connection.execute(RESET)

    async def counts(self) -> dict[str, int]:
        """How often each statement was executed."""
        rows = await self._connection.fetch(COUNTS)
        found = {
            _first_line(row["query"]): row["calls"]
            for row in rows
            if not any(word in row["query"] for word in ("pg_stat_statements", *DRIVERS))
        }
        return {line: calls for line, calls in found.items() if line not in self._left_out}


def named(name: str) -> str:
    """What `counts` calls the statement of sql/queries/<name>.sql."""
    return _first_line(statement(name))


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
