"""A PostgreSQL of the suite's own, with fsync on, that is restarted while others use it."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.parse import quote

import asyncpg

from journey_async.embedded import find_bindir
from journey_async.embedded.server import PORT, SOCKET_NAME, Server, account_for

PREFIX = "journey-chaos-"
SETTINGS = {
    "max_connections": "300",
    "shared_buffers": "64MB",
    "log_min_messages": "fatal",
    # A connection that stands still before it has said who it is holds up the end of the server.
    "authentication_timeout": "5s",
}


class ChaosServer:
    """A server behind a Unix socket; what it has acknowledged is on the disk."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        data = folder / "data"
        self._server = Server(
            bindir=find_bindir(),
            data=data,
            log=folder / "server.log",
            account=account_for(data),
            settings={**SETTINGS, **settings},
        )
        self.socket = data / SOCKET_NAME
        self.dsn = (
            f"postgresql:///postgres?host={quote(str(data), safe='')}&port={PORT}&user=postgres"
        )
        self._process: Popen[bytes] | None = None
        # The server ends with the thread that started it: this one, which stays.
        self._thread = ThreadPoolExecutor(1, "postgres")

    def create(self) -> None:
        """Make the data directory, and start."""
        self._server.create()
        self._thread.submit(self._start).result()

    async def database(self, name: str) -> str:
        """A new database of that name; its DSN."""
        connection: Any = await asyncpg.connect(self.dsn)
        await connection.execute(f'CREATE DATABASE "{name}"')
        await connection.close()
        return self.dsn.replace("///postgres?", f"///{name}?")

    async def start(self) -> None:
        """Recover if there is anything to recover; returns when it accepts connections."""
        await asyncio.wrap_future(self._thread.submit(self._start))

    async def stop(self, *, immediately: bool) -> None:
        """Cut all connections and end: after a checkpoint, or as in a crash."""
        await asyncio.wrap_future(self._thread.submit(self._stop, immediately))

    def close(self) -> None:
        """End for good."""
        self._thread.submit(self._stop, True).result()
        self._thread.shutdown()

    def _start(self) -> None:
        self._process = self._server.start()

    def _stop(self, immediately: bool) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if immediately else signal.SIGINT)
            self._process.wait()
            self._process = None


@contextmanager
def chaos_server(**settings: str) -> Iterator[ChaosServer]:
    """The server, with more settings, in a folder of its own; both are gone afterwards.

    A server dies with the thread that started it, and so with this process; its folder, should
    the process be killed, is removed by the next run.
    """
    base = Path(tempfile.gettempdir())
    for left in base.glob(f"{PREFIX}*"):
        if not _lives(left.name.removeprefix(PREFIX).partition("-")[0]):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=base))
    try:
        server = ChaosServer(folder, settings)
        try:
            server.create()
            yield server
        finally:
            server.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (ValueError, PermissionError):
        pass
    return True
