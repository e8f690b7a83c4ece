"""What writing leaves behind for the vacuum."""

import asyncio
from typing import Any

import asyncpg
import pytest

from journey_async import Journey
from tests.support.eventually import eventually
from tests.support.graphs import basic_graph

EXECUTIONS = 60
UPDATES = """
    SELECT n_tup_upd AS updated, n_tup_hot_upd AS hot
    FROM pg_stat_all_tables
    WHERE schemaname = 'journey' AND relname = 'executions'
"""
OPTIONS = "SELECT reloptions FROM pg_class WHERE oid = 'journey.executions'::regclass"


@pytest.mark.direct("reads the statistics of connections that have ended")
async def test_an_execution_is_updated_without_touching_its_indexes(dsn: str) -> None:
    """Its row is written with every change; new versions of it stay on its page (HOT)."""
    graph = basic_graph()
    async with Journey(dsn, graphs=[graph]) as journey:

        async def one(x: int) -> None:
            execution = await journey.start_execution(graph, {"x": x})
            for y in (100, 200, 300):
                await journey.set_value(execution, "y", y)
                assert await journey.get_value(execution, "sum", settled=True) == x + y

        await asyncio.gather(*map(one, range(EXECUTIONS)))
    connection = await asyncpg.connect(dsn)
    try:

        async def is_counted() -> bool:  # each connection reports as it ends
            found = await connection.fetchrow(UPDATES)
            return found is not None and found["updated"] >= EXECUTIONS * 6

        await eventually(is_counted)
        [found] = await connection.fetch(UPDATES)
        # four of five, usually; fewer while somebody's snapshot keeps old versions on their pages
        assert found["hot"] >= 0.5 * found["updated"], found
    finally:
        await connection.close()


async def test_dead_rows_are_removed_while_they_are_few(connection: Any) -> None:
    """At the usual fifth of a table, two of ten million rows would be dead before a vacuum."""
    for table in ("executions", '"values"', "computations"):
        options = await connection.fetchval(OPTIONS.replace("executions", table))
        settings = dict(option.split("=") for option in options)
        assert float(settings["autovacuum_vacuum_scale_factor"]) <= 0.02
        assert float(settings["autovacuum_analyze_scale_factor"]) <= 0.02
