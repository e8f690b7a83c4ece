"""What status() tells is added up by every write, and is what a count would find."""

import asyncio
from typing import Any

import pytest

from journey_async import (
    Context,
    Continue,
    Done,
    Graph,
    Journey,
    NotSetError,
    Retry,
    compute,
    historian,
    input_node,
    loop,
    mutate,
    value,
)
from journey_async.core.commands import Release
from journey_async.store.store import MANY_PARTS
from tests.support.graphs import basic_graph
from tests.support.rows import recount
from tests.support.tallies import drifted

ONCE = Retry(max_attempts=2, initial_delay=0.0, jitter=False)


def sometimes(x: int) -> int:
    if x % 3 == 0:
        raise ValueError(x)
    return x


def turns(x: int, context: Context) -> Any:
    return Done(x) if context.iteration == 3 else Continue(context.iteration)


def everything(name: str = "everything", *more: Any) -> Graph:
    return Graph(
        name,
        "v1",
        [
            input_node("x"),
            compute("maybe", ["x"], sometimes, retry=ONCE),
            compute("large", value("x") > 5, lambda: True),
            compute("never", ["large", value("x") < 0], lambda: True),
            mutate("halve", ["maybe"], lambda maybe: maybe // 2, mutates="x"),
            historian("seen", ["x"]),
            loop("turns", ["x"], turns, max_iterations=5),
            *more,
        ],
        keep_latest_computations=2,
    )


@pytest.mark.direct("purges, which the role of an application may not")
async def test_after_everything_that_can_happen(dsn: str, connection: Any) -> None:
    graph = everything()
    async with Journey(dsn, graphs=[graph]) as one, Journey(dsn, graphs=[graph]) as two:
        executions = [await one.start_execution(graph) for _ in range(8)]

        async def live(number: int, execution_id: str) -> None:
            for turn in range(12):
                journey = (one, two)[(number + turn) % 2]
                await journey.set_value(execution_id, "x", number * 7 + turn)
                if turn % 4 == 3:
                    await journey.unset_value(execution_id, "x")
            await one.archive(execution_id)
            if number % 2:
                await two.unarchive(execution_id)
                await two.set_value(execution_id, "x", 6)

        await asyncio.gather(*(live(n, e.id) for n, e in enumerate(executions)))
        await one._engine.rest()
        await two._engine.rest()
        for execution in executions[1::2]:
            assert await one.get_value(execution.id, "turns", settled=True) is not None
            with pytest.raises(NotSetError):
                await one.get_value(execution.id, "never", settled=True)
        await one._engine.rest()
        await two._engine.rest()
        assert await drifted(connection) == []
        [stats] = [graph.stats for graph in (await one.status()).graphs]
        assert (stats.executions.active, stats.executions.archived) == (4, 4)
        assert all(stats.computations.by_state[s] > 0 for s in ("success", "failed", "not_set"))
        assert await two.purge(older_than=0, batch_size=3) == 4
        assert await drifted(connection) == []


async def test_after_a_graph_has_changed_under_its_executions(dsn: str, connection: Any) -> None:
    old, new = everything(), everything("everything", compute("more", ["x"], lambda x: x))
    async with Journey(dsn, graphs=[old]) as journey:
        execution = await journey.start_execution(old)
        for x in (1, 2):
            await journey.start_execution(old, {"x": x})
        await journey._engine.rest()
    async with Journey(dsn, graphs=[new]) as journey:
        await journey.set_value(execution.id, "x", 4)
        await journey._engine.rest()
        assert await drifted(connection) == []


async def test_attempts_that_were_abandoned_or_whose_worker_died(dsn: str, connection: Any) -> None:
    stands = asyncio.Event()

    async def waits(x: int) -> int:
        await stands.wait()
        return x

    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], waits)])
    async with Journey(dsn, graphs=[graph]) as journey:
        first, second = [await journey.start_execution(graph, {"x": 1}) for _ in range(2)]
        assert await drifted(connection) == []
        await journey.abandon_computation(first.computations[0].id)
        died = Release(journey._engine.runner.worker, died=True)
        await journey._engine.submit(second.id, died)
        assert await drifted(connection) == []
        stands.set()
        for execution in (first, second):
            assert await journey.get_value(execution.id, "y", wait_any=True) == 1
        await journey._engine.rest()
        assert await drifted(connection) == []


async def test_parts_are_folded_while_others_write_and_fold(dsn: str, connection: Any) -> None:
    graph = basic_graph()
    async with Journey(dsn, graphs=[graph]) as journey:

        async def write() -> None:
            for _ in range(20):
                await journey.start_execution(graph, {"x": 1, "y": 1})

        async def fold() -> None:
            for _ in range(20):
                await journey._engine.store.fold_tallies()

        async with asyncio.timeout(60):
            await asyncio.gather(*(write() for _ in range(10)), fold(), fold())
        await journey._engine.rest()
        assert await drifted(connection) == []


async def test_few_parts_are_left_and_many_become_one(dsn: str, connection: Any) -> None:
    parts = "SELECT count(*) FROM journey.tallies"
    graph = basic_graph()
    async with Journey(dsn, graphs=[graph], run_computations=False) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await journey._engine.store.fold_tallies()
        written = await connection.fetchval(parts)
        await journey.set_value(execution, "x", 2)
        assert await connection.fetchval(parts) == written + 1
        while await connection.fetchval(parts) < MANY_PARTS:
            execution = await journey.set_value(execution, "x", execution.revision)
        await journey._engine.store.fold_tallies()
        assert await connection.fetchval(parts) == 1
        assert await drifted(connection) == []


async def test_the_parts_of_many_graphs_are_left_if_each_has_few(dsn: str, connection: Any) -> None:
    parts = "SELECT array_agg(ctid::text ORDER BY ctid) FROM journey.tallies"
    async with Journey(dsn, run_computations=False) as journey:
        await connection.execute(
            "INSERT INTO journey.tallies (graph_name, graph_version, active, archived, not_set,"
            " success, failed, computing, abandoned, execution_updated_at)"
            " SELECT 'g' || n, 'v1', 1, 0, 0, 0, 0, 0, 0, now() FROM generate_series(1, $1) AS n",
            MANY_PARTS + 1,
        )
        before = await connection.fetchval(parts)
        await journey._engine.store.fold_tallies()
        assert await connection.fetchval(parts) == before


async def test_parts_are_folded_where_everything_is_replicated_logically(
    dsn: str, connection: Any
) -> None:
    graph = basic_graph()
    async with Journey(dsn, run_computations=False) as journey:
        await connection.execute("CREATE PUBLICATION everything FOR ALL TABLES")
        for _ in range(MANY_PARTS):
            await journey.start_execution(graph)
        await journey._engine.store.fold_tallies()
        assert await connection.fetchval("SELECT count(*) FROM journey.tallies") == 1


async def test_rows_deleted_by_hand_are_counted_anew(dsn: str, connection: Any) -> None:
    graph = basic_graph()
    async with Journey(dsn, graphs=[graph]) as journey:
        execution, *_ = [await journey.start_execution(graph, {"x": 1}) for _ in range(3)]
        await connection.execute("DELETE FROM journey.executions WHERE id = $1", execution.id)
        assert await drifted(connection) != []
        await recount(connection)
        assert await drifted(connection) == []
        [stats] = [graph.stats for graph in (await journey.status()).graphs]
        assert (stats.executions.active, stats.computations.by_state["not_set"]) == (2, 4)
