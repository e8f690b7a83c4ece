"""What only this library is measured on: parked waits, a cold cache, ticks.

python -m tests.benchmarks.alone MEASURE DSN: one measure in a process of its own, as JSON.
"""

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import asyncpg

from journey_async import Graph, Journey, compute, input_node, tick_once
from tests.benchmarks.contestants.journey import graph_of
from tests.benchmarks.workload import BASIC
from tests.support.eventually import eventually
from tests.support.waits import waits_in

RUNS = 200
PARKED = 10_000
IDLE = 120.0  # seconds: a minute would hold one safety check more or less
TICKS = 40
COMMITS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
Figures = dict[str, list[float]]


async def parked(dsn: str) -> Figures:
    """10,000 executions in the cache, then somebody waits for each; then nothing happens."""
    graph = graph_of(BASIC)
    async with Journey(dsn, graphs=[graph]) as journey:
        observer = await asyncpg.connect(dsn)
        executions = []
        for _ in range(PARKED // 500):
            starts = [journey.start_execution(graph, {"x": 1}) for _ in range(500)]
            executions += [execution.id for execution in await asyncio.gather(*starts)]
        cached = _resident()
        waits = []
        for first in range(0, PARKED, 100):
            waits += [
                asyncio.create_task(journey.get_value(e, "sum", wait_any=True, timeout=None))
                for e in executions[first : first + 100]
            ]
            number = first + 100
            await eventually(lambda n=number: waits_in(journey) == n)  # type: ignore[misc]
            await journey._engine.rest()  # they have had their first look
        await _let_autovacuum(observer, "off")  # its transactions are counted like others
        await asyncio.sleep(12)  # idle backends report their statistics after ten seconds
        waiting = _resident()
        before, cpu = await observer.fetchval(COMMITS), time.process_time()
        await asyncio.sleep(IDLE)
        seconds = time.process_time() - cpu
        after = await observer.fetchval(COMMITS)
        for wait in waits:
            wait.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*waits, return_exceptions=True)
        await _let_autovacuum(observer, "on")
        await observer.close()
    return {
        "parked_commits": [max(after - before - 1, 0) / IDLE],  # the observer's own
        "parked_cpu": [seconds / IDLE * 100],
        "parked_bytes": [(waiting - cached) / PARKED],
        "cached_mb": [cached / 1e6],
    }


async def _let_autovacuum(observer: "asyncpg.Connection[asyncpg.Record]", be: str) -> None:
    await observer.execute(f"ALTER SYSTEM SET autovacuum = {be}")
    await observer.execute("SELECT pg_reload_conf()")


def _resident() -> int:
    """Bytes of memory that this process occupies."""
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def cold(dsn: str) -> Figures:
    """From setting a value of an execution that is in no cache to the value computed from it."""
    graph = graph_of(BASIC)
    async with Journey(dsn, graphs=[graph], run_computations=False) as journey:
        ids = [(await journey.start_execution(graph, {"x": 1})).id for _ in range(RUNS)]
    found = []
    async with Journey(dsn, graphs=[graph]) as journey:
        for execution_id in ids:
            began = time.perf_counter()
            await journey.set_value(execution_id, "y", 50)
            await journey.get_value(execution_id, "sum", wait_any=True)
            found.append((time.perf_counter() - began) * 1000)
            await journey.get_value(execution_id, "alert", wait_any=True)
    return {"cold": found[10:]}


async def ticks(dsn: str) -> Figures:
    """Milliseconds from the time of a tick to the call of what waits for it."""
    late: list[float] = []

    async def when(x: float) -> timedelta:
        return timedelta(seconds=x)

    async def called(tick: float) -> bool:
        late.append((journey._clock.now().timestamp() - tick) * 1000)
        return True

    graph = Graph(
        "ticks",
        "v1",
        [input_node("x"), tick_once("tick", ["x"], when), compute("call", ["tick"], called)],
    )
    async with Journey(dsn, graphs=[graph]) as journey:
        started = [
            await journey.start_execution(graph, {"x": 0.5 + number * 0.1})
            for number in range(TICKS)
        ]
        for execution in started:
            await journey.get_value(execution, "call", wait_any=True)
    return {"tick": late}


MEASURES: dict[str, Callable[[str], Awaitable[Figures]]] = {
    "parked": parked,
    "cold": cold,
    "ticks": ticks,
}


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    print(json.dumps(asyncio.run(MEASURES[sys.argv[1]](sys.argv[2]))), flush=True)  # type: ignore[arg-type]
