"""One server for all processes on a path: the first user starts it, it ends with the last.

Below the path:

    data/              the PostgreSQL data directory, and in it the server's socket
    users.lock         held shared by every user of the server
    start.lock         held while a user looks for the server and, if need be, starts it
    supervisor.lock    held by the supervisor, which owns the server
    server.log         what the server said
"""

import asyncio
import hashlib
import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from journey_async.embedded import binaries, server
from journey_async.embedded.locks import FileLock
from journey_async.errors import EmbeddedPostgresError

START_TIMEOUT = 120.0  # seconds; recovery after a crash is part of it

_POLL = 0.02  # seconds
_LONGEST_ADDRESS = 103  # bytes of a socket's address that every system accepts


class EmbeddedPostgres:
    """A running server that stays at least until `release`, or the end of this process."""

    def __init__(self, path: Path, dsn: str, lock: FileLock) -> None:
        self.path = path
        self.dsn = dsn
        self._lock = lock

    async def release(self) -> None:
        """Stop using the server; it ends soon when nobody else does. May be called again."""
        self._lock.release()


def default_path() -> Path:
    """Where `embedded:` keeps its data: below `$XDG_DATA_HOME`, or `~/.local/share`."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "journey_async" / "postgres"


async def acquire(path: Path | None = None) -> EmbeddedPostgres:
    """Use the server on `path` (default: `default_path()`), started if nobody does yet.

    The directory and its database are created when they are not there. Raises
    `EmbeddedPostgresError`. Cancelled, it leaves nothing behind that it began.
    """
    cancelled = threading.Event()
    attempt = asyncio.ensure_future(asyncio.to_thread(attach, path, cancelled=cancelled))
    try:
        return await asyncio.shield(attempt)
    except asyncio.CancelledError:
        cancelled.set()
        await asyncio.wait([attempt])
        if attempt.exception() is None:
            await attempt.result().release()
        raise


def attach(
    path: Path | None,
    *,
    bindir: Path | None = None,
    settings: Mapping[str, str] | None = None,
    throwaway: bool = False,
    timeout: float = START_TIMEOUT,
    cancelled: threading.Event | None = None,
) -> EmbeddedPostgres:
    """What `acquire` does, blocking. `timeout` is in seconds.

    `settings` are configuration parameters, used if the server is started here. A `throwaway`
    server is stopped without care, and the whole path removed, after its last user.
    """
    cancelled = cancelled or threading.Event()
    try:
        path = (path or default_path()).expanduser().absolute()
        return _Attempt(path, timeout, cancelled).run(bindir, settings or {}, throwaway)
    except (OSError, RuntimeError, ValueError, server.ServerError) as error:  # no home; a NUL
        message = f"cannot run PostgreSQL in {path or 'a home directory'}: {error}"
        raise EmbeddedPostgresError(message) from error


class _Attempt:
    """One try at becoming a user of the server on `path`, within a time."""

    def __init__(self, path: Path, timeout: float, cancelled: threading.Event) -> None:
        self.path = path
        self._data = path / server.DATA
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._cancelled = cancelled

    def run(
        self, bindir: Path | None, settings: Mapping[str, str], throwaway: bool
    ) -> EmbeddedPostgres:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        account = server.account_for(self._data)
        host = _socket_directory(self._data)
        starting = self._lock("start.lock")
        try:
            using = self._lock(server.USERS_LOCK, shared=True)
            try:
                while not self._is_served(host):
                    plan = {
                        "path": str(self.path),
                        "bindir": str(self._binaries(bindir, account)),
                        "account": [account.uid, account.gid] if account else None,
                        "settings": dict(settings),
                        "throwaway": throwaway,
                    }
                    self._launch(json.dumps(plan))
            except BaseException:
                using.release()
                raise
        finally:
            starting.release()
        return EmbeddedPostgres(self.path, _dsn(host), using)

    def _lock(self, name: str, *, shared: bool = False) -> FileLock:
        while (lock := FileLock.try_acquire(self.path / name, shared=shared)) is None:
            self._pause()
        return lock

    def _is_served(self, host: Path) -> bool:
        """Whether the server is there; False when nobody owns it, so that it must be started."""
        while (unowned := FileLock.try_acquire(self.path / server.SUPERVISOR_LOCK)) is None:
            if server.answers(self._data, host):
                return True
            self._pause()
        unowned.release()
        return False

    def _binaries(self, bindir: Path | None, account: server.Account | None) -> Path:
        found = bindir or binaries.find_bindir(major=server.data_major(self._data))
        return binaries.runnable_by(account, found)

    def _launch(self, plan: str) -> None:
        """Start the supervisor and wait until it says that the server is ready."""
        # -S: it needs the standard library only, and nothing that site-packages might run at start.
        command = [sys.executable, "-S", str(Path(__file__).parent), plan]
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as launcher:
            try:
                while launcher.poll() is None:
                    self._pause()
            except BaseException:
                launcher.kill()  # what it started ends by itself, as nobody uses it
                raise
            said, complaint = launcher.communicate()
            if not said:
                raise server.ServerError(complaint.strip() or "its supervisor was killed")

    def _pause(self) -> None:
        if self._cancelled.wait(_POLL):
            raise server.ServerError("the caller no longer waits for it")
        if time.monotonic() > self._deadline:
            raise server.ServerError(
                f"it was not ready within {self._timeout:g} seconds; see {self.path / server.LOG}"
            )


def _dsn(host: Path) -> str:
    """Complete: PGSSLMODE and the like, meant for another server, change nothing."""
    folder = quote(str(host), safe="")
    return (
        f"postgresql:///postgres?host={folder}&port={server.PORT}&user=postgres"
        "&sslmode=disable&target_session_attrs=any"
    )


def _socket_directory(data: Path) -> Path:
    """`data`, or a link to it when its name is too long for a socket, has a comma, or is no text.

    (A comma separates hosts in the address of a server, which is a text.)

    Every user of the server makes the link for itself, in a directory that only it can write to.
    """
    if _is_fit(data):
        return data
    folder = Path(tempfile.gettempdir()) / f"journey_async-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise server.ServerError(f"{folder} is not a directory that only this user can write to")
    link = folder / hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    if not _is_fit(link):
        raise server.ServerError(f"{folder} is too long for a socket: set TMPDIR to a shorter name")
    if not link.is_symlink():
        fresh = link.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        fresh.symlink_to(data)
        fresh.replace(link)
    return link


def _is_fit(folder: Path) -> bool:
    try:
        address = str(folder / server.SOCKET_NAME).encode()
    except UnicodeEncodeError:
        return False
    return len(address) <= _LONGEST_ADDRESS and b"," not in address
