"""A pool of the caller's own, with whatever it has set up."""

import asyncio
import json
import os
import signal
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest

from journey_async import Graph, Journey, compute, input_node
from journey_async.errors import DatabaseUnavailable, InvalidOptionError
from journey_async.store import store as store_module
from journey_async.store.connecting import open_pool
from journey_async.store.lending import Lending
from journey_async.store.sql import in_schema, statement
from tests.support.eventually import eventually
from tests.support.graphs import basic_graph


async def test_a_pool_of_the_callers_own_stays_open(dsn: str) -> None:
    options: Any = {"min_size": 1, "max_size": 3, "statement_cache_size": 0}  # as a pooler wants it
    async with asyncpg.create_pool(dsn, **options) as pool:
        async with Journey(pool=pool, graphs=[basic_graph()]) as journey:
            execution = await journey.start_execution(basic_graph(), {"x": 1, "y": 2})
            assert await journey.get_value(execution, "sum", wait_any=True) == 3
        assert await pool.fetchval("SELECT 1") == 1
        assert pool.get_idle_size() == pool.get_size()


@pytest.mark.direct("has a pool that keeps prepared statements")
async def test_a_pool_may_have_codecs_of_its_own(dsn: str) -> None:
    async def with_codecs(connection: Any) -> None:
        for name in ("json", "jsonb"):
            await connection.set_type_codec(
                name, schema="pg_catalog", encoder=json.dumps, decoder=json.loads
            )

    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], lambda x: x)])
    async with (
        asyncpg.create_pool(dsn, min_size=1, max_size=3, init=with_codecs) as pool,
        Journey(pool=pool, graphs=[graph]) as journey,
    ):
        execution = await journey.start_execution(graph, {"x": {"a": ["1", None]}})
        assert await journey.get_value(execution, "y", wait_any=True) == {"a": ["1", None]}
        assert len(await journey.computations(execution)) == 1
        async with Journey(dsn) as plain, Journey(pool=pool) as stranger:
            for other in (plain, stranger):
                assert await other.get_value(execution.id, "y") == {"a": ["1", None]}
            for other in (plain, stranger):
                await other.set_value(execution.id, "x", None, metadata={"m": 1})


@pytest.mark.direct("gives parameters that a pooler does not know")
async def test_a_pool_may_have_a_search_path_and_a_time_zone(dsn: str) -> None:
    settings = {"search_path": "pg_catalog", "TimeZone": "Asia/Kathmandu", "DateStyle": "German"}
    async with (
        asyncpg.create_pool(dsn, min_size=1, max_size=3, server_settings=settings) as pool,
        Journey(pool=pool, graphs=[basic_graph()]) as journey,
        Journey(dsn, run_computations=False) as other,
    ):
        execution = await journey.start_execution(basic_graph(), {"x": 1, "y": 2})
        assert await journey.get_value(execution, "sum", wait_any=True) == 3
        mine, others = await journey.load(execution), await other.load(execution.id)
        assert mine == others
        assert mine.values == others.values
        assert mine.computations == others.computations
        async with Journey(pool=pool, run_computations=False) as fresh:
            loaded = await fresh.load(execution.id)
        assert loaded.values == others.values
        assert loaded.computations == others.computations


@pytest.mark.direct("prepares statements")
async def test_what_types_are_made_of_is_asked_once_for_all_connections(dsn: str) -> None:
    asked: list[str] = []
    text = in_schema(statement("apply_changes"), "journey")
    pool = await open_pool(dsn, size=3, behind_pooler=False)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(pool.close)
        for _ in range(3):
            connection = await stack.enter_async_context(pool.acquire())
            connection.add_query_logger(lambda query: asked.append(query.query))
            await connection.fetch(text, [], [], [], [], "changed", "due", "me")
    assert sum("pg_type" in query for query in asked) == 1


async def test_who_waits_for_a_connection_gets_the_next_that_comes_back(direct_dsn: str) -> None:
    pool = await open_pool(direct_dsn, size=2, behind_pooler=False)
    lending = Lending(pool, keep=1)
    async with lending.one():
        async with lending.one():
            waits = asyncio.create_task(lending.take())
            await asyncio.sleep(0)  # it waits for the pool now, which has no more
        async with asyncio.timeout(10):
            connection = await waits  # though the first one is still out
    await lending.take_back(connection, is_fine=True)
    await lending.close()
    await pool.close()


