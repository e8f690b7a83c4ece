"""The seam for those who trace and measure: what it tells, and that it can break nothing."""

import logging
import sys
from asyncio import create_subprocess_exec
from collections.abc import Callable
from typing import Any

import pytest

from journey_async import ExecutionNotFound, Graph, Journey, Retry, compute, input_node
from journey_async.core.values import Computation
from journey_async.engine.instrumentation import Call, End, Instrumentation, Run, Span

TWICE = Retry(max_attempts=2, initial_delay=0.01, jitter=False)


class Notes(Instrumentation):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def opened(self, journey: Journey) -> None:
        self.told.append("opened")

    def closed(self, journey: Journey) -> None:
        self.told.append("closed")

    def call(self, call: Call) -> Span:
        return NotedSpan(self.told, f"{call.verb} {' '.join(call.nodes)}")

    def run(self, run: Run) -> Span:
        return NotedSpan(self.told, f"{run.computation.node} {run.computation.attempt}")

    def recorded(self, computation: Computation, graph_name: str) -> None:
        self.told.append(f"recorded {computation.node} {computation.state} of {graph_name}")


class NotedSpan(Span):
    def __init__(self, told: list[str], name: str) -> None:
        self._told, self._name = told, name
        self._told.append(f"{name} begins")

    @property
    def trace_context(self) -> str | None:
        return f"trace of {self._name}"

    def end(self, end: End) -> None:
        self._told.append(f"{self._name}: {end.outcome}")


class Broken(Instrumentation):
    """Raises in one of its methods, or in one of its spans."""

    def __init__(self, where: str) -> None:
        self._where = where

    def _raise(self, where: str) -> None:
        if where == self._where:
            raise RuntimeError("the instrumentation is broken")

    def opened(self, journey: Journey) -> None:
        self._raise("opened")

    def closed(self, journey: Journey) -> None:
        self._raise("closed")

    def call(self, call: Call) -> Span:
        self._raise("call")
        return BrokenSpan(self._raise)

    def run(self, run: Run) -> Span:
        self._raise("run")
        return BrokenSpan(self._raise)

    def recorded(self, computation: Computation, graph_name: str) -> None:
        self._raise("recorded")


class BrokenSpan(Span):
    def __init__(self, perhaps_raise: Callable[[str], None]) -> None:
        self._raise = perhaps_raise

    @property
    def trace_context(self) -> str | None:
        self._raise("trace_context")
        return None

    def end(self, end: End) -> None:
        self._raise("end")


def doubled(x: int, context: Any) -> int:
    if context.attempt == 1:
        raise ValueError("not yet")
    return 2 * x


GRAPH = Graph("g", "v1", [input_node("x"), compute("y", ["x"], doubled, retry=TWICE)])


async def test_it_is_told_of_calls_of_attempts_and_of_what_was_recorded(dsn: str) -> None:
    notes = Notes()
    async with Journey(dsn, graphs=[GRAPH], instrumentation=notes) as journey:
        execution = await journey.start_execution(GRAPH)
        await journey.set_value(execution, "x", 1)
        assert await journey.get_value(execution, "y", wait_any=True) == 2
        with pytest.raises(ExecutionNotFound):
            await journey.archive("EXECNONE")
        assert [c.trace_context for c in await journey.computations(execution)] == [
            "trace of set x",
            "trace of set x",
        ]
    assert notes.told[0] == "opened"
    assert notes.told[-1] == "closed"
    assert sorted(notes.told[1:-1]) == [
        "archive  begins",
        "archive : failed",
        "get y begins",
        "get y: success",
        "recorded y failed of g",
        "recorded y success of g",
        "set x begins",
        "set x: success",
        "start  begins",
        "start : success",
        "y 1 begins",
        "y 1: failed",
        "y 2 begins",
        "y 2: success",
    ]


@pytest.mark.parametrize(
    "where", ["opened", "closed", "call", "run", "recorded", "trace_context", "end"]
)
async def test_what_it_raises_is_logged_and_changes_nothing(
    dsn: str, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Journey(dsn, graphs=[GRAPH], instrumentation=Broken(where)) as journey:
        execution = await journey.start_execution(GRAPH, {"x": 1})
        assert await journey.get_value(execution, "y", wait_any=True) == 2
        for n in range(3):
            await journey.set_value(execution, "x", n)
            assert await journey.get_value(execution, "y", settled=True) == 2 * n
    complaints = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert complaints
    assert all(f"the instrumentation raised in {where}()" in r.message for r in complaints)
    assert len(complaints) == len({record.message for record in complaints})


async def test_nothing_of_opentelemetry_is_imported_unless_asked_for(direct_dsn: str) -> None:
    program = """
import asyncio, sys
from journey_async import Graph, Journey, compute

async def main(dsn):
    graph = Graph("g", "v1", [compute("a", [], lambda: 1)])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        await journey.get_value(execution, "a", wait_any=True)

asyncio.run(main(sys.argv[1]))
unwanted = ("opentelemetry", "prometheus_client", "journey_async.contrib")
assert not [name for name in sys.modules if name.startswith(unwanted)]
"""
    process = await create_subprocess_exec(sys.executable, "-c", program, direct_dsn)
    assert await process.wait() == 0
