"""Executions as rows, written with plain SQL, and an engine to read them by that runs nothing."""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from journey_async.client.search import count_executions, list_executions
from journey_async.core import jsonvalue
from journey_async.core.graph import Graph
from journey_async.core.state import State
from journey_async.core.values import Computation, ComputationState, NodeKind, NodeValue
from journey_async.engine.clock import Timer
from journey_async.engine.engine import Engine
from journey_async.engine.settings import Settings
from journey_async.store.channels import Channels
from journey_async.store.lending import Lending
from journey_async.store.sql import as_script
from journey_async.store.store import Store

NOW = datetime(2026, 4, 23, 5, 52, 45, 500_000, tzinfo=UTC)
SCHEMA = "journey"


class StoppedClock:
    """A clock that stands still."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Timer:
        raise NotImplementedError("nothing is to happen by itself here")


@asynccontextmanager
async def reading_engine(
    dsn: str, now: datetime = NOW, patience: float = 5.0
) -> AsyncIterator[Engine]:
    """An engine that only reads, at one time."""
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as pool:
        settings = Settings(
            schema=SCHEMA,
            run_computations=False,
            max_concurrency=1,
            cache_size=10,
            max_value_bytes=1_000_000,
            lease=15,
            grace_period=1,
            patience=patience,
        )
        store = Store(Lending(pool), SCHEMA, Channels.of(SCHEMA))
        yield Engine(store, _unconnected, StoppedClock(now), settings, None)


async def _unconnected() -> asyncpg.Connection:
    raise NotImplementedError("nobody is to listen here")


async def found(engine: Engine, **search: Any) -> list[str]:
    """The ids of what is listed, which must be as many as are counted."""
    executions = await list_executions(engine, **search)
    limited = search.keys() & {"limit", "offset"}
    for option in ("order_by", "limit", "offset"):
        search.pop(option, None)
    if not limited:
        assert await count_executions(engine, **search) == len(executions)
    return [execution.id for execution in executions]


# --- building states ---


def held(name: str, value: object, **given: Any) -> NodeValue:
    """A value that is set: an input's, at NOW and revision 1, unless `given` says otherwise."""
    fields = {"kind": NodeKind.INPUT, "revision": 1, "set_time": NOW, **given}
    return NodeValue(name, value=jsonvalue.normalise(value), **fields)


def cleared(name: str, **given: Any) -> NodeValue:
    """A value that was set once, and is not any more."""
    return NodeValue(name, **{"kind": NodeKind.INPUT, "revision": 2, **given})


def state(
    execution_id: str, graph: Graph | None = None, values: Iterable[NodeValue] = (), **given: Any
) -> State:
    """An execution with these values; of a graph "g", "v1" that nobody knows, unless told."""
    revision = max((value.revision for value in values), default=0)
    about = {
        "graph_name": graph.name if graph else "g",
        "graph_version": graph.version if graph else "v1",
        "graph_hash": graph.hash if graph else "none",
        "version": 1,
        "revision": revision,
        "values_revision": revision,
        "created_at": NOW - timedelta(seconds=60),
        "updated_at": NOW,
        "values_at": NOW,
        **given,
    }
    return State(execution_id=execution_id, values={v.name: v for v in values}, **about)


def computation(execution_id: str, node: str, status: str = "success", **given: Any) -> Computation:
    """A first computation of a node, made one that the database takes."""
    wanted = ComputationState(status)
    ended = wanted in ("success", "failed", "abandoned")
    computing = wanted is ComputationState.COMPUTING
    about = {
        "number": 1,
        "kind": NodeKind.COMPUTE,
        "computed_with": {},
        "created_at": NOW,
        "started_at": None if status in ("available", "cancelled") else NOW,
        "due_at": NOW if status == "available" else None,
        "deadline": NOW + timedelta(seconds=60) if computing else None,
        "worker": "w" if computing else None,
        "token": 1 if computing else None,
        "completed_at": NOW if ended else None,
        "revision_at_completion": 3 if ended else None,
        "error": "boom" if status in ("failed", "abandoned") else None,
        **given,
    }
    return Computation(execution_id=execution_id, node=node, state=wanted, **about)


# --- writing them ---


async def add_graphs(connection: asyncpg.Connection, *graphs: Graph) -> None:
    """Register graphs, each newer than the ones before."""
    for number, graph in enumerate(graphs, start=1):
        definition = json.dumps(graph.model_dump(mode="json"))
        row = (graph.name, graph.version, graph.hash, definition, number, NOW)
        await _insert(connection, "graphs", _GRAPH, [row])


async def add_states(
    connection: asyncpg.Connection,
    states: Iterable[State],
    computations: Iterable[Computation] = (),
) -> None:
    """Write executions with their values, and computations."""
    states = list(states)
    executions = [[getattr(s, _ATTRIBUTE.get(name, name)) for name in _EXECUTION] for s in states]
    values = [_value_row(s.execution_id, value) for s in states for value in s.values.values()]
    await _insert(connection, "executions", _EXECUTION, executions)
    await _insert(connection, "values", _VALUE, values)
    await _insert(connection, "computations", _COMPUTATION, map(_computation_row, computations))
    await recount(connection)


async def recount(connection: asyncpg.Connection) -> None:
    """Count anew what was written by hand."""
    await connection.execute(as_script("recount", SCHEMA))


async def remove_all(connection: asyncpg.Connection) -> None:
    """Leave nothing but the graphs."""
    await connection.execute(f'DELETE FROM "{SCHEMA}".executions')
    await recount(connection)


_GRAPH = ("name", "version", "hash", "definition", "registration", "registered_at")
_EXECUTION = (
    *("id", "graph_name", "graph_version", "graph_hash", "version", "revision", "created_at"),
    *("updated_at", "archived_at", "wake_at", "values_at", "values_revision", "inputs_revision"),
    "not_set",
)
_VALUE = ("execution_id", "node", "kind", "value", "metadata", "revision", "set_time")
_COMPUTATION = Computation._fields
_ATTRIBUTE = {"id": "execution_id"}


def _value_row(execution_id: str, value: NodeValue) -> tuple[Any, ...]:
    stored = jsonvalue.encode(value.value) if value.is_set else None
    metadata = None if value.metadata is None else jsonvalue.encode(value.metadata)
    kind = value.kind.value
    return execution_id, value.name, kind, stored, metadata, value.revision, value.set_time


def _computation_row(computation: Computation) -> list[Any]:
    row: dict[str, Any] = {name: getattr(computation, name) for name in _COMPUTATION}
    row["computed_with"] = json.dumps(row["computed_with"])
    row["carried"] = None if row["carried"] is None else json.dumps(row["carried"])
    return [row[name] for name in _COMPUTATION]


async def _insert(
    connection: asyncpg.Connection,
    table: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> None:
    places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
    await connection.executemany(
        f'INSERT INTO "{SCHEMA}"."{table}" ({", ".join(columns)}) VALUES ({places})', list(rows)
    )
