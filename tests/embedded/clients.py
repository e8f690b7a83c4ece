"""Other processes that use an embedded server, and how to look at what they leave behind."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg

import journey_async.embedded
from journey_async.embedded.locks import FileLock
from journey_async.embedded.server import Account

PROGRAM = """
import asyncio, signal, sys
from pathlib import Path
from journey_async.embedded import acquire
from journey_async.embedded.lifecycle import attach

async def main():
    path, kind = Path(sys.argv[1]), sys.argv[2]
    server = attach(path, throwaway=True) if kind == "throwaway" else await acquire(path)
    print(server.dsn, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.release()

exec(sys.argv[3])
asyncio.run(main())
"""


class Client:
    """A process that uses the server on a path until it is told to end, or killed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    @property
    def dsn(self) -> str:
        """Waits until the client has its server."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def client(
    path: Path,
    *,
    account: Account | None = None,
    python: str = sys.executable,
    source: Path | None = None,
    bindir: Path | None = None,
    throwaway: bool = False,
    before: str = "",
) -> Iterator[Client]:
    """A client, as another user if `account` says so, with the package found in `source`.

    It runs the statements `before` to begin with.
    """
    environment = {**os.environ, "PYTHONPATH": str(source or package_root())}
    if bindir:
        environment["JOURNEY_PG_BINDIR"] = str(bindir)
    with subprocess.Popen(
        [python, "-c", PROGRAM, str(path), "throwaway" if throwaway else "kept", before],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env=environment,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    ) as process:
        try:
            yield Client(process)
        finally:
            process.kill()


def package_root() -> Path:
    return Path(journey_async.embedded.__file__).parents[2]


def copy_package(target: Path) -> None:
    """The embedded part alone, which needs nothing but the standard library, for all to read."""
    original, copy = package_root() / "journey_async", target / "journey_async"
    shutil.copytree(original / "embedded", copy / "embedded")
    shutil.copy(original / "errors.py", copy / "errors.py")
    (copy / "__init__.py").touch()
    for folder, _, files in os.walk(target):
        os.chmod(folder, 0o755)
        for name in files:
            os.chmod(Path(folder, name), 0o644)


def server_pid(path: Path) -> int:
    """The number of the server's process; 0 when there is none."""
    try:
        text = (path / "data" / "postmaster.pid").read_text()
    except FileNotFoundError:
        return 0
    return int(text.partition("\n")[0] or 0)


def parent_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/stat")
    if status.exists():
        return int(status.read_text().rpartition(")")[2].split()[1])
    answer = subprocess.run(
        ["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, text=True, check=True
    )
    return int(answer.stdout)


def is_alive(pid: int) -> bool:
    """Whether a process runs; what has ended and was not waited for does not."""
    answer = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip()[:1] not in ("", "Z")


def holders_of(lock: Path) -> list[int]:
    """The processes that have a file open."""
    found = []
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if descriptor.samefile(lock):
                found.append(int(descriptor.parts[2]))
    return found


def is_stopped(path: Path) -> bool:
    """Whether neither a server nor its supervisor is left on the path."""
    if (path / "data" / "postmaster.pid").exists():
        return False
    return is_free(path / "supervisor.lock") and is_free(path / "users.lock")


def is_free(file: Path) -> bool:
    """Whether nobody holds the lock on this file."""
    lock = FileLock.try_acquire(file)
    if lock is None:
        return False
    lock.release()
    return True


async def query(dsn: str, statement: str) -> object:
    """The first value that the statement gives."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def answers(dsn: str) -> bool:
    try:
        await query(dsn, "SELECT 1")
    except (OSError, asyncpg.PostgresError):
        return False
    return True
