"""The basic workload: latency one at a time, throughput of many, and the commits behind them.

    python -m tests.benchmarks.basic [--dsn DSN] [--executions 1000] [--at-once 50]

An execution receives x, then y (two writes, as from two requests); a step computes the sum; the sum
is over 40, so another one computes an alert. *Latency* is from sending y to knowing the sum, one
execution at a time. *Throughput* is from the first start to the last alert known. Without a DSN it
runs on a private PostgreSQL with fsync on, in a temporary directory.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg

from journey_async import Graph, Journey, compute, input_node, value

LATENCY_RUNS = 200
COMMITS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"


async def add(x: int, y: int) -> int:
    return x + y


async def alert() -> str:
    return "🚨"


GRAPH = Graph(
    "basic benchmark",
    "v1",
    [
        input_node("x"),
        input_node("y"),
        compute("sum", ["x", "y"], add),
        compute("large_value_alert", value("sum") > 40, alert),
    ],
)


async def latency(journey: Journey, runs: int) -> list[float]:
    """Seconds from sending y to knowing the sum, run by run."""
    seconds = []
    for number in range(runs):
        execution = await journey.start_execution(GRAPH)
        await journey.set_value(execution, "x", number)
        began = time.perf_counter()
        await journey.set_value(execution, "y", 1)
        assert await journey.get_value(execution, "sum", wait_any=True) == number + 1
        seconds.append(time.perf_counter() - began)
        await journey.get_value(execution, "large_value_alert", settled=True, default=None)
    return seconds


async def throughput(journey: Journey, executions: int, at_once: int) -> float:
    """Executions a second."""
    room = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with room:
            execution = await journey.start_execution(GRAPH)
            await journey.set_value(execution, "x", number)
            await journey.set_value(execution, "y", 50)
            await journey.get_value(execution, "large_value_alert", wait_any=True)

    began = time.perf_counter()
    await asyncio.gather(*map(one, range(executions)))
    return executions / (time.perf_counter() - began)


async def commits(connection: asyncpg.Connection) -> int:
    """Transactions committed in the database so far, once the statistics have settled."""
    seen = -1
    while (now := int(await connection.fetchval(COMMITS))) > seen + 2:
        seen = now
        await asyncio.sleep(1.5)  # backends report about once a second
    return now


async def measure(dsn: str, executions: int, at_once: int) -> dict[str, Any]:
    """The figures, by name."""
    async with Journey(dsn, graphs=[GRAPH]) as journey:
        await throughput(journey, min(executions, 100), at_once)  # warm up
        observer = await asyncpg.connect(dsn)
        try:
            seconds = sorted(await latency(journey, LATENCY_RUNS))
            before = await commits(observer)
            rate = await throughput(journey, executions, at_once)
            after = await commits(observer)
        finally:
            await observer.close()
    return {
        "latency_p50_ms": round(statistics.median(seconds) * 1000, 2),
        "latency_p99_ms": round(seconds[int(len(seconds) * 0.99) - 1] * 1000, 2),
        "executions_per_second": round(rate),
        "executions": executions,
        "at_once": at_once,
        "commits": after - before,
        "commits_per_execution": round((after - before) / executions, 2),
    }


def main() -> None:
    """Measure and print: a table for people, a line of JSON for programs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--dsn", default=os.environ.get("JOURNEY_DATABASE_URL"))
    parser.add_argument("--executions", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(_measured(options, Path(folder)))
    for name, figure in figures.items():
        print(f"{name:>24}  {figure}")
    print(json.dumps(figures))


async def _measured(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    if options.dsn:
        return await measure(options.dsn, options.executions, options.at_once)
    from journey_async.embedded import acquire

    server = await acquire(folder / "postgres")
    try:
        return await measure(server.dsn, options.executions, options.at_once)
    finally:
        await server.release()


if __name__ == "__main__":
    main()
