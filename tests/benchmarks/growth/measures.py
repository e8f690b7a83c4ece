"""What operations cost, by how much is in the database, and by how much is in an execution."""

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from journey_async import Graph, Journey, compute, input_node, value
from tests.benchmarks.growth.history import ARCHIVED_EACH, GRAPH, NUMBERS, id_of

Samples = dict[str, list[float]]
Operation = Callable[[], Awaitable[Any]]
OFTEN, SELDOM, WARM_UP = 200, 20, 20
OF_GRAPH: dict[str, Any] = {"graph_name": GRAPH.name, "graph_version": GRAPH.version}
WAL = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"


async def of_size(dsn: str, executions: int, *, figures: bool) -> Samples:
    """Milliseconds by operation on a database with so many executions.

    Each set and get is of another execution, which is in no cache. `figures`: those over all
    executions as well, once each.
    """
    chance = random.Random()

    def one() -> str:
        number = chance.randrange(executions - 1)
        return id_of(number + 1 if number % ARCHIVED_EACH == 0 else number)

    # about a thousandth of the executions, and of these a tenth
    def two_values() -> Any:
        return (value("x") == chance.randrange(NUMBERS)) & (value("y") < NUMBERS / 10)

    async with Journey(dsn, graphs=[GRAPH], run_computations=False, cache_size=1) as journey:
        operations: dict[str, tuple[Operation, int]] = {
            "set": (lambda: journey.set_value(one(), "x", chance.random()), OFTEN),
            "get": (lambda: journey.get_value(one(), "label", default=None), OFTEN),
            "start": (lambda: journey.start_execution(GRAPH, {"x": 1, "y": 2}), OFTEN),
            "list": (lambda: journey.list_executions(where=two_values(), **OF_GRAPH), SELDOM),
            "count": (lambda: journey.count_executions(where=two_values(), **OF_GRAPH), SELDOM),
        }
        found = {}
        for name, (operation, times) in operations.items():
            await _timed(operation, WARM_UP)
            found[name] = await _timed(operation, times)
        if figures:
            found["list, newest created"] = await _timed(
                lambda: journey.list_executions(
                    filter_by=[("x", "gt", 2), ("y", "lt", 900)],
                    order_by=[("created_at", "desc")],
                    **OF_GRAPH,
                ),
                3,
            )
            found["status"] = await _timed(journey.status, 1)
            found["flow analytics"] = await _timed(
                lambda: journey.flow_analytics(GRAPH.name, GRAPH.version), 1
            )
    return found


# --- one execution that is large --------------------------------------------------------------


async def of_shapes(dsn: str) -> dict[str, Samples]:
    """Milliseconds, and bytes of WAL for each set, in executions small and large."""
    return {
        "10 nodes": await _nodes(dsn, 10),
        "1,000 nodes": await _nodes(dsn, 1_000),
        "10 past computations": await _past(dsn, 10),
        "10,000 past computations": await _past(dsn, 10_000),
        "a value of 1 kB": await _beside(dsn, 1_000),
        "a value of 1 MB": await _beside(dsn, 1_000_000),
    }


async def _nodes(dsn: str, number: int) -> Samples:
    """All nodes are set; one input is set again, on which one step depends."""
    inputs = [input_node(f"x{n}") for n in range(number - 1)]
    graph = Graph(f"{number} nodes", "v1", [*inputs, compute("y", ["x0"], lambda x0: x0)])
    return await _one(dsn, graph, {node.name: 1 for node in inputs}, "x0")


async def _past(dsn: str, number: int) -> Samples:
    """A step has been computed so many times."""
    graph = Graph("past", "v1", [input_node("x"), compute("y", ["x"], lambda x: x)])

    async def compute_often(execution_id: str) -> None:
        async with _connected(dsn) as connection:
            await connection.execute(
                """
                INSERT INTO journey.computations
                SELECT (jsonb_populate_record(k, jsonb_build_object('number', n))).*
                FROM journey.computations AS k, generate_series(2, $2::integer) AS n
                WHERE k.execution_id = $1 AND k.node = 'y' AND k.number = 1
                """,
                *(execution_id, number),
            )

    return await _one(dsn, graph, {"x": 0}, "x", prepare=compute_often)


async def _beside(dsn: str, size: int) -> Samples:
    """A large value stands beside the one that is set."""
    nodes = [input_node("x"), input_node("document"), compute("y", ["x"], lambda x: x)]
    graph = Graph("beside", "v1", nodes)
    text = "".join(random.Random(1).choices("abcdefghijklmnop", k=size))  # not to be compressed
    return await _one(dsn, graph, {"x": 0, "document": text}, "x")


async def _one(
    dsn: str,
    graph: Graph,
    values: Mapping[str, object],
    node: str,
    prepare: Callable[[str], Awaitable[None]] | None = None,
) -> Samples:
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, values)
        await journey.get_value(execution, "y", wait_any=True)
    if prepare is not None:
        await prepare(execution.id)
    found: Samples = {}
    async with (
        Journey(dsn, graphs=[graph]) as journey,
        Journey(dsn, graphs=[graph], run_computations=False, cache_size=1) as other,
        _connected(dsn) as connection,
    ):
        numbers = iter(range(1, 10_000))

        async def set_and_compute() -> None:
            await journey.set_value(execution.id, node, next(numbers))
            await journey.get_value(execution.id, "y", settled=True)

        async def load() -> None:
            other._engine.cache.forget(execution.id)
            await other.load(execution.id)

        await _timed(set_and_compute, WARM_UP)
        before = await connection.fetchval(WAL)
        found["set and compute"] = await _timed(set_and_compute, OFTEN // 2)
        after = await connection.fetchval(WAL)
        found["WAL bytes"] = [float(after - before) / (OFTEN // 2)]
        found["get"] = await _timed(lambda: journey.get_value(execution.id, "y"), OFTEN // 2)
        found["load"] = await _timed(load, SELDOM)
    return found


@asynccontextmanager
async def _connected(dsn: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def _timed(operation: Operation, times: int) -> list[float]:
    """Milliseconds, one after the other."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        await operation()
        found.append((time.perf_counter() - began) * 1000)
    return found
