"""Setter, worker and waiter in three processes that meet in the database only.

python -m tests.benchmarks.apart NAME DSN: one turn, as JSON; NAME is journey or bare.

*Bare* is the least that this can be: one table, a notification in each commit that names the run,
and a look at the run by whoever hears it. Nothing is claimed, and it could recover nothing.
"""

import asyncio
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import asyncpg

from journey_async import Journey
from tests.benchmarks.contestants.bare import TABLE
from tests.benchmarks.contestants.journey import graph_of
from tests.benchmarks.workload import BASIC, Known, fresh_id
from tests.support.eventually import eventually

RUNS, WARM_UP = 100, 10
WORKER, WAITER, SETTER = "worker", "waiter", "setter"
GRAPH = graph_of(BASIC)

WRITE = """
WITH written AS (INSERT INTO bare VALUES ($1, $2, $3::text::jsonb))
SELECT pg_notify('bare', $1)"""
READ = "SELECT node, value FROM bare WHERE run = $1"


class Member(Protocol):
    """What each of the three can do; the one whose role is worker computes besides."""

    async def start(self) -> str:
        """Start a run of the basic shape; returns its id."""

    async def give(self, run: str, node: str, value: int) -> None:
        """Give a run an input; returns once that is durable."""

    async def wait(self, run: str) -> "asyncio.Future[int]":
        """The sum to come: returns once it is waited for, and a first look is over."""


class JourneyMember:
    """This library, with the settings that it has by itself."""

    def __init__(self, journey: Journey) -> None:
        self._journey = journey

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str, role: str) -> AsyncIterator["JourneyMember"]:
        computes = role == WORKER
        async with Journey(dsn, graphs=[GRAPH], run_computations=computes) as journey:
            yield cls(journey)

    async def start(self) -> str:
        return (await self._journey.start_execution(GRAPH)).id

    async def give(self, run: str, node: str, value: int) -> None:
        await self._journey.set_value(run, node, value)

    async def wait(self, run: str) -> "asyncio.Future[int]":
        known = asyncio.ensure_future(self._journey.get_value(run, "sum", wait_any=True))
        await eventually(lambda: len(self._journey._engine.waiters) == 1)
        await self._journey.load(run)
        return known


class BareMember:
    """One connection, on which it is told of runs, and statements that are prepared."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", role: str) -> None:
        self._connection = connection
        self._computes = role == WORKER
        self._known = Known()
        self._told: asyncio.Queue[str] = asyncio.Queue()

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str, role: str) -> AsyncIterator["BareMember"]:
        connection = await asyncpg.connect(dsn)
        await connection.execute(TABLE)
        member = cls(connection, role)
        await member._prepare()
        if role != SETTER:
            await connection.add_listener("bare", lambda *told: member._told.put_nowait(told[-1]))
        looking = asyncio.create_task(member._look_at_what_is_told())
        try:
            yield member
        finally:
            looking.cancel()
            await connection.close()

    async def start(self) -> str:
        run = fresh_id()
        await self._write.fetch(run, "", "0")
        return run

    async def give(self, run: str, node: str, value: int) -> None:
        await self._write.fetch(run, node, json.dumps(value))

    async def wait(self, run: str) -> "asyncio.Future[int]":
        known = asyncio.ensure_future(self._known.wait(run, "sum"))
        self._told.put_nowait(run)
        await self._told.join()
        return known

    async def _prepare(self) -> None:
        self._write = await self._connection.prepare(WRITE)
        self._read = await self._connection.prepare(READ)

    async def _look_at_what_is_told(self) -> None:
        while True:
            run = await self._told.get()
            values = {node: json.loads(value) for node, value in await self._read.fetch(run)}
            if "sum" in values:
                self._known.tell(run, "sum", values["sum"])
            elif self._computes and {"x", "y"} <= values.keys():
                await self.give(run, "sum", values["x"] + values["y"])
            self._told.task_done()


MEMBERS: dict[str, Callable[[str, str], AbstractAsyncContextManager[Member]]] = {
    "journey": JourneyMember.open,
    "bare": BareMember.open,
}


async def turn(name: str, dsn: str) -> dict[str, list[float]]:
    """Milliseconds from giving y until the waiter knows the sum, one run after the other."""
    found = []
    async with MEMBERS[name](dsn, SETTER) as setter, _others(name, dsn) as waiter:
        for number in range(WARM_UP + RUNS):
            run = await setter.start()
            await setter.give(run, "x", number)
            await waiter.tell(run)
            await waiter.says()  # it waits now
            began = time.monotonic()
            await setter.give(run, "y", 50)
            found.append((float(await waiter.says()) - began) * 1000)
    return {"apart": found[WARM_UP:]}


@dataclass
class Other:
    """Another process, which reads and says lines."""

    process: asyncio.subprocess.Process

    async def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await self.process.stdin.drain()

    async def says(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().strip()


@asynccontextmanager
async def _others(name: str, dsn: str) -> AsyncIterator[Other]:
    """A worker and a waiter that are ready; the waiter is what is given."""
    others = []
    try:
        for role in (WORKER, WAITER):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.benchmarks.apart", name, dsn, role),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            others.append(Other(process))
            await others[-1].says()
        yield others[-1]
    finally:
        for other in others:
            with suppress(ProcessLookupError):  # it has ended by itself
                other.process.kill()
            await other.process.wait()


async def other(name: str, dsn: str, role: str) -> None:
    """Waits for the sum of each run that it is told, and says when it knew; until it is killed."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    async with MEMBERS[name](dsn, role) as member:
        print("ready", flush=True)
        while line := await lines.readline():
            known = await member.wait(line.decode().strip())
            print("waits", flush=True)
            await known
            print(time.monotonic(), flush=True)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    if sys.argv[3:]:
        asyncio.run(other(*sys.argv[1:4]))
    else:
        print(json.dumps(asyncio.run(turn(*sys.argv[1:3]))), flush=True)
