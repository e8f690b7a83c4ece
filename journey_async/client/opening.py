"""From what Journey was given to a store and the connections beside it."""

import asyncio
import functools
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from journey_async.engine.clock import Clock, take_over
from journey_async.engine.flights import FLIGHTS
from journey_async.errors import InvalidOptionError
from journey_async.store import connecting
from journey_async.store.channels import Channels
from journey_async.store.connecting import Connect, DirectConnection, Pool
from journey_async.store.lending import Lending
from journey_async.store.migrations import ensure_current, migrate
from journey_async.store.store import Store

EMBEDDED = "embedded:"
CLOSING = 5.0  # seconds for connections to close politely
VARIABLE = "JOURNEY_DATABASE_URL"


@dataclass(frozen=True, slots=True)
class Opened:
    """The store, and how to connect directly, past any pooler."""

    store: Store
    connect: Connect


async def open_store(
    stack: AsyncExitStack,
    *,
    dsn: str | None,
    pool: Pool | None,
    listen_dsn: str | None,
    schema: str,
    pool_size: int,
    bring_up_to_date: bool,
    clock: Clock,
) -> Opened:
    """Connect, bring the schema up to date, set the clock; what was opened closes with `stack`.

    Raises DatabaseUnavailable, MigrationError, EmbeddedPostgresError, InvalidOptionError.
    """
    if pool is None:
        dsn = await resolved(stack, dsn)
    connect = _direct(dsn, pool, listen_dsn)
    first = await (connecting.connect(dsn) if dsn else connect())
    try:
        server = await connecting.read_clock(first)
        take_over(clock, server.time)
        if bring_up_to_date:
            await migrate(first, schema)
        else:
            await ensure_current(first, schema)
    except BaseException:
        first.terminate()
        raise
    stack.callback(first.terminate)
    if listen_dsn is None:
        connect = _beginning_with(first, connect)
    else:
        first.terminate()
    if pool is not None:
        return Opened(Store(Lending(pool), schema, Channels.of(schema)), connect)
    assert dsn is not None
    pool = await connecting.open_pool(dsn, size=pool_size, behind_pooler=server.behind_pooler)
    stack.push_async_callback(_close, pool)
    lending = Lending(pool, keep=min(FLIGHTS, pool_size - 1))
    stack.push_async_callback(lending.close)
    return Opened(Store(lending, schema, Channels.of(schema)), connect)


async def resolved(stack: AsyncExitStack, dsn: str | None) -> str:
    """The DSN given, or of the environment; an embedded server is started for it."""
    dsn = dsn or os.environ.get(VARIABLE)
    if not dsn:
        raise InvalidOptionError(
            f"Journey needs a database: pass its DSN or a pool, set {VARIABLE}, "
            f'or pass "{EMBEDDED}" for a private one'
        )
    if not dsn.startswith(EMBEDDED):
        return dsn
    from journey_async import embedded  # only for those who want it

    path = dsn.removeprefix(EMBEDDED)
    if path.startswith("//"):
        here, there = path.lstrip("/"), path[1:].replace("//", "/")
        raise InvalidOptionError(
            f"{dsn!r} could mean two folders: write {EMBEDDED + here!r} for one below this one, "
            f"{EMBEDDED + there!r} for one at the root"
        )
    server = await embedded.acquire(Path(path) if path else None)
    stack.push_async_callback(server.release)
    return str(server.dsn)


def _direct(dsn: str | None, pool: Pool | None, listen_dsn: str | None) -> Connect:
    direct = listen_dsn or dsn
    if direct is not None:
        return functools.partial(connecting.connect, direct)
    assert pool is not None
    beside = connecting.beside(pool)
    if beside is None:
        raise InvalidOptionError("with a pool of this kind, give a listen_dsn as well")
    return beside


def _beginning_with(first: DirectConnection, connect: Connect) -> Connect:
    """Connects, but has one connection to begin with; for the event loop to which it belongs."""
    home = asyncio.get_running_loop()
    left = [first]

    async def next_one() -> DirectConnection:
        if left and asyncio.get_running_loop() is home and not left[0].is_closed():
            return left.pop()
        return await connect()

    return next_one


async def _close(pool: Pool) -> None:
    try:
        async with asyncio.timeout(CLOSING):
            await pool.close()
    except TimeoutError:
        pool.terminate()
