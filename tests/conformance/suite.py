"""Many scenarios at once: they spend their time waiting, so they wait together.

Scenarios race against time (a set while a function sleeps), and so does a busy machine. What
differs is replayed once more, one at a time and at the recorded speed, and only that counts: the
recordings, too, leave out what differed between three of them.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg

from journey_async.testing.databases import Databases, drop_statement, execute, with_database
from tests.conformance import departures
from tests.conformance.clock import SPEED
from tests.conformance.replay import Database, Files, Report, replay

log = logging.getLogger(__name__)

AT_ONCE = 16
POOL_SIZE = 8
TIMEOUT = 90.0  # real seconds for one scenario


def names(folder: Path, wanted: Iterable[str] = ()) -> list[str]:
    """The scenarios of a folder, or those whose names begin with (or contain) a wanted one."""
    (folder / "recorded").stat()
    found = sorted(file.stem for file in (folder / "scenarios").iterdir() if file.suffix == ".json")
    asked = [name.removesuffix(".json") for name in wanted]
    return [n for n in found if not asked or any(a == n or a in n for a in asked)]


class Replays:
    """Scenarios under way, and their reports."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._departures = departures.load()
        self._again = asyncio.Lock()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._tasks: dict[tuple[Path, str], asyncio.Task[Report]] = {}

    def begin(self, folder: Path, name: str) -> None:
        """Replay a scenario as soon as there is a place."""
        if (folder, name) not in self._tasks:
            self._tasks[folder, name] = asyncio.create_task(self._replay(folder, name))

    async def report(self, folder: Path, name: str) -> Report:
        """How a scenario compares."""
        self.begin(folder, name)
        return await self._tasks[folder, name]

    async def cancel(self) -> None:
        """Stop what nobody waits for."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _replay(self, folder: Path, name: str) -> Report:
        async with self._places:
            report = await self._tried(folder, name, SPEED)
        if report.passed or report.skipped is not None:
            return report
        async with self._again:
            return await self._tried(folder, name, 1.0)

    async def _tried(self, folder: Path, name: str, speed: float) -> Report:
        try:
            files = Files.read(folder, name)
            departures = self._departures.of(name)
            async with asyncio.timeout(TIMEOUT):
                return await replay(files, self.database, departures, speed=speed)
        except Exception as error:
            log.exception("scenario %s", name)
            return Report(name, [f"the replay broke: {type(error).__name__}: {error}"])


@asynccontextmanager
async def opened(databases: Databases) -> AsyncIterator[Replays]:
    """A database for the scenarios, gone afterwards."""
    async with (
        _database(databases) as dsn,
        asyncpg.create_pool(dsn, min_size=2, max_size=POOL_SIZE) as pool,
    ):
        replays = Replays(Database(dsn, pool))
        try:
            yield replays
        finally:
            await replays.cancel()


@asynccontextmanager
async def _database(databases: Databases) -> AsyncIterator[str]:
    """A database that knows upper and lower case beyond ASCII, as the recordings' did."""
    name = f"{databases.prefix}_{uuid4().hex[:12]}"
    create = f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8'"
    try:
        await execute(databases.dsn, f"{create} LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'")
    except asyncpg.PostgresError:  # this server's system has no such locale
        await execute(databases.dsn, create)
    try:
        yield with_database(databases.dsn, name)
    finally:
        await execute(databases.dsn, drop_statement(name))
