"""The processes as their parent sees them."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from journey_async.embedded.server import _dying_with_parent
from tests.chaos.workers import READY

ROOT = Path(__file__).parents[2]
START = 60.0  # seconds; while the server is away a process waits for it
LEAVE = 100.0  # seconds that a process may take to end: a writer waits for what it has begun


class Process:
    """One process of a role; it can be started again and again."""

    def __init__(self, role: str, log: Path | None, **options: Any) -> None:
        self.role = role
        self.options = options
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The number of the process that was started last."""
        assert self._process is not None
        return self._process.pid

    @property
    def lives(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self, **options: Any) -> None:
        """Start it, and return when it says that it is ready."""
        self.options |= options
        log = DEVNULL if self._log is None else self._log.open("ab")
        self._process = await asyncio.create_subprocess_exec(
            *_dying_with_parent("KILL"),
            *(sys.executable, "-m", "tests.chaos.workers", self.role, json.dumps(self.options)),
            stdin=PIPE,
            stdout=PIPE,
            stderr=log,
            cwd=ROOT,
        )
        if not isinstance(log, int):
            log.close()

    async def ready(self) -> None:
        """Return when it works."""
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(START):
            line = await self._process.stdout.readline()
        if line.decode().strip() != READY:
            raise RuntimeError(f"a process ({self.role}) ended before it was ready")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def kill(self) -> None:
        """SIGKILL, and return when it is gone."""
        if self.lives:
            self.send(signal.SIGKILL)
        await self.ended()

    async def terminate(self) -> float:
        """SIGTERM; how many seconds it took to end. Raises TimeoutError."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.send(signal.SIGTERM)
        async with asyncio.timeout(LEAVE):
            await self.ended()
        return loop.time() - began

    async def ended(self) -> int:
        """Its code, when it has ended."""
        if self._process is None:
            return 0
        code = await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        return code


@asynccontextmanager
async def running(*processes: Process) -> AsyncIterator[None]:
    """The processes, started together, until the context ends."""
    try:
        await asyncio.gather(*(process.start() for process in processes))
        await asyncio.gather(*(process.ready() for process in processes))
        yield
    finally:
        await asyncio.gather(*(process.kill() for process in processes))
