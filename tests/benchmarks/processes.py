"""What several processes on one database do together: a table for people, JSON for programs.

    python -m tests.benchmarks.processes [--rounds 3] [--executions 1000]

*Shared work*: 1, 2 and 4 processes each do their part of the basic workload, client and worker in
one; *one asks*: one process starts and sets, and 1, 2 and 4 others compute. Executions a second in
all, and how many functions were called for each execution (two are asked for). *Backlog*: as many
executions wait when 1 or 4 processes come, with so many places each; a function takes 20 ms, and
another one follows. *Few places*: 400 that wait for a function that does nothing, and one process.
*One wide execution*: a thousand steps of 50 ms, and one that takes all of them; seconds.
*One busy execution*: 8 processes write to one execution as fast as they can, beside 8 that lock a
plain row, add one and commit. The server is a throw-away one with fsync on.
"""

import argparse
import asyncio
import json
import logging
import random
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import asyncpg

from journey_async import Graph, Journey, compute, input_node, provided, value
from tests.chaos.server import chaos_server

AT_ONCE = 50  # executions under way, over all processes
WRITERS = 8
SECONDS = 5.0  # of writing to one execution
BACKLOGS = ((1, 100), (4, 25), (1, 20), (4, 5))  # workers, and places of each
FEW = (1, 2, 20)  # places
WIDTHS = ((1, 20), (2, 20), (4, 5), (4, 20))  # workers, and places of each
OF_FEW = 400  # executions
BUSY = Graph("busy", "v1", [input_node(f"x{number}") for number in range(WRITERS)])
LOCKED = "SELECT n FROM plain WHERE id = 1 FOR UPDATE"
ADDED = "UPDATE plain SET n = n + 1 WHERE id = 1"


class Counted:
    """The basic graph, of which the calls are counted."""

    def __init__(self) -> None:
        self.calls = 0
        steps = [
            compute("sum", ["x", "y"], self._add),
            compute("alert", value("sum") > 40, self._alert),
        ]
        self.graph = Graph("processes", "v1", [input_node("x"), input_node("y"), *steps])

    async def _add(self, x: int, y: int) -> int:
        self.calls += 1
        return x + y

    async def _alert(self) -> str:
        self.calls += 1
        return "🚨"


async def _short(x: int) -> int:
    await asyncio.sleep(0.02)
    return x


async def _same(x: int) -> int:
    return x


async def _slow() -> int:
    await asyncio.sleep(0.05)
    return 1


async def _one() -> int:
    return 1


BACKLOG = Graph(
    "backlog",
    "v1",
    [input_node("x"), compute("y", ["x"], _short), compute("z", ["y"], lambda y: y)],
)
QUICK = Graph("quick", "v1", [input_node("x"), compute("z", ["x"], _same)])
_names = [f"s{n}" for n in range(1_000)]
WIDE = Graph(
    "wide",
    "v1",
    [
        input_node("x"),
        *(compute(name, ["x"], _slow) for name in _names),
        compute("z", _names, _one),
    ],
)

# --- what a process does, once it is told to go ------------------------------------------------


async def whole(dsn: str, executions: int, at_once: int) -> Any:
    """Starts, sets, computes and waits; gives the number of calls."""
    counted = Counted()
    async with Journey(dsn, graphs=[counted.graph]) as journey:
        await _go()
        await _ask(journey, counted.graph, executions, at_once)
        print(json.dumps("done"), flush=True)
        sys.stdin.readline()
    return counted.calls


async def asker(dsn: str, executions: int, at_once: int) -> Any:
    """Starts, sets and waits; computes nothing."""
    counted = Counted()
    async with Journey(dsn, graphs=[counted.graph], run_computations=False) as journey:
        await _go()
        await _ask(journey, counted.graph, executions, at_once)
        print(json.dumps("done"), flush=True)
        sys.stdin.readline()
    return counted.calls


