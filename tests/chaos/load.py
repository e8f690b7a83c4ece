"""What the processes do: graphs whose every value tells of which input it was made, and writers.

The input `x` of an execution rises with every write. Each step hands on the `x` that it was
computed from; so an older result over a newer one, a lost one or a wrong one can be read off the
tables. What functions do in the world is one row in a table, written past the bad network.
"""

import asyncio
import os
import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import asyncpg

from journey_async import (
    Context,
    Continue,
    Done,
    Execution,
    Graph,
    Journey,
    Retry,
    compute,
    every,
    historian,
    input_node,
    is_true,
    loop,
    mutate,
    tick_once,
    tick_recurring,
)
from journey_async.errors import DatabaseUnavailable, WaitTimeout

PATIENTLY = Retry(max_attempts=1000, initial_delay=0.05, max_delay=0.5)
ROUNDS = 3
BEAT = 0.5  # seconds
EXECUTIONS = 6  # of one writer, at the same time
WRITES = 60  # to one execution, until the next one is started
STUCK = 75.0  # seconds; no wait may take longer, whatever was done to it meanwhile

# What the driver raises when the server goes away, in the middle of its own steps too.
LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

TABLES = """
    CREATE SCHEMA IF NOT EXISTS chaos;
    CREATE TABLE IF NOT EXISTS chaos.effects (
        id bigserial PRIMARY KEY, key text NOT NULL, node text NOT NULL,
        execution_id text NOT NULL, x bigint NOT NULL, pid integer NOT NULL,
        at double precision NOT NULL
    );
    CREATE INDEX IF NOT EXISTS effects_of ON chaos.effects (execution_id, node, x);
    CREATE TABLE IF NOT EXISTS chaos.sets (
        execution_id text NOT NULL, x bigint NOT NULL, acknowledged boolean NOT NULL DEFAULT false,
        PRIMARY KEY (execution_id, x)
    );
    CREATE TABLE IF NOT EXISTS chaos.waits (
        id bigserial PRIMARY KEY, execution_id text NOT NULL, x bigint NOT NULL,
        began double precision NOT NULL, seconds double precision NOT NULL, trouble text
    );
"""


class Record:
    """What has happened in the world, in tables beside the library's, by a way of its own."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def write(self, statement: str, *arguments: Any) -> None:
        """Written when this returns; tried again while the server is away."""
        for _ in range(2000):
            try:
                await self._pool.execute(statement, *arguments)
                return
            except LOST:
                await asyncio.sleep(0.05)
        raise RuntimeError("the server did not come back")

    async def effect(self, context: Context, x: int) -> None:
        """A node's function has done its work once more."""
        await self.write(
            "INSERT INTO chaos.effects (key, node, execution_id, x, pid, at)"
            " VALUES ($1, $2, $3, $4, $5, $6)",
            *(context.idempotency_key, context.node_name, context.execution_id, x),
            *(os.getpid(), time.time()),
        )

    async def intends(self, execution_id: str, x: int) -> None:
        """A writer is about to set `x`."""
        await self.write(
            "INSERT INTO chaos.sets (execution_id, x) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            *(execution_id, x),
        )

    async def acknowledged(self, execution_id: str, x: int) -> None:
        """The writer was told that `x` is set."""
        await self.write(
            "INSERT INTO chaos.sets (execution_id, x, acknowledged) VALUES ($1, $2, true)"
            " ON CONFLICT (execution_id, x) DO UPDATE SET acknowledged = true",
            *(execution_id, x),
        )

    async def waited(self, execution_id: str, x: int, seconds: float, trouble: str | None) -> None:
        """A wait for what comes of `x` has ended."""
        await self.write(
            "INSERT INTO chaos.waits (execution_id, x, began, seconds, trouble)"
            " VALUES ($1, $2, $3, $4, $5)",
            *(execution_id, x, time.time() - seconds, seconds, trouble),
        )


