"""The workload, and the one protocol by which everybody does it.

A *shape* is a graph without a library: inputs, and stages of steps that follow from them. A
contestant starts a run of a shape, gives it inputs, and says when a result is known and durable.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import uuid4


@dataclass(frozen=True)
class Step:
    """A step, and what its function is given: the sum of that is its result."""

    name: str
    takes: tuple[str, ...]


@dataclass(frozen=True)
class Shape:
    """What follows from which inputs; the steps of a stage stand side by side."""

    name: str
    inputs: tuple[str, ...]
    stages: tuple[tuple[Step, ...], ...]

    @property
    def steps(self) -> list[Step]:
        """All steps, in order."""
        return [step for stage in self.stages for step in stage]

    @property
    def last(self) -> str:
        """The step after which nothing follows."""
        return self.stages[-1][-1].name


SIZE = 100
BASIC = Shape("basic", ("x", "y"), ((Step("sum", ("x", "y")),), (Step("alert", ("sum",)),)))
SINGLE = Shape("single", ("x",), ((Step("y", ("x",)),),))
CHAIN = Shape(
    "chain",
    ("s0",),
    tuple((Step(f"s{number}", (f"s{number - 1}",)),) for number in range(1, SIZE + 1)),
)
FAN_OUT = Shape(
    "fan_out",
    ("s0",),
    (
        tuple(Step(f"f{number}", ("s0",)) for number in range(1, SIZE + 1)),
        (Step("end", tuple(f"f{number}" for number in range(1, SIZE + 1))),),
    ),
)
SHAPES = {shape.name: shape for shape in (BASIC, SINGLE, CHAIN, FAN_OUT)}
ALERT_OVER = 40  # the basic shape's alert follows from a sum that is greater


class Contestant(ABC):
    """One way to do the workload; `dsn` is a database of its own."""

    name: ClassVar[str]
    shapes: ClassVar[Sequence[Shape]] = (BASIC, SINGLE, CHAIN, FAN_OUT)
    slowness: ClassVar[int] = 1  # by which the number of runs is divided, lest it take all day

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Be ready for runs while the context lasts."""
        yield

    @abstractmethod
    async def start(self, shape: Shape, values: Mapping[str, int]) -> Any:
        """Start a run with these inputs; returns once that is durable."""

    @abstractmethod
    async def give(self, run: Any, node: str, value: int) -> None:
        """Give a run another input; returns once that is durable."""

    @abstractmethod
    async def result(self, run: Any, node: str) -> Any:
        """The result of a step, once it is durable."""


class Known:
    """Tells callers in the same process what a step gave: the quickest way to know."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str], asyncio.Future[Any]] = {}

    def tell(self, run: str, node: str, value: Any) -> None:
        """It is durable."""
        answer = self._answer(run, node)
        if not answer.done():
            answer.set_result(value)

    async def wait(self, run: str, node: str) -> Any:
        """Return once it is told."""
        try:
            return await self._answer(run, node)
        finally:
            self._answers.pop((run, node), None)

    def _answer(self, run: str, node: str) -> "asyncio.Future[Any]":
        if (run, node) not in self._answers:
            self._answers[run, node] = asyncio.get_running_loop().create_future()
        return self._answers[run, node]


def fresh_id() -> str:
    """An id for a run."""
    return uuid4().hex


# --- the measures -----------------------------------------------------------------------------

LATENCIES, EXECUTIONS, SINGLES, AT_ONCE, REPEATS = 100, 1000, 2000, 50, 5


async def measured(contestant: Contestant, scale: float) -> dict[str, list[float]]:
    """Samples by the measure's name: milliseconds, or executions a second."""
    share = scale / contestant.slowness

    def times(number: int, least: int) -> int:
        return max(int(number * share), least)

    samples: dict[str, list[float]] = {}
    async with contestant.open():
        shapes = contestant.shapes
        for shape in shapes:  # warm up
            run = await contestant.start(shape, dict.fromkeys(shape.inputs, 41))
            await contestant.result(run, shape.last)
        if BASIC in shapes:
            samples["latency"] = await _latency(contestant, times(LATENCIES, 10))
            number = times(EXECUTIONS, AT_ONCE)
            samples["throughput"] = [await _throughput(contestant, number)]
        if SINGLE in shapes:
            samples["single"] = [await _singles(contestant, times(SINGLES, 2 * AT_ONCE))]
        for shape in (CHAIN, FAN_OUT):
            if shape in shapes:
                repeats = times(REPEATS, 2)
                samples[shape.name] = [await _whole(contestant, shape) for _ in range(repeats)]
    return samples


async def _latency(contestant: Contestant, runs: int) -> list[float]:
    """From sending y to knowing the sum, one run at a time."""
    found = []
    for number in range(runs):
        run = await contestant.start(BASIC, {})
        await contestant.give(run, "x", number)
        began = time.perf_counter()
        await contestant.give(run, "y", 50)
        assert await contestant.result(run, "sum") == number + 50
        found.append((time.perf_counter() - began) * 1000)
        await contestant.result(run, "alert")
    return found


async def _throughput(contestant: Contestant, executions: int) -> float:
    """From the first start to the last alert known."""

    async def one(number: int) -> None:
        run = await contestant.start(BASIC, {})
        await contestant.give(run, "x", number)
        await contestant.give(run, "y", 50)
        await contestant.result(run, "alert")

    return await _rate(one, executions)


async def _singles(contestant: Contestant, executions: int) -> float:
    """Started with a value, one step computed, its result known."""

    async def one(number: int) -> None:
        run = await contestant.start(SINGLE, {"x": number})
        await contestant.result(run, "y")

    return await _rate(one, executions)


async def _rate(one: Any, executions: int) -> float:
    room = asyncio.Semaphore(AT_ONCE)

    async def in_turn(number: int) -> None:
        async with room:
            await one(number)

    began = time.perf_counter()
    await asyncio.gather(*map(in_turn, range(executions)))
    return executions / (time.perf_counter() - began)


async def _whole(contestant: Contestant, shape: Shape) -> float:
    """From giving the input to knowing the last result."""
    run = await contestant.start(shape, {})
    began = time.perf_counter()
    await contestant.give(run, shape.inputs[0], 1)
    await contestant.result(run, shape.last)
    return (time.perf_counter() - began) * 1000
