"""Procrastinate: a queue only, each job deferred by itself; its worker woken by notifications."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from procrastinate import App, PsycopgConnector

from tests.benchmarks.workload import AT_ONCE, SINGLE, Contestant, Known, Shape, fresh_id


class Procrastinate(Contestant):
    name = "Procrastinate (queue only)"
    shapes = (SINGLE,)
    slowness = 10

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        self._known = known = Known()
        app = App(connector=PsycopgConnector(conninfo=self.dsn))

        @app.task(name="work")
        async def work(run: str, x: int) -> None:
            known.tell(run, "y", x)

        self._work = work
        async with app.open_async():
            async with await psycopg.AsyncConnection.connect(self.dsn) as connection:
                found = await connection.execute("SELECT to_regclass('procrastinate_jobs')")
                if (await found.fetchone()) == (None,):
                    await app.schema_manager.apply_schema_async()
            worker = asyncio.create_task(
                app.run_worker_async(concurrency=AT_ONCE, install_signal_handlers=False)
            )
            try:
                yield
            finally:
                worker.cancel()
                await asyncio.gather(worker, return_exceptions=True)

    async def start(self, shape: Shape, values: Mapping[str, int]) -> str:
        run = fresh_id()
        await self._work.defer_async(run=run, **values)
        return run

    async def give(self, run: str, node: str, value: int) -> None:
        raise NotImplementedError("a job has its input from the beginning")

    async def result(self, run: str, node: str) -> Any:
        return await self._known.wait(run, node)