def graphs(record: Record, chance: random.Random) -> list[Graph]:
    """The graphs, whose functions write into `record`."""
    home = asyncio.get_running_loop()

    async def work(context: Context, x: int) -> dict[str, Any]:
        await record.effect(context, x)
        await asyncio.sleep(chance.random() * 0.02)
        return {"x": x, "key": context.idempotency_key}

    async def first(x: int, context: Context) -> dict[str, Any]:
        return {**await work(context, x), "n": x + 1}

    def threaded(first: dict[str, Any], context: Context) -> dict[str, Any]:
        done = asyncio.run_coroutine_threadsafe(work(context, first["x"]), home).result()
        return {**done, "n": first["n"] * 3}

    async def last(first: Any, threaded: Any, context: Context) -> dict[str, Any]:
        done = await work(context, threaded["x"])
        return {**done, "from": first["x"], "n": threaded["n"] - first["n"]}

    async def flaky(x: int, context: Context) -> dict[str, Any]:
        done = await work(context, x)
        if chance.random() < 0.3:
            raise ConnectionError("once in a while")
        return done

    async def rounds(x: int, context: Context, rounds: Any = None) -> Done | Continue:
        done = await work(context, x)
        round_ = 1 if rounds is None else rounds["round"] + 1
        return (Done if round_ == ROUNDS else Continue)({**done, "round": round_})

    async def gated(x: int, context: Context) -> dict[str, Any]:
        return await work(context, x)

    async def remember(last: Any, context: Context) -> int:
        return int((await work(context, last["x"]))["x"])

    async def after(x: int, context: Context) -> dict[str, Any]:
        return await work(context, x)

    def beats(beat: float) -> float:
        return beat

    return [
        Graph(
            "numbers",
            "v1",
            [
                input_node("x", type=int),
                input_node("gate", type=bool),
                input_node("seen", type=int),
                compute("first", ["x"], first, retry=PATIENTLY),
                compute("threaded", ["first"], threaded, retry=PATIENTLY),
                compute("last", ["first", "threaded"], last, retry=PATIENTLY),
                mutate("remember", ["last"], remember, mutates="seen", retry=PATIENTLY),
                compute("flaky", ["x"], flaky, retry=PATIENTLY),
                compute("gated", ["x", is_true("gate")], gated, retry=PATIENTLY),
                historian("past", ["x"]),
                loop("rounds", ["x"], rounds, max_iterations=ROUNDS + 1, retry=PATIENTLY),
                tick_once("soon", ["x"], lambda: timedelta(seconds=0.2)),
                compute("after", ["x", "soon"], after, retry=PATIENTLY),
            ],
        ),
        Graph(
            "metronome",
            "v1",
            [
                input_node("on", type=bool),
                tick_recurring("beat", [is_true("on")], every(timedelta(seconds=BEAT))),
                compute("beats", ["beat"], beats, retry=PATIENTLY),
            ],
        ),
    ]


class Writer:
    """Sets rising numbers, and waits for what follows from them, until it is stopped."""

    def __init__(
        self, journey: Journey, graph: Graph, record: Record, chance: random.Random
    ) -> None:
        self._journey = journey
        self._graph = graph
        self._record = record
        self._chance = chance

    async def run(self, is_over: Callable[[], bool]) -> None:
        """Carry on with several executions beside one another."""
        async with asyncio.TaskGroup() as group:
            for _ in range(EXECUTIONS):
                group.create_task(self._write_on(is_over))

    async def _write_on(self, is_over: Callable[[], bool]) -> None:
        while not is_over():
            try:
                execution = await self._journey.start_execution(
                    self._graph, {"x": 1, "gate": False}
                )
            except DatabaseUnavailable:
                continue
            await self._record.acknowledged(execution.id, 1)
            for x in range(2, WRITES):
                if is_over():
                    return
                await self._set(execution, x)
                if self._chance.random() < 0.25:
                    await self._wait(execution, x)
                await asyncio.sleep(self._chance.random() * 0.2)

    async def _set(self, execution: Execution, x: int) -> None:
        """Set the number, and try again until that is acknowledged."""
        await self._record.intends(execution.id, x)
        values = {"x": x, "gate": x % 2 == 0}
        while True:
            try:
                await self._journey.set_values(execution, values)
                break
            except DatabaseUnavailable:
                continue
        await self._record.acknowledged(execution.id, x)

    async def _wait(self, execution: Execution, x: int) -> None:
        began = time.monotonic()
        trouble = None
        while True:
            left = STUCK - (time.monotonic() - began)
            try:
                found = await self._journey.get_value(
                    execution, "last", settled=True, timeout=max(left, 0.0)
                )
                if found["x"] != x:
                    trouble = f"{execution.id}: waited for {x} and was given {found['x']}"
            except WaitTimeout:
                trouble = f"{execution.id}: nothing came of {x}"
            except DatabaseUnavailable:
                continue
            break
        await self._record.waited(execution.id, x, time.monotonic() - began, trouble)
