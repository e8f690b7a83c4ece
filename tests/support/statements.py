"""Counts statements in a test's own database."""

import re
from collections import Counter
from typing import Any

from journey_async.store.sql import folder, in_schema, statement

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
    "all_workers",
    "attention",
    "outdated_executions",
    "overdue_work",
    "read_clock",
    "register_worker",
    "renew_lease",
)
# What the driver asks once on each connection, when it first meets a type of the schema's own.
DRIVERS = ("typeinfo_tree", "set_config")


class Statements:
    """What was executed since `reset`, by its name in sql/queries; background work left out."""

    def __init__(self, connection: Any, schema: str = "journey") -> None:
        self._connection = connection
        names = [file.name.removesuffix(".sql") for file in (folder() / "queries").iterdir()]
        self._names = {_body(in_schema(statement(name), schema)): name for name in names}

    async def reset(self) -> None:
        """Count from here."""
        await self._connection.execute(RESET)

    async def counts(self) -> dict[str, int]:
        """How often each statement was executed; one that is not of sql/queries by its text."""
        rows = await self._connection.fetch(COUNTS)
        found: Counter[str] = Counter()
        for row in rows:
            if not any(word in row["query"] for word in ("pg_stat_statements", *DRIVERS)):
                body = _body(row["query"])
                found[self._names.get(body, body)] += row["calls"]
        return {name: calls for name, calls in found.items() if name not in BACKGROUND}


def _body(text: str) -> str:
    """What pg_stat_statements leaves of a statement, told apart by that.

    Constants are parameters to it, and PostgreSQL 18 does not remember the comment before it.
    """
    body = re.sub(r"\A(--[^\n]*\n|\s)*", "", text).strip()
    return re.sub(r"\$\d+|E?'[^']*'|\b\d+(?:\.\d+)?\b|\b(epoch|true|false|NULL)\b", "?", body)
