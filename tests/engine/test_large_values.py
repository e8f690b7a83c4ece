"""A large value costs those who set or read it, and nobody else."""

import random
from typing import Any

import pytest

from journey_async import Graph, Journey, compute, input_node
from tests.support.statements import Statements

pytestmark = pytest.mark.direct("counts statements, and a pooler has its own")

SIZE = 1_000_000
TEXT = "".join(random.Random(1).choices("abcdefghijklmnop", k=SIZE))  # not to be compressed
GRAPH = Graph(
    "large",
    "v1",
    [input_node("x"), input_node("document"), compute("y", ["x"], lambda x: x + 1)],
)
TURNS = 10
WRITTEN = """
    SELECT sum(s.wal_bytes)
    FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid
    WHERE d.datname = current_database()
"""


async def test_what_does_not_concern_a_large_value_neither_reads_nor_writes_it(
    dsn: str, connection: Any, statements: Statements
) -> None:
    async with Journey(dsn, graphs=[GRAPH]) as journey:
        execution = await journey.start_execution(GRAPH, {"x": 0, "document": TEXT})
        await journey._engine.rest()
        await statements.reset()
        for number in range(1, TURNS + 1):
            await journey.set_value(execution, "x", number)
        await journey._engine.rest()
        counts = await statements.counts()
        assert counts.keys() == {"apply_changes"}
        assert await connection.fetchval(WRITTEN) < SIZE / 4  # full pages included
        assert (await journey.values(execution))["y"] == TURNS + 1
        await statements.reset()
        await journey.set_value(execution, "document", TEXT + "!")
        assert await connection.fetchval(WRITTEN) > SIZE / 2
