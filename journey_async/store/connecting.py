"""Opens connections and pools, directly or by way of a transaction pooler."""

import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

import asyncpg
import asyncpg.pool

from journey_async.store.faults import connecting, reading_dsn, translated
from journey_async.store.sql import statement

APPLICATION = {"application_name": "journey_async"}
CONNECT_LIMIT = 10.0  # seconds for the server to let a connection in
ANSWER_LIMIT = 15.0  # seconds for an answer, unless a call says otherwise
CLOSE_LIMIT = 5.0  # seconds for a connection to end politely

# Bytes that asyncio makes room for before it reads from a socket. Its own 256 KiB are more than the
# C library keeps at hand: each answer then costs three system calls and a fresh page of memory.
READ_SIZE = 64 * 1024

# For the server, lest it keep for long what a client that is gone had locked or waits to lock: a
# machine that vanished is noticed after 25 seconds, and nobody waits for a lock any longer than
# the client waits for the answer.
KEEP_ALIVE = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
_KEEP_ALIVE = ", ".join(f"set_config('{name}', '{n}', false)" for name, n in KEEP_ALIVE.items())

Pool: TypeAlias = asyncpg.Pool
PoolConnection: TypeAlias = asyncpg.pool.PoolConnectionProxy
Connection: TypeAlias = asyncpg.Connection | PoolConnection
DirectConnection: TypeAlias = asyncpg.Connection
Connect = Callable[[], Awaitable[DirectConnection]]


class ServerTime(NamedTuple):
    """The database's time, as it was at some moment between two of this process.

    Those are of `time.monotonic()`.
    """

    now: datetime
    asked_at: float
    answered_at: float


@dataclass(frozen=True, slots=True)
class Server:
    """What a look at the database tells."""

    time: ServerTime
    behind_pooler: bool


async def connect(dsn: str) -> asyncpg.Connection:
    """A connection without prepared statements, so that it works through any pooler."""
    with reading_dsn():
        return await asyncpg.connect(
            dsn,
            statement_cache_size=0,
            server_settings=APPLICATION,
            connection_class=_OwnConnection,
            timeout=CONNECT_LIMIT,
        )


async def read_clock(connection: Connection) -> Server:
    """Ask for the time, and find out whether a pooler stands in between."""
    with translated():
        asked_at = time.monotonic()
        [row] = await connection.fetch(statement("read_clock"))
        told = ServerTime(row["now"], asked_at, time.monotonic())
    return Server(told, row["backend"] != connection.get_server_pid())


async def keep_alive(connection: asyncpg.Connection) -> None:
    """Have the server notice soon when this side of a direct connection has vanished."""
    with translated():
        await connection.fetch(f"SELECT {_KEEP_ALIVE}")


def beside(pool: Pool) -> Connect | None:
    """Connects as a caller's pool does, without taking a connection from it; None if unknown."""
    arguments = getattr(pool, "_connect_args", None)
    options = getattr(pool, "_connect_kwargs", None)
    if arguments is None or options is None:
        return None
    options = {**options, "statement_cache_size": 0}  # whatever the pool does through a pooler

    async def connect_beside() -> asyncpg.Connection:
        with connecting():
            return await asyncpg.connect(*arguments, **options)

    return connect_beside


async def open_pool(dsn: str, *, size: int, behind_pooler: bool) -> asyncpg.Pool:
    """A pool that leaves no session state behind, and so has nothing to reset."""
    settings = KEEP_ALIVE | {
        "jit": "off",
        "max_parallel_workers_per_gather": "0",  # to start them takes as long as most searches
        "lock_timeout": f"{ANSWER_LIMIT - 1:.0f}s",  # told before the connection is given up
    }
    ours = {name: value for name, value in settings.items() if f"{name}=" not in dsn}
    options: dict[str, Any] = {"server_settings": APPLICATION | ours}
    if behind_pooler:  # which knows few settings, and shares prepared statements among clients
        options = {"server_settings": APPLICATION, "statement_cache_size": 0}
    with reading_dsn():
        return await asyncpg.create_pool(
            dsn,
            min_size=0,  # else the driver complains again and again while the server is away
            max_size=size,
            max_inactive_connection_lifetime=300.0,
            reset=_nothing_to_reset,
            connection_class=_class_for_a_pool(),
            timeout=CONNECT_LIMIT,
            command_timeout=ANSWER_LIMIT,
            **options,
        )


class _OwnConnection(asyncpg.Connection):
    """A connection that a pool can replace even when the other side has gone silent."""

    def __init__(self, protocol: Any, transport: Any, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        if hasattr(transport, "max_size"):
            transport.max_size = READ_SIZE

    async def close(self, *, timeout: float | None = None) -> None:
        """End it, by force if the other side does not answer: the pool has some closed in tasks of
        which nobody hears.
        """
        with suppress(TimeoutError):
            await super().close(timeout=CLOSE_LIMIT if timeout is None else timeout)


def _class_for_a_pool() -> type[asyncpg.Connection]:
    """Connections that ask but once, all together, what the types of parameters are made of.

    The driver has each connection ask on its own, which takes 12 of the 17 ms until a new one has
    prepared its first write.
    """
    answers: dict[frozenset[int], Any] = {}

    class PooledConnection(_OwnConnection):
        async def _introspect_types(self, typeoids: Iterable[int], *rest: Any) -> Any:
            asked = frozenset(typeoids)
            if asked not in answers:
                answers[asked] = await super()._introspect_types(asked, *rest)  # type: ignore[misc]
            return answers[asked]

        async def reload_schema_state(self) -> None:
            answers.clear()
            await super().reload_schema_state()

    return PooledConnection


async def _nothing_to_reset(_connection: Any) -> None:
    """The statements of this package leave nothing in a session."""
