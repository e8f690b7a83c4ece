"""Lends the connections of a pool."""

from contextlib import suppress

import asyncpg

from journey_async.store.connecting import Pool, PoolConnection
from journey_async.store.faults import connecting

# What the driver raises for a connection that its pool has let go of, as one that the server ended.
_LET_GO = (asyncpg.InterfaceError, asyncpg.InternalClientError)
RELEASE_LIMIT = 5.0  # seconds for a cancelled statement to end, else its connection does


class Lending:
    """Lends connections, and keeps `keep` of them at hand.

    Through the pool and back takes some 40 µs, a twentieth of a write on a warm cache.
    """

    def __init__(self, pool: Pool, *, keep: int = 0) -> None:
        self._pool = pool
        self._keep = keep
        self._kept: list[PoolConnection] = []
        self._waiting = 0  # for one from the pool: what comes back is for them first
        self._generation = 0
        self._is_cut = False

    def one(self) -> "Loan":
        """A connection, for an `async with` block."""
        return Loan(self)

    @property
    def lent(self) -> int:
        """How many are out now."""
        at_hand = sum(map(_is_open, self._kept))
        return self._pool.get_size() - self._pool.get_idle_size() - at_hand

    @property
    def size(self) -> int:
        """How many there are."""
        return self._pool.get_size()

    async def distrust(self) -> None:
        """Replace all connections, those that are out when they come back.

        None of them is lent any more from the call on.
        """
        self._generation += 1
        await self._pool.expire_connections()
        await self._give_back_kept()

    async def close(self) -> None:
        """Keep none any longer."""
        self._keep = 0
        await self._give_back_kept()

    def cut(self) -> None:
        """Cut all connections."""
        self._is_cut = True
        self._pool.terminate()

    @property
    def generation(self) -> int:
        """Grows when all connections are distrusted; those of an earlier one are not kept."""
        return self._generation

    async def take(self) -> PoolConnection:
        """A connection that nobody else has."""
        while self._kept:
            connection = self._kept.pop()
            if _is_open(connection):
                return connection
            await self._give_back(connection)
        self._waiting += 1
        try:
            with connecting():
                return await self._pool.acquire()
        finally:
            self._waiting -= 1

    async def take_back(self, connection: PoolConnection, *, is_fine: bool) -> None:
        """Keep it at hand, unless somebody waits for one.

        What cannot be used again goes back to the pool, which replaces it.
        """
        is_spare = len(self._kept) < self._keep and not self._waiting
        if is_fine and is_spare and _is_open(connection):
            self._kept.append(connection)
        else:
            await self._give_back(connection)

    async def _give_back_kept(self) -> None:
        kept, self._kept = self._kept, []
        try:
            while kept:
                await self._give_back(kept.pop())
        finally:
            self._kept += kept  # whoever was cancelled leaves the rest to others

    async def _give_back(self, connection: PoolConnection) -> None:
        if not self._is_cut:  # else a cancelled statement would be waited for in vain
            with suppress(OSError, asyncpg.PostgresError, *_LET_GO):
                await self._pool.release(connection, timeout=RELEASE_LIMIT)


def _is_open(connection: PoolConnection) -> bool:
    try:
        return not connection.is_closed()
    except _LET_GO:
        return False


class Loan:
    """A connection that is lent for the time of an `async with` block."""

    __slots__ = ("_connection", "_generation", "_lending")

    def __init__(self, lending: Lending) -> None:
        self._lending = lending

    async def __aenter__(self) -> PoolConnection:
        self._connection = await self._lending.take()
        self._generation = self._lending.generation
        return self._connection

    async def __aexit__(self, kind: object, _error: object, _where: object) -> None:
        is_fine = kind is None and self._generation == self._lending.generation
        await self._lending.take_back(self._connection, is_fine=is_fine)
