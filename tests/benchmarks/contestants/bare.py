"""The least work that the workload can be: one table, raw asyncpg, commits that are shared.

What waits while a commit is under way goes into the next one. Nothing is conditional, nothing is
retried, nothing survives this process but the rows: a ceiling to be measured against, no peer.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from tests.benchmarks.workload import Contestant, Known, Shape, Step, fresh_id

TABLE = """
CREATE TABLE IF NOT EXISTS bare (
    run text, node text, value jsonb NOT NULL, PRIMARY KEY (run, node)
)"""
WRITE = """
INSERT INTO bare SELECT * FROM unnest($1::text[], $2::text[], $3::text[]::jsonb[])
ON CONFLICT (run, node) DO UPDATE SET value = excluded.value"""


class Bare(Contestant):
    name = "bare asyncpg"
    claims = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        self._known = Known()
        self._runs: dict[str, tuple[Shape, dict[str, int]]] = {}
        self._rows: list[tuple[str, str, str, asyncio.Future[None]]] = []
        self._work = asyncio.Event()
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(TABLE)
            async with asyncio.TaskGroup() as self._tasks:
                writer = self._tasks.create_task(self._write_all(connection))
                yield
                writer.cancel()
        finally:
            await connection.close()

    async def start(self, shape: Shape, values: Mapping[str, int]) -> str:
        run = fresh_id()
        self._runs[run] = (shape, {})
        writes = [self._write(run, "", 0), *(self._write(run, n, v) for n, v in values.items())]
        await asyncio.gather(*writes)
        self._go_on(run, values)
        return run

    async def give(self, run: str, node: str, value: int) -> None:
        await self._write(run, node, value)
        self._go_on(run, {node: value})

    async def result(self, run: str, node: str) -> Any:
        return await self._known.wait(run, node)

    def _go_on(self, run: str, new: Mapping[str, int]) -> None:
        """Compute what has all it takes by now."""
        shape, values = self._runs[run]
        values.update(new)
        for step in shape.steps:
            ready = all(name in values for name in step.takes)
            if ready and any(name in new for name in step.takes):
                self._tasks.create_task(self._compute(run, step))

    async def _compute(self, run: str, step: Step) -> None:
        if self.claims:
            await self._write(run, f"claim of {step.name}", 0)
        _, values = self._runs[run]
        value = sum(values[name] for name in step.takes)
        await self._write(run, step.name, value)
        self._known.tell(run, step.name, value)
        self._go_on(run, {step.name: value})

    def _write(self, run: str, node: str, value: int) -> "asyncio.Future[None]":
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rows.append((run, node, json.dumps(value), written))
        self._work.set()
        return written

    async def _write_all(self, connection: asyncpg.Connection) -> None:
        statement = await connection.prepare(WRITE)
        while True:
            await self._work.wait()
            self._work.clear()
            rows, self._rows = self._rows, []
            runs, nodes, values, answers = zip(*rows, strict=True)
            await statement.fetch(runs, nodes, values)
            for answer in answers:
                answer.set_result(None)


class BareWithClaims(Bare):
    name = "bare asyncpg, a claim row first"
    claims = True
