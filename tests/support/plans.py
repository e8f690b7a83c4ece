"""By which plans a server executes statements, as for connections that have been open for long."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from journey_async.store.sql import in_schema, statement

SCHEMA = "journey"
# The plan that a connection keeps after a few executions, whatever its arguments.
SETTINGS = {"jit": "off", "plan_cache_mode": "force_generic_plan"}
EXPLAINING = (
    "LOAD 'auto_explain'",
    "SET auto_explain.log_min_duration = 0",
    "SET auto_explain.log_analyze = on",
    "SET auto_explain.log_timing = off",
    "SET auto_explain.log_buffers = on",
    "SET auto_explain.log_format = json",
    "SET client_min_messages = log",
)


class NotExplained(Exception):
    """The server has no auto_explain, or this role may not use it."""


class Plan:
    """How a statement was executed."""

    def __init__(self, text: str, root: dict[str, Any]) -> None:
        self.text = text
        self.nodes = list(_nodes(root))
        self.cost: float = root["Total Cost"]
        self.blocks: int = root["Shared Hit Blocks"] + root["Shared Read Blocks"]

    @property
    def scanned(self) -> set[str]:
        """The tables that were read, or would have been, from one end to the other."""
        return {n["Relation Name"] for n in self.nodes if n["Node Type"] == "Seq Scan"}

    @property
    def indexes(self) -> set[str]:
        """The indexes that were used, or would have been."""
        return {n["Index Name"] for n in self.nodes if "Index Name" in n}

    @property
    def rows(self) -> int:
        """Rows that were read from tables, those that a filter took out included."""
        return sum(
            (n["Actual Rows"] + n.get("Rows Removed by Filter", 0)) * n["Actual Loops"]
            for n in self.nodes
            if "Relation Name" in n and "Scan" in n["Node Type"]
        )


class Plans:
    """Executes statements and tells by which plan; what they wrote is undone."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._heard: list[str] = []
        connection.add_log_listener(lambda _, message: self._heard.append(message.message))

    async def of(self, name: str, *arguments: Any) -> Plan:
        """The plan of sql/queries/<name>.sql."""
        return await self.of_text(statement(name), arguments)

    async def of_text(self, text: str, arguments: Sequence[Any]) -> Plan:
        """The plan of a statement."""
        prepared = await self._connection.prepare(in_schema(text, SCHEMA))
        transaction = self._connection.transaction()
        await transaction.start()
        try:
            self._heard.clear()
            await prepared.fetch(*arguments)
            await self._connection.fetch("SELECT 1")  # ends the portal, which explains it
            await asyncio.sleep(0)  # listeners are called by the loop
            explained = [json.loads(heard.partition("plan:")[2]) for heard in self._heard]
            [plan] = [e["Plan"] for e in explained if e["Query Text"] == in_schema(text, SCHEMA)]
        finally:
            await transaction.rollback()
        return Plan(text, plan)


@asynccontextmanager
async def explained(dsn: str) -> Any:
    """Plans of statements on a connection of their own; raises NotExplained."""
    connection = await asyncpg.connect(dsn, server_settings=SETTINGS)
    try:
        try:
            for setting in EXPLAINING:
                await connection.execute(setting)
        except asyncpg.PostgresError as error:
            raise NotExplained(str(error)) from None
        yield Plans(connection)
    finally:
        await connection.close()


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)
