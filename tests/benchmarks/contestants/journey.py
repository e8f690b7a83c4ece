"""This library, with the settings that it has by itself."""

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from journey_async import Execution, Graph, Journey, compute, input_node, value
from tests.benchmarks.workload import ALERT_OVER, SHAPES, Contestant, Shape, Step


class JourneyAsync(Contestant):
    name = "journey_async"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        graphs = {shape: graph_of(shape) for shape in SHAPES.values()}
        async with Journey(self.dsn, graphs=tuple(graphs.values())) as journey:
            self._graphs, self._journey = graphs, journey
            yield

    async def start(self, shape: Shape, values: Mapping[str, int]) -> Execution:
        return await self._journey.start_execution(self._graphs[shape], values)

    async def give(self, run: Execution, node: str, value: int) -> None:
        await self._journey.set_value(run, node, value)

    async def result(self, run: Execution, node: str) -> Any:
        return await self._journey.get_value(run, node, wait_any=True)


class JourneyAsyncOnUvloop(JourneyAsync):
    name = "journey_async, uvloop"


def graph_of(shape: Shape) -> Graph:
    """The shape as a graph."""
    steps = [compute(step.name, _gate(step), _adding(step)) for step in shape.steps]
    return Graph(shape.name, "v1", [*map(input_node, shape.inputs), *steps])


def _gate(step: Step) -> Any:
    return value("sum") > ALERT_OVER if step.name == "alert" else list(step.takes)


def _adding(step: Step) -> Callable[..., Any]:
    async def add(**given: int) -> int:
        return sum(given.values())

    parameter, by_name = inspect.Parameter, inspect.Parameter.KEYWORD_ONLY
    signature = inspect.Signature([parameter(name, by_name) for name in step.takes])
    add.__signature__ = signature  # type: ignore[attr-defined]
    return add
