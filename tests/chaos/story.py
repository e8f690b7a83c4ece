"""One run: a cluster under load, faults, and what the tables say afterwards."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from journey_async import Journey
from tests.chaos.checker import Findings, Observer, check
from tests.chaos.faults import Cluster, Storm
from tests.chaos.load import TABLES, Record, graphs
from tests.chaos.processes import LEAVE, Process, running
from tests.chaos.proxy import proxy_to
from tests.chaos.server import ChaosServer
from tests.support.eventually import eventually

FAULTY = 0.01  # of all writes fail in the process that writes
REST = 90.0  # seconds in which everything that was begun must have come to its end
SHORT: dict[str, Any] = {  # a storm for every run of the tests
    "seconds": 5,
    "workers": 2,
    "writers": 1,
    "longest": 1.0,
    "lease": 3.0,
    "half_open": False,
}


@dataclass
class Story:
    """What was done, and what was found."""

    faults: Counter[str]
    findings: Findings
    log: dict[str, int]


async def tell(
    server: ChaosServer,
    folder: Path,
    *,
    seed: int,
    seconds: float,
    workers: int = 3,
    writers: int = 2,
    longest: float = 6.0,
    lease: float = 5.0,
    half_open: bool = True,
) -> Story:
    """Let the storm blow; everything that was started has ended when this returns.

    Who is behind a connection that is half open finds out by waiting for an answer in vain, which
    takes its time: `half_open=False` leaves them out.
    """
    chance = random.Random(seed)
    async with AsyncExitStack() as stack:
        await prepare(server)
        proxies = [
            await stack.enter_async_context(proxy_to(server.socket)) for _ in range(workers + 1)
        ]
        log = folder / "processes.log"
        # The last proxy is the writers' own.
        dsns = [f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres" for proxy in proxies]
        shared = {"direct": server.dsn, "lease": lease, "grace_period": 2.0, "faulty": FAULTY}

        def process(role: str, dsn: str) -> Process:
            return Process(role, log, dsn=dsn, seed=chance.getrandbits(32), **shared)

        computing = [process("compute", dsn) for dsn in dsns[:-1]]
        writing = [process("write", dsns[-1]) for _ in range(writers)]
        await stack.enter_async_context(running(*computing, *writing))
        observer = Observer(server.dsn)
        observing = asyncio.create_task(observer.observe())
        cluster = Cluster(server, proxies, computing, writing)
        storm = Storm(cluster, chance.getrandbits(32), longest=longest, half_open=half_open)
        try:
            await first_write(server)  # so that the storm meets a cluster at work
            await storm.blow(seconds)
            for writer in writing:
                await writer.terminate()
            findings = await check(server.dsn, limit=REST)
        finally:
            observing.cancel()
            await asyncio.gather(observing, return_exceptions=True)
        findings.wrong += observer.wrong
        for worker in computing:
            try:
                took = await worker.terminate()
            except TimeoutError:
                findings.wrong.append(f"a process did not end within {LEAVE:g} s")
                took = LEAVE
            slowest = max(findings.figures["slowest end, ms"], int(took * 1000))
            findings.figures["slowest end, ms"] = slowest
    return Story(storm.done, findings, _remarkable(log))


async def prepare(server: ChaosServer) -> None:
    """The tables, and an execution that beats."""
    connection = await asyncpg.connect(server.dsn)
    try:
        await connection.execute(TABLES)
    finally:
        await connection.close()
    async with (
        asyncpg.create_pool(server.dsn, min_size=0, max_size=1) as pool,
        Journey(server.dsn, run_computations=False) as journey,
    ):
        metronome = graphs(Record(pool), random.Random())[1]
        await journey.start_execution(metronome, {"on": True})


async def first_write(server: ChaosServer) -> None:
    """Return when a writer was told that something is written."""
    connection = await asyncpg.connect(server.dsn)
    try:
        written = "SELECT EXISTS (SELECT FROM chaos.sets WHERE acknowledged)"
        await eventually(lambda: connection.fetchval(written))
    finally:
        await connection.close()


LINES: dict[str, Callable[[str], bool]] = {
    "workers taken for dead": lambda line: "workers have died" in line,
    "… and were alive": lambda line: "was taken for dead" in line,
    "found by the safety check": lambda line: "was left behind" in line,
    "tracebacks": lambda line: line.startswith("Traceback"),
    "errors": lambda line: " ERROR " in line,
}


def _remarkable(log: Path) -> dict[str, int]:
    """How often the processes wrote what one would like to know of."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return {name: sum(map(found, lines)) for name, found in LINES.items()}
