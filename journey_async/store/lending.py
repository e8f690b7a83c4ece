"""Lends the connections of a pool."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from journey_async.store.connecting import Pool, PoolConnection

RELEASE_LIMIT = 5.0  # seconds for a cancelled statement to end, else its connection does


class Lending:
    """Lends connections, and keeps `keep` of them at hand.

    Through the pool and back takes some 40 µs, a twentieth of a write on a warm cache.
    """

    def __init__(self, pool: Pool, *, keep: int = 0) -> None:
        self._pool = pool
        self._keep = keep
        self._kept: list[PoolConnection] = []
        self._trust = 0  # grows when no connection so far is to be trusted
        self._is_cut = False

    @asynccontextmanager
    async def one(self) -> AsyncIterator[PoolConnection]:
        """A connection; what cannot be used again goes back to the pool, which replaces it."""
        connection = await self._take()
        trust, is_fine = self._trust, False
        try:
            yield connection
            is_fine = trust == self._trust and not connection.is_closed()
        finally:
            if is_fine and len(self._kept) < self._keep:
                self._kept.append(connection)
            else:
                await self._give_back(connection)

    @property
    def lent(self) -> int:
        """How many are out now."""
        return self._pool.get_size() - self._pool.get_idle_size() - len(self._kept)

    @property
    def size(self) -> int:
        """How many there are."""
        return self._pool.get_size()

    async def distrust(self) -> None:
        """Replace all connections, those that are out when they come back."""
        self._trust += 1
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

    async def _take(self) -> PoolConnection:
        while self._kept:
            connection = self._kept.pop()
            if not connection.is_closed():
                return connection
            await self._give_back(connection)
        return await self._pool.acquire()

    async def _give_back_kept(self) -> None:
        while self._kept:
            await self._give_back(self._kept.pop())

    async def _give_back(self, connection: PoolConnection) -> None:
        if not self._is_cut:  # else a cancelled statement would be waited for in vain
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._pool.release(connection, timeout=RELEASE_LIMIT)
