"""How fast work is picked up again: measured on processes with the default settings.

Each measure starts executions whose function holds on to them for ever in the process that is
first, does something to that process, and looks when the function was begun in another one.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from journey_async import Journey
from tests.chaos.load import TABLES, Record
from tests.chaos.processes import Process
from tests.chaos.proxy import Proxy, proxy_to
from tests.chaos.server import ChaosServer
from tests.chaos.workers import hold_graph
from tests.support.eventually import eventually
from tests.support.waits import waits_in

RUNS = "SELECT pid, at FROM chaos.effects WHERE execution_id = $1 ORDER BY id"
WAITS = 200  # parked over a restart of the server


@dataclass
class Measure:
    """Seconds, of as many runs."""

    name: str
    limit: float
    seconds: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """The value below which such a share of the runs is."""
        ordered = sorted(self.seconds)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]

    @property
    def holds(self) -> bool:
        """Whether it is within its limit."""
        return self.percentile(0.99) <= self.limit

    def row(self) -> str:
        """A line of a table."""
        p50, p99 = self.percentile(0.5), self.percentile(0.99)
        return f"| {self.name} | {len(self.seconds)} | {p50:.2f} | {p99:.2f} | {self.limit:g} |"


class Site:
    """A server, a client, and processes that come and go, each with a network of its own."""

    def __init__(
        self, server: ChaosServer, log: Path, stack: AsyncExitStack, pool: asyncpg.Pool
    ) -> None:
        self.server = server
        self.pool = pool
        self.graph = hold_graph(Record(pool))
        self._log = log
        self._stack = stack

    async def worker(self, **options: Any) -> tuple[Process, Proxy]:
        """One more process that computes."""
        proxy = await self._stack.enter_async_context(proxy_to(self.server.socket))
        dsn = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres"
        process = Process("hold", self._log, dsn=dsn, direct=self.server.dsn, **options)
        self._stack.push_async_callback(process.kill)
        await process.start()
        await process.ready()
        return process, proxy

    async def begun(self, execution_id: str, times: int) -> Any:
        """The last run, when there were so many."""

        async def there_are() -> bool:
            return len(await self.pool.fetch(RUNS, execution_id)) >= times

        await eventually(there_are, limit=60)
        return (await self.pool.fetch(RUNS, execution_id))[times - 1]


@asynccontextmanager
async def site(server: ChaosServer, log: Path) -> AsyncIterator[Site]:
    """Everything that is started there ends with the context."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(asyncpg.create_pool(server.dsn, min_size=0))
        await pool.execute(TABLES)
        yield Site(server, log, stack, pool)


async def killed(site: Site, times: int, chance: random.Random) -> Measure:
    """SIGKILL, at any moment between two looks at the others."""
    found = Measure("a process is killed → its work is begun elsewhere", 2.0)
    victim, _ = await site.worker()
    await site.worker()
    async with Journey(site.server.dsn, run_computations=False) as client:
        for _ in range(times):
            execution_id = await held_by(site, client, victim)
            await asyncio.sleep(chance.random())
            at = time.time()
            await victim.kill()
            found.seconds.append((await site.begun(execution_id, 2))["at"] - at)
            await victim.start()
            await victim.ready()
    return found


async def asked_to_end(site: Site, times: int) -> Measure:
    """SIGTERM, without a grace period for what runs."""
    found = Measure("SIGTERM (`grace_period=0`) → its work is begun elsewhere", 0.5)
    victim, _ = await site.worker(grace_period=0)
    await site.worker(grace_period=0)
    async with Journey(site.server.dsn, run_computations=False) as client:
        for _ in range(times):
            execution_id = await held_by(site, client, victim)
            at = time.time()
            await victim.terminate()
            found.seconds.append((await site.begun(execution_id, 2))["at"] - at)
            await victim.start()
            await victim.ready()
    return found


