"""What happens to callers while the database is slow."""

import asyncio
from typing import Any

import asyncpg
import pytest

from journey_async import Journey
from journey_async.engine.flights import FLIGHTS, MAX_BATCH
from tests.support.eventually import eventually
from tests.support.graphs import one_input
from tests.support.locks import waiting_for_locks
from tests.support.statements import Statements


@pytest.mark.direct("counts connections and statements, and a pooler has its own")
async def test_they_wait_and_gather_and_the_server_gets_no_more_to_do(
    dsn: str, connection: asyncpg.Connection, statements: Statements
) -> None:
    blocker: Any = await asyncpg.connect(dsn)
    async with Journey(dsn, run_computations=False) as journey:
        executions = [await journey.start_execution(one_input()) for _ in range(20)]
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE journey.executions IN ACCESS EXCLUSIVE MODE")
            writes = [
                asyncio.create_task(journey.set_value(execution, "x", number))
                for number in range(30)
                for execution in executions
            ]

            async def flights() -> bool:
                return await waiting_for_locks(connection) == FLIGHTS

            await eventually(flights)
            await statements.reset()
            assert not any(write.done() for write in writes)
            assert await waiting_for_locks(connection) == FLIGHTS
        snapshots = await asyncio.gather(*writes)
        # what came while two batches stood at the server went together
        counts = await statements.counts()
        assert counts["apply_changes"] <= FLIGHTS + 2 * (1 + len(executions) // MAX_BATCH)
        assert {s.values["x"].value for s in snapshots} == set(range(30))
        assert (await journey.load(executions[0])).values["x"].value == 29
    await blocker.close()
