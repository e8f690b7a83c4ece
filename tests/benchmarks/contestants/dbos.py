"""DBOS Transact: a durable workflow, inputs by messages; asynchronous, its default settings."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from dbos import DBOS, SetWorkflowID

from tests.benchmarks.workload import SHAPES, Contestant, Known, Shape, fresh_id


class Dbos(Contestant):
    name = "DBOS"
    slowness = 20

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        self._known = known = Known()
        DBOS(config={"name": "bench", "system_database_url": self.dsn, "log_level": "ERROR"})

        @DBOS.step()
        async def add(_name: str, given: list[int]) -> int:
            return sum(given)

        @DBOS.workflow()
        async def work(name: str, given: dict[str, int]) -> None:
            shape, values = SHAPES[name], dict(given)
            run = DBOS.workflow_id
            for node in shape.inputs:
                if node not in values:
                    values[node] = await DBOS.recv_async(node)
            for stage in shape.stages:
                steps = [add(s.name, [values[n] for n in s.takes]) for s in stage]
                for step, value in zip(stage, await asyncio.gather(*steps), strict=True):
                    values[step.name] = value
                    known.tell(run, step.name, value)

        self._work = work
        DBOS.launch()
        try:
            yield
        finally:
            await asyncio.to_thread(DBOS.destroy)

    async def start(self, shape: Shape, values: Mapping[str, int]) -> str:
        run = fresh_id()
        with SetWorkflowID(run):
            await DBOS.start_workflow_async(self._work, shape.name, dict(values))
        return run

    async def give(self, run: str, node: str, value: int) -> None:
        await DBOS.send_async(run, value, node)

    async def result(self, run: str, node: str) -> Any:
        return await self._known.wait(run, node)
