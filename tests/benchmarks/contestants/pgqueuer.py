"""PgQueuer: a queue only, each job enqueued by itself; its consumer with its default settings."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from tests.benchmarks.workload import SINGLE, Contestant, Known, Shape, fresh_id


class Pgqueuer(Contestant):
    name = "PgQueuer (queue only)"
    shapes = (SINGLE,)
    slowness = 2

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        self._known = known = Known()
        consuming = await asyncpg.connect(self.dsn)
        pool = await asyncpg.create_pool(self.dsn)
        queries = Queries(AsyncpgDriver(consuming))
        if not await queries.has_table("pgqueuer"):
            await queries.install()
        self._queries = Queries(AsyncpgPoolDriver(pool))
        consumer = PgQueuer(AsyncpgDriver(consuming))

        @consumer.entrypoint("work")
        async def work(job: Job) -> None:
            task = json.loads(job.payload or b"{}")
            known.tell(task["run"], "y", task["x"])

        consuming_task = asyncio.create_task(consumer.qm.run(batch_size=50))
        try:
            yield
        finally:
            consumer.shutdown.set()
            await consuming_task
            await pool.close()
            await consuming.close()

    async def start(self, shape: Shape, values: Mapping[str, int]) -> str:
        run = fresh_id()
        await self._queries.enqueue("work", json.dumps({"run": run, **values}).encode())
        return run

    async def give(self, run: str, node: str, value: int) -> None:
        raise NotImplementedError("a job has its input from the beginning")

    async def result(self, run: str, node: str) -> Any:
        return await self._known.wait(run, node)
