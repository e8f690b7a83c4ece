"""absurd: a durable task in PostgreSQL functions, inputs by events; polling as fast as is sane."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from absurd_sdk import AsyncAbsurd
from absurdctl import BUNDLED_SCHEMA_SQL

from tests.benchmarks.workload import SHAPES, Contestant, Known, Shape, Step, fresh_id

POLL = 0.005  # seconds; its default is 0.25
QUEUE = "bench"


class Absurd(Contestant):
    name = "absurd, polling every 5 ms"
    slowness = 10

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        self._known = known = Known()
        await _install(self.dsn)
        self._client = AsyncAbsurd(self.dsn, QUEUE)
        await self._client.create_queue()
        worker = AsyncAbsurd(self.dsn, QUEUE)

        @worker.register_task("work")
        async def work(task: dict[str, Any], context: Any) -> None:
            run, shape, values = task["run"], SHAPES[task["shape"]], dict(task["values"])
            for node in shape.inputs:
                if node not in values:
                    values[node] = await context.await_event(f"{run} {node}")
            for stage in shape.stages:
                steps = [context.step(s.name, _adding(s, values)) for s in stage]
                for step, value in zip(stage, await asyncio.gather(*steps), strict=True):
                    values[step.name] = value
                    known.tell(run, step.name, value)

        working = asyncio.create_task(
            worker.start_worker(concurrency=50, batch_size=50, poll_interval=POLL)
        )
        try:
            yield
        finally:
            worker.stop_worker()
            await working
            await worker.close()
            await self._client.close()

    async def start(self, shape: Shape, values: Mapping[str, int]) -> str:
        run = fresh_id()
        task = {"run": run, "shape": shape.name, "values": dict(values)}
        await self._client.spawn("work", task, queue=QUEUE)
        return run

    async def give(self, run: str, node: str, value: int) -> None:
        await self._client.emit_event(f"{run} {node}", value)

    async def result(self, run: str, node: str) -> Any:
        return await self._known.wait(run, node)


def _adding(step: Step, values: Mapping[str, int]) -> Any:
    given = [values[name] for name in step.takes]

    async def add() -> int:
        return sum(given)

    return add


async def _install(dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        found = await connection.execute("SELECT to_regnamespace('absurd') IS NOT NULL")
        if (await found.fetchone()) == (False,):
            await connection.execute(BUNDLED_SCHEMA_SQL)