async def vanished(site: Site, times: int) -> Measure:
    """All connections half-open, and the process gone: nobody tells the server."""
    found = Measure("a machine vanishes → its work is begun elsewhere", 15.0 + 1.0)
    victims = [await site.worker() for _ in range(times)]
    async with Journey(site.server.dsn, run_computations=False) as client:
        held = [(await held_by(site, client, v), v, proxy) for v, proxy in victims]
        await site.worker()
        at = time.time()
        for _, victim, proxy in held:
            proxy.go_dark()
            victim.send(signal.SIGSTOP)
        for execution_id, _, _ in held:
            found.seconds.append((await site.begun(execution_id, 2))["at"] - at)
        for _, victim, _ in held:
            await victim.kill()
    return found


async def held_by(site: Site, client: Journey, victim: Process) -> str:
    """An execution whose function runs in this process."""
    while True:
        execution = await client.start_execution(site.graph, {"x": 1})
        run = await site.begun(execution.id, 1)
        if run["pid"] == victim.pid:
            return execution.id
        # Another process was faster. It is to let go, or it would have no place left after a while.
        [computation] = (await client.load(execution)).computations
        await client.abandon_computation(computation.id)
        await client.archive(execution)


async def restarted(site: Site, times: int) -> Measure:
    """From the moment in which it accepts connections to the last answer of all."""
    found = Measure("PostgreSQL restarts → all processes work, all waits are answered", 2.0)
    workers = [await site.worker(grace_period=0) for _ in range(2)]
    async with Journey(site.server.dsn, run_computations=False) as client:
        for number in range(times):
            parked = [await client.start_execution(site.graph) for _ in range(WAITS)]
            waits = [
                asyncio.create_task(client.get_value(e, "x", wait_any=True, timeout=60))
                for e in parked
            ]
            await eventually(lambda: waits_in(client) == WAITS)
            await site.server.stop(immediately=number % 2 == 0)
            await site.server.start()
            began = time.monotonic()
            async with Journey(site.server.dsn, run_computations=False) as other:
                # Written by another process: the waits hear of it, or they don't.
                for execution in parked:
                    await other.set_value(execution, "x", 0)
                await asyncio.gather(*waits)
                await _all_work(site, other, {process.pid for process, _ in workers})
            found.seconds.append(time.monotonic() - began)
    return found


async def _all_work(site: Site, client: Journey, pids: set[int]) -> None:
    """Every process has begun something."""
    seen: set[int] = set()
    while not pids <= seen:
        some = [await client.start_execution(site.graph, {"x": 2}) for _ in range(4)]
        for execution in some:
            seen.add((await site.begun(execution.id, 1))["pid"])


async def blocked(site: Site, seconds: float) -> str:
    """A function blocks its process; another process stands by. What is wrong, or nothing."""
    victim, _ = await site.worker()
    async with Journey(site.server.dsn, run_computations=False) as client:
        execution = await client.start_execution(site.graph, {"x": -seconds})
        pid = (await site.begun(execution.id, 1))["pid"]
        await site.worker()
        value = await client.get_value(execution, "y", wait_any=True, timeout=seconds + 30)
        runs = len(await site.pool.fetch(RUNS, execution.id))
        [computation] = await client.computations(execution)
    assert pid == victim.pid
    assert os.getpid() != pid
    if value != {"pid": pid} or runs != 1 or computation.deaths:
        return f"blocked: {runs} runs, {computation.deaths} deaths, {value}"
    return ""


async def measure(
    server: ChaosServer, log: Path, chance: random.Random, *, times: int, blocked_for: float
) -> tuple[list[Measure], list[str]]:
    """All measures, each of so many runs, and what is wrong."""
    ways: list[Callable[[Site], Awaitable[Measure]]] = [
        lambda site: killed(site, times, chance),
        lambda site: asked_to_end(site, times),
        lambda site: restarted(site, max(times // 4, 1)),
        lambda site: vanished(site, max(times // 4, 1)),
    ]
    measures = []
    for way in ways:
        async with site(server, log) as place:
            measures.append(await way(place))
    wrong = [f"{m.name}: {m.percentile(0.99):.2f} s" for m in measures if not m.holds]
    async with site(server, log) as place:
        wrong += filter(None, [await blocked(place, blocked_for)])
    return measures, wrong