async def test_a_connection_whose_server_has_gone_silent_ends_without_complaint(
    direct_dsn: str,
) -> None:
    if "host=%2F" not in direct_dsn:
        pytest.skip("the server's processes are not on this machine")
    pool = await open_pool(direct_dsn, size=1, behind_pooler=False)
    async with pool.acquire() as connection:
        backend = await connection.fetchval("SELECT pg_backend_pid()")
        os.kill(backend, signal.SIGSTOP)
        try:
            await connection.close(timeout=0.1)
        finally:
            os.kill(backend, signal.SIGCONT)
    assert pool.get_size() == 0
    await pool.close()


async def test_a_server_that_goes_silent_in_a_transaction_is_not_waited_for(
    direct_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the caller's own pool has no limit for a command."""
    if "host=%2F" not in direct_dsn:
        pytest.skip("the server's processes are not on this machine")
    monkeypatch.setattr(store_module, "ANSWER_LIMIT", 0.2)
    async with asyncpg.create_pool(direct_dsn, min_size=0) as pool, Journey(pool=pool) as journey:
        silent: list[int] = []
        execution = await journey.start_execution(Graph("g", "v1", []))

        async def hold() -> None:
            async with journey._engine.store.locked(execution.id) as connection:
                assert connection is not None
                silent.append(connection.get_server_pid())
                os.kill(silent[0], signal.SIGSTOP)

        try:
            with pytest.raises(DatabaseUnavailable):
                await asyncio.wait_for(hold(), 20)
        finally:
            os.kill(silent[0], signal.SIGCONT)


async def test_a_pool_whose_server_is_away_is_told_as_any_database_that_is() -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    async with asyncpg.create_pool(nowhere, min_size=0) as pool:
        with pytest.raises(DatabaseUnavailable):
            async with Journey(pool=pool):
                pass


@pytest.mark.parametrize("times", range(6))
async def test_a_connection_at_hand_that_the_server_has_ended_is_none(
    direct_dsn: str, times: int
) -> None:
    pool = await open_pool(direct_dsn, size=2, behind_pooler=False)
    lending = Lending(pool, keep=2)
    async with lending.one() as connection:
        backend = connection.get_server_pid()
    assert lending.lent == 0
    async with lending.one(), lending.one():
        await ended_by_the_server(direct_dsn, backend)
    for _ in range(times):
        await asyncio.sleep(0)
    await lending.distrust()
    assert lending.lent == 0
    async with lending.one() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    await lending.close()
    await pool.close()


async def test_nor_is_one_that_the_pool_has_let_go_of(direct_dsn: str) -> None:
    pool = await open_pool(direct_dsn, size=1, behind_pooler=False)
    lending = Lending(pool, keep=1)
    async with lending.one() as connection:
        backend = connection.get_server_pid()
    await ended_by_the_server(direct_dsn, backend)
    await eventually(lambda: pool.get_size() == 0)
    assert lending.lent == 0
    async with lending.one() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    await lending.close()
    await pool.close()


async def ended_by_the_server(dsn: str, backend: int) -> None:
    """Have the server end a connection."""
    other = await asyncpg.connect(dsn)
    try:
        await other.fetch("SELECT pg_terminate_backend($1, 10000)", backend)
    finally:
        await other.close()


@pytest.mark.direct("has a pool with codecs of its own")
async def test_a_pool_whose_codecs_cannot_be_used_is_told_of(dsn: str) -> None:
    """And not taken for an outage, which is waited for."""

    async def with_codec(connection: Any) -> None:
        await connection.set_type_codec(
            "timestamptz", schema="pg_catalog", encoder=str, decoder=str, format="text"
        )

    async with asyncpg.create_pool(dsn, min_size=1, max_size=3, init=with_codec) as pool:
        journey = Journey(pool=pool, graphs=[basic_graph()])
        with pytest.raises(InvalidOptionError, match="this pool is set up"):
            async with journey:
                await journey.start_execution(basic_graph(), {"x": 1, "y": 2})
