"""What is done to the processes, the server and the network, in an order that the seed decides."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg

from tests.chaos.processes import Process
from tests.chaos.proxy import Proxy
from tests.chaos.server import ChaosServer

AT_ONCE = 3  # faults that may overlap
PAUSE = 0.8  # seconds between faults, at most


@dataclass
class Cluster:
    """All that faults can be done to."""

    server: ChaosServer
    proxies: list[Proxy]
    workers: list[Process]
    writers: list[Process]


class Storm:
    """Faults, one after the other and some at the same time."""

    def __init__(self, cluster: Cluster, seed: int, *, longest: float, half_open: bool) -> None:
        self._cluster = cluster
        self._chance = random.Random(seed)
        self._longest = longest
        self._server = asyncio.Lock()
        self._busy: set[Process] = set()
        self.done: Counter[str] = Counter()
        self._faults: list[tuple[int, Callable[[random.Random], Awaitable[str]]]] = [
            (8, self._kill_worker),
            (4, self._suspend),
            (3, self._terminate_worker),
            (2, self._kill_writer),
            (2, self._restart_server),
            (6, self._end_backends),
            (5, self._cancel_statements),
            (5, self._cut),
            (4, self._stall),
            (3 * half_open, self._half_open),
            (3, self._delay),
            (2, self._go_down),
            (3, self._lock_rows),
            (1, self._lock_table),
        ]

    async def blow(self, seconds: float) -> None:
        """Do things to the cluster for so long; at the end everything is whole again."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        under_way: set[asyncio.Task[None]] = set()
        weights = [weight for weight, _ in self._faults]
        async with asyncio.TaskGroup() as group:
            while loop.time() < until:
                [(_, fault)] = self._chance.choices(self._faults, weights)
                own = random.Random(self._chance.getrandbits(32))
                task = group.create_task(self._do(fault, own))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                if len(under_way) >= AT_ONCE:
                    await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(self._chance.random() * PAUSE)
        for proxy in self._cluster.proxies:
            proxy.resume()

    async def _do(
        self, fault: Callable[[random.Random], Awaitable[str]], chance: random.Random
    ) -> None:
        try:
            name = await fault(chance)
        except (
            OSError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,  # it went in the middle of something
        ):
            name = "(the server was away)"
        if name:
            self.done[name] += 1

    # --- processes ----------------------------------------------------------------------------

    async def _kill_worker(self, chance: random.Random) -> str:
        return await self._kill(self._cluster.workers, chance, "workers killed")

    async def _kill_writer(self, chance: random.Random) -> str:
        return await self._kill(self._cluster.writers, chance, "writers killed")

    async def _kill(self, processes: list[Process], chance: random.Random, name: str) -> str:
        process = self._free(processes, chance)
        if process is None:
            return ""
        await process.kill()
        await self._start_again(process, chance)
        return name

    async def _terminate_worker(self, chance: random.Random) -> str:
        process = self._free(self._cluster.workers, chance)
        if process is None:
            return ""
        await process.terminate()
        await self._start_again(process, chance)
        return "workers asked to end (SIGTERM)"

    async def _suspend(self, chance: random.Random) -> str:
        process = self._free(self._cluster.workers + self._cluster.writers, chance)
        if process is None:
            return ""
        process.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(chance.uniform(0.1, self._longest))
        finally:
            process.send(signal.SIGCONT)
            self._busy.discard(process)
        return "processes stopped and continued"

    def _free(self, processes: list[Process], chance: random.Random) -> Process | None:
        """One to which nothing else is being done at the moment."""
        free = [process for process in processes if process not in self._busy and process.lives]
        if not free:
            return None
        process = chance.choice(free)
        self._busy.add(process)
        return process

    async def _start_again(self, process: Process, chance: random.Random) -> None:
        await asyncio.sleep(chance.random())
        await process.start(seed=chance.getrandbits(32))
        await process.ready()
        self._busy.discard(process)

    # --- the server ---------------------------------------------------------------------------

    async def _restart_server(self, chance: random.Random) -> str:
        immediately = chance.random() < 0.5
        async with self._server:
            await self._cluster.server.stop(immediately=immediately)
            await asyncio.sleep(chance.random())
            await self._cluster.server.start()
        return f"PostgreSQL restarted ({'immediate' if immediately else 'fast'})"

    async def _end_backends(self, chance: random.Random) -> str:
        return await self._signal_backends("pg_terminate_backend", chance, "backends terminated")

    async def _cancel_statements(self, chance: random.Random) -> str:
        for _ in range(20):
            await self._signal_backends("pg_cancel_backend", chance, "")
            await asyncio.sleep(0.01)
        return "rounds of statements cancelled"

    async def _signal_backends(self, function: str, chance: random.Random, name: str) -> str:
        share = chance.choice([0.1, 0.5, 1.0])
        await self._execute(
            f"SELECT {function}(pid) FROM pg_stat_activity"
            f" WHERE application_name = 'journey_async' AND random() < {share}"
        )
        return name

    async def _lock_rows(self, chance: random.Random) -> str:
        await self._hold(
            "SELECT 1 FROM journey.executions ORDER BY updated_at DESC LIMIT 5 FOR UPDATE", chance
        )
        return "rows locked by others"

    async def _lock_table(self, chance: random.Random) -> str:
        await self._hold("LOCK TABLE journey.executions IN ACCESS EXCLUSIVE MODE", chance)
        return "tables locked by others"

    async def _hold(self, statement: str, chance: random.Random) -> None:
        connection = await asyncpg.connect(self._cluster.server.dsn, timeout=10)
        try:
            async with connection.transaction():
                await connection.execute(statement)
                await asyncio.sleep(chance.uniform(0.1, self._longest / 2))
        finally:
            connection.terminate()

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._cluster.server.dsn, timeout=10)
        try:
            await connection.execute(statement)
        finally:
            connection.terminate()

    # --- the network --------------------------------------------------------------------------

    async def _cut(self, chance: random.Random) -> str:
        chance.choice(self._cluster.proxies).cut(chance.choice([0.2, 0.5, 1.0]), chance)
        return "connections cut"

    async def _stall(self, chance: random.Random) -> str:
        proxy = chance.choice(self._cluster.proxies)
        proxy.stall(chance.choice([0.3, 1.0]), chance)
        try:
            await asyncio.sleep(chance.uniform(0.1, self._longest))
        finally:
            proxy.resume()
        return "connections that stood still"

    async def _half_open(self, chance: random.Random) -> str:
        chance.choice(self._cluster.proxies).half_open(chance.choice([0.2, 0.6]), chance)
        return "connections half-opened"

    async def _delay(self, chance: random.Random) -> str:
        proxy = chance.choice(self._cluster.proxies)
        proxy.delay(chance.uniform(0.005, 0.2))
        try:
            await asyncio.sleep(chance.uniform(0.5, self._longest))
        finally:
            proxy.resume()
        return "delays"

    async def _go_down(self, chance: random.Random) -> str:
        proxy = chance.choice(self._cluster.proxies)
        proxy.go_down()
        try:
            await asyncio.sleep(chance.uniform(0.1, self._longest / 2))
        finally:
            proxy.resume()
        return "network outages"
