"""LangGraph with checkpoints in PostgreSQL, each before the next step (durability "sync").

Whoever gives the input runs the graph: there is no worker, hence nobody to wake up or to recover.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from typing_extensions import TypedDict

from tests.benchmarks.workload import SHAPES, Contestant, Known, Shape, Step, fresh_id

CONNECTION = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}


class LangGraph(Contestant):
    name = "LangGraph"
    slowness = 10

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        self._known = Known()
        self._shapes: dict[str, Shape] = {}
        async with (
            AsyncConnectionPool(self.dsn, max_size=20, kwargs=CONNECTION, open=False) as pool,
            asyncio.TaskGroup() as self._tasks,
        ):
            saver = AsyncPostgresSaver(pool)
            await saver.setup()
            self._graphs = {name: _graph(s, saver) for name, s in SHAPES.items()}
            yield

    async def start(self, shape: Shape, values: Mapping[str, int]) -> str:
        run = fresh_id()
        self._shapes[run] = shape
        if values:
            self._tasks.create_task(self._run(run, values))
        return run

    async def give(self, run: str, node: str, value: int) -> None:
        if node == self._shapes[run].inputs[-1]:  # the caller goes on to compute
            self._tasks.create_task(self._run(run, {node: value}))
        else:
            await self._run(run, {node: value})

    async def result(self, run: str, node: str) -> Any:
        return await self._known.wait(run, node)

    async def _run(self, run: str, values: Mapping[str, int]) -> None:
        config = {"configurable": {"thread_id": run}, "recursion_limit": 1000}
        graph = self._graphs[self._shapes[run].name]
        told: dict[str, Any] = {}
        updates = graph.astream(dict(values), config, stream_mode="updates", durability="sync")
        async for update in updates:
            for node, value in told.items():  # the step before is durable now
                self._known.tell(run, node, value)
            told = {n: v for given in update.values() for n, v in (given or {}).items()}
        for node, value in told.items():
            self._known.tell(run, node, value)


def _graph(shape: Shape, saver: AsyncPostgresSaver) -> Any:
    names = (*shape.inputs, *(step.name for step in shape.steps))
    state = TypedDict("State", dict.fromkeys(names, int), total=False)  # type: ignore[misc]
    builder = StateGraph(state)
    for step in shape.steps:
        builder.add_node(f"node {step.name}", _adding(step))
    first = [f"node {step.name}" for step in shape.stages[0]]
    builder.add_conditional_edges(
        START, lambda s: first if all(n in s for n in shape.inputs) else END, [*first, END]
    )
    for step in shape.steps:
        if step.takes[0] not in shape.inputs:
            before = [f"node {name}" for name in step.takes]
            builder.add_edge(before if len(before) > 1 else before[0], f"node {step.name}")
    return builder.compile(checkpointer=saver)


def _adding(step: Step) -> Callable[[Any], Any]:
    async def add(state: Mapping[str, int]) -> dict[str, int]:
        return {step.name: sum(state[name] for name in step.takes)}

    return add