async def worker(dsn: str, _executions: int, _at_once: int) -> Any:
    """Computes until it is told to stop; gives the number of calls."""
    counted = Counted()
    async with Journey(dsn, graphs=[counted.graph]):
        await _go()
        print(json.dumps("done"), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
    return counted.calls


async def taker(dsn: str, places: int, _at_once: int) -> Any:
    """Comes to a backlog, and computes until it is told to stop."""
    await _go()
    async with Journey(dsn, graphs=[BACKLOG, QUICK, WIDE], max_concurrency=places):
        await asyncio.to_thread(sys.stdin.readline)


async def writer(dsn: str, number: int, _at_once: int) -> Any:
    """Writes to the one execution of `BUSY`; gives the number of writes."""
    async with Journey(dsn, graphs=[BUSY], run_computations=False) as journey:
        [execution] = await journey.list_executions(graph_name=BUSY.name)
        await _go()
        ends, writes = time.monotonic() + SECONDS, 0
        while time.monotonic() < ends:
            writes += 1
            await journey.set_value(execution.id, f"x{number}", writes)
    return writes


async def locker(dsn: str, _number: int, _at_once: int) -> Any:
    """Locks a plain row, adds one and commits; gives how often."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("SELECT 1")
    await _go()
    ends, writes = time.monotonic() + SECONDS, 0
    while time.monotonic() < ends:
        writes += 1
        async with connection.transaction():
            await connection.fetchval(LOCKED)
            await connection.execute(ADDED)
    await connection.close()
    return writes


async def _go() -> None:
    print(json.dumps("ready"), flush=True)
    await asyncio.to_thread(sys.stdin.readline)


async def _ask(journey: Journey, graph: Graph, executions: int, at_once: int) -> None:
    places = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with places:
            execution = await journey.start_execution(graph)
            await journey.set_value(execution, "x", number)
            await journey.set_value(execution, "y", 50)
            await journey.get_value(execution, "alert", wait_any=True)

    await asyncio.gather(*map(one, range(executions)))


ROLES = {role.__name__: role for role in (whole, asker, worker, taker, writer, locker)}

# --- who tells them -----------------------------------------------------------------------------


class Process:
    """One process in a role."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, role: str, dsn: str, *arguments: int) -> "Process":
        """Started, and ready."""
        process = cls(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.benchmarks.processes"),
                *(f"--role={role}", dsn, *map(str, arguments)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        )
        assert await process.hear() == "ready"
        return process

    def tell(self) -> None:
        """Go on."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    async def hear(self) -> Any:
        """What it says next."""
        assert self._process.stdout is not None
        return json.loads(await self._process.stdout.readline())

    async def end(self) -> Any:
        """What it says last; it has ended then."""
        said = await self.hear()
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        return said


async def _started(roles: Sequence[tuple[str, int, int]], dsn: str) -> list[Process]:
    return await asyncio.gather(*(Process.start(role, dsn, *rest) for role, *rest in roles))


async def throughput(dsn: str, askers: int, workers: int, executions: int) -> tuple[float, float]:
    """Executions a second, and calls for each; without workers the askers compute."""
    share = executions // askers
    role = "asker" if workers else "whole"
    asking = await _started([(role, share, AT_ONCE // askers)] * askers, dsn)
    computing = await _started([("worker", 0, 0)] * workers, dsn)
    began = time.monotonic()
    for process in (*computing, *asking):
        process.tell()
    await asyncio.gather(*(process.hear() for process in asking))
    seconds = time.monotonic() - began
    await asyncio.gather(*(process.hear() for process in computing))
    for process in (*asking, *computing):
        process.tell()
    calls = await asyncio.gather(*(process.end() for process in (*asking, *computing)))
    return share * askers / seconds, sum(calls) / (share * askers)


async def backlog(dsn: str, graph: Graph, workers: int, places: int, executions: int) -> float:
    """Executions a second of those that wait, from when the workers come."""
    taking = await _started([("taker", places, 0)] * workers, dsn)
    async with Journey(dsn, graphs=[graph], run_computations=False) as journey:
        starts = (journey.start_execution(graph, {"x": n}) for n in range(executions))
        waiting = await asyncio.gather(*starts)
        began = time.monotonic()
        for process in taking:
            process.tell()
        to_do = ~provided("z")
        while await journey.count_executions(graph_name=graph.name, where=to_do):  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # to wait for each would load the server
        seconds = time.monotonic() - began
        for process in taking:
            process.tell()
        await asyncio.gather(*(process.end() for process in taking))
        await asyncio.gather(*map(journey.archive, waiting))
    return executions / seconds


async def contention(dsn: str, role: str) -> float:
    """Writes a second of 8 processes to one row."""
    processes = await _started([(role, number, 0) for number in range(WRITERS)], dsn)
    for process in processes:
        process.tell()
    return float(sum(await asyncio.gather(*(process.end() for process in processes))) / SECONDS)


async def _prepare(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE plain (id int PRIMARY KEY, n int)")
    await connection.execute("INSERT INTO plain VALUES (1, 0)")
    await connection.close()
    async with Journey(dsn, graphs=[BUSY, BACKLOG, QUICK, WIDE, Counted().graph]) as journey:
        await journey.start_execution(BUSY)


async def _measured(dsn: str, executions: int) -> dict[str, float]:
    found: dict[str, float] = {}
    turns = [(n, 0) for n in (1, 2, 4)] + [(1, n) for n in (1, 2, 4)]
    for askers, workers in random.sample(turns, len(turns)):
        name = f"one asks, {workers} compute" if workers else f"{askers} share the work"
        rate, calls = await throughput(dsn, askers, workers, executions)
        found[f"{name}: executions/s"] = rate
        found[f"{name}: calls an execution"] = calls
    for workers, places in random.sample(BACKLOGS, len(BACKLOGS)):
        name = f"backlog, {workers} with {places} places each: executions/s"
        found[name] = await backlog(dsn, BACKLOG, workers, places, executions)
    for places in random.sample(FEW, len(FEW)):
        name = f"few places, {places}: ms an execution"
        found[name] = 1e3 / await backlog(dsn, QUICK, 1, places, OF_FEW)
    for workers, places in random.sample(WIDTHS, len(WIDTHS)):
        name = f"one wide execution, {workers} with {places} places each: s"
        found[name] = 1 / await backlog(dsn, WIDE, workers, places, 1)
    for name, role in random.sample((("journey_async", "writer"), ("plain row", "locker")), 2):
        found[f"8 write to one execution, {name}: writes/s"] = await contention(dsn, role)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.processes",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--executions", type=int, default=1000)
    options = parser.parse_args()
    with chaos_server() as server:
        dsn = asyncio.run(server.database("processes"))
        asyncio.run(_prepare(dsn))
        rounds = [asyncio.run(_measured(dsn, options.executions)) for _ in range(options.rounds)]
    medians = {n: statistics.median(r[n] for r in rounds) for n in sorted(rounds[0])}
    print("| | median | of rounds |\n|---|---|---|")
    for name, median in medians.items():
        several = ", ".join(f"{r[name]:,.4g}" for r in rounds)
        print(f"| {name} | {median:,.4g} | {several} |")
    print(json.dumps(medians))


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith("--role="):
        logging.disable(logging.WARNING)
        given = ROLES[sys.argv[1].removeprefix("--role=")](sys.argv[2], *map(int, sys.argv[3:]))
        print(json.dumps(asyncio.run(given)), flush=True)
    else:
        main()
