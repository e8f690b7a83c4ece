"""status(): how many executions and computations there are, and whether the database answers."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from journey_async.client.texts import compact, iso
from journey_async.core.state import NOT_SET_STATE
from journey_async.engine.engine import Engine
from journey_async.engine.logs import log
from journey_async.errors import DatabaseUnavailable
from journey_async.store.faults import AnswerLate

ANSWER_WITHIN = 5.0  # seconds for the database to show that it is there

# The states in the order in which texts show them.
SIGNS = {
    "success": "✓",
    "failed": "✗",
    "computing": "⏳",
    NOT_SET_STATE: "◯",
    "abandoned": "⚠",
    "cancelled": "✗",
}


class Figures(BaseModel):
    """The base of the models below: frozen, and JSON by `model_dump(mode="json")`."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ExecutionCounts(Figures):
    """The executions of a graph; dates by ISO 8601, in UTC, to the second."""

    active: int
    archived: int
    first_created: str | None
    most_recently_created: str | None
    most_recently_updated: str | None


class ComputationCounts(Figures):
    """The computations of a graph's executions, archived ones included.

    `by_state` has all states, or none if there is nothing to compute; `not_set` counts the steps
    of executions that wait. Dates are None if there is nothing to compute.
    """

    by_state: dict[str, int]
    most_recently_created: str | None
    most_recently_updated: str | None


class GraphStats(Figures):
    """What there is of a graph."""

    executions: ExecutionCounts
    computations: ComputationCounts


class GraphStatus(Figures):
    """One graph that has executions."""

    graph_name: str
    graph_version: str
    stats: GraphStats


class SystemStatus(Figures):
    """Whether the system is healthy, and its graphs, the most active first."""

    status: Literal["healthy", "unhealthy"]
    database_connected: bool
    graphs: list[GraphStatus]

    def to_text(self) -> str:
        """The status for a person; graphs without active executions are left out."""
        database = "Connected" if self.database_connected else "DISCONNECTED"
        header = f"System Status: {self.status.upper()}\nDatabase: {database}\n{'=' * 80}\n\n"
        if not self.graphs:
            return f"{header}No graphs found in system.\n"
        active = [graph for graph in self.graphs if graph.stats.executions.active > 0]
        if not active:
            return f"{header}No active graphs in system.\n"
        active.sort(key=lambda g: (-g.stats.executions.active, g.graph_name, g.graph_version))
        graphs = "\n---------\n\n".join(_graph_text(graph) for graph in active)
        return f"{header}GRAPHS ({len(active)} total):\n----------\n{graphs}"


async def status(engine: Engine) -> SystemStatus:
    """The status as of now; a database that doesn't answer in 5 seconds makes it unhealthy."""
    connected = False
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            await engine.store.read_clock()  # needs none of the tables
            connected = True
            rows = await engine.store.system_status()
    except (TimeoutError, AnswerLate):
        pass  # it is there if it has told the time
    except DatabaseUnavailable:
        connected = False
    except Exception:  # whatever is wrong, the question was whether something is
        log.exception("the status of the system could not be read")
    else:
        graphs = [_graph_status(row) for row in rows]
        return SystemStatus(status="healthy", database_connected=True, graphs=graphs)
    return SystemStatus(status="unhealthy", database_connected=connected, graphs=[])


def _graph_status(row: Mapping[str, Any]) -> GraphStatus:
    executions = ExecutionCounts(
        active=row["active"],
        archived=row["archived"],
        first_created=_date(row["first_created_at"]),
        most_recently_created=_date(row["last_created_at"]),
        most_recently_updated=_date(row["last_updated_at"]),
    )
    counts = {state: row.get(state, 0) for state in SIGNS}
    something = any(counts.values())
    # What is not set has been so since the execution was created.
    not_set_since = row["last_created_at"] if row["has_steps"] else None
    created = _latest(row["computation_created_at"], not_set_since)
    updated = _latest(row["computation_updated_at"], not_set_since)
    computations = ComputationCounts(
        by_state=counts if something else {},
        most_recently_created=_date(created) if something else None,
        most_recently_updated=_date(updated) if something else None,
    )
    return GraphStatus(
        graph_name=row["graph_name"],
        graph_version=row["graph_version"],
        stats=GraphStats(executions=executions, computations=computations),
    )


def _latest(*times: datetime | None) -> datetime | None:
    return max((time for time in times if time is not None), default=None)


def _date(time: datetime | None) -> str | None:
    return None if time is None else iso(time)


def _graph_text(graph: GraphStatus) -> str:
    executions = graph.stats.executions
    counts = graph.stats.computations.by_state
    lines = [
        f"Name: '{graph.graph_name}'",
        f"Version: '{graph.graph_version}'",
        "Executions:",
        f"- active: {compact(executions.active)}",
        f"- archived: {compact(executions.archived)}",
        f"First activity: {executions.first_created or 'never'}",
        f"Last activity: {executions.most_recently_updated or 'never'}",
    ]
    states = [f"{SIGNS[s]} {s}: {compact(counts[s])}" for s in SIGNS if counts.get(s, 0) > 0]
    if states:
        lines += ["Computations:", *states]
    return "".join(f"{line}\n" for line in lines)
