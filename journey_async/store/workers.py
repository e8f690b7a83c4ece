"""The connection by which a worker shows that it lives, and sees who does not."""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

import asyncpg

from journey_async.store.channels import Channels
from journey_async.store.connecting import Connect, keep_alive, read_clock
from journey_async.store.faults import translated
from journey_async.store.sql import in_schema, statement

LIFE_SIGN_LIMIT = 5.0  # seconds for an answer to a sign of life; well within a lease

_LOCK = "SELECT pg_try_advisory_lock($1)"
_FREE = "SELECT key FROM unnest($1::bigint[]) AS k (key) WHERE pg_try_advisory_xact_lock(key)"


# A lock's key, and the end of a lease: another one with each connection, and with each renewal.
LifeSign: TypeAlias = tuple[int, datetime]


class OtherWorker:
    """Another worker's row."""

    __slots__ = ("id", "is_peer", "lease_until", "lock_key", "locked")

    def __init__(self, row: Any) -> None:
        self.id: str = row["id"]
        self.lock_key: int = row["lock_key"]
        self.locked: bool = row["locked"]
        self.lease_until: datetime = row["lease_until"]
        self.is_peer = bool(row["is_peer"])  # it has the very code of this one

    @property
    def life_sign(self) -> LifeSign:
        """What it showed last."""
        return self.lock_key, self.lease_until


class Renewal(NamedTuple):
    """What renewing a lease tells: the database's time, whether the worker has not been forgotten,
    and who they are.
    """

    now: datetime
    is_known: bool
    others: list[OtherWorker]


class WorkerConnection:
    """Holds a session lock while the process lives: the server frees it when the process dies.

    Behind a pooler a session is nobody's own; then there is no lock, and the lease alone counts.
    Each connection has a key of its own: a former one may hold its lock long after the network
    has lost it.
    """

    def __init__(self, connection: asyncpg.Connection, schema: str) -> None:
        self._connection = connection
        self._schema = schema
        self._key = random.getrandbits(62)
        self.has_lock = False

    @classmethod
    async def open(
        cls,
        connect: Connect,
        schema: str,
        lost: Callable[[], None],
    ) -> "WorkerConnection":
        """Connect, and take the lock, where there can be one; `lost` is called when it has ended.

        It hears no notification, not even of who joins: a server wakes each connection that listens
        to anything for all that is notified in its database.
        """
        connection = await connect()
        made = cls(connection, schema)
        try:
            connection.add_termination_listener(lambda _connection: lost())
            with translated():
                async with asyncio.timeout(LIFE_SIGN_LIMIT):
                    server = await read_clock(connection)
                    if not server.behind_pooler:  # else others would be left with the lock
                        await keep_alive(connection)
                        made.has_lock = bool((await made._ask(_LOCK, made._key))[0][0])
        except BaseException:
            connection.terminate()
            raise
        return made

    async def register(
        self,
        worker: str,
        *,
        host: str,
        pid: int,
        now: datetime,
        lease_until: datetime,
        graphs: str,
    ) -> None:
        """Make a new worker known.

        `graphs` (JSON text) is the code that it has: name -> version -> hash.
        """
        row = (worker, self._key, self.has_lock, host, pid, now, lease_until, graphs)
        await self._fetch("register_worker", *row)
        channel = Channels.of(self._schema).joined
        await self._ask("SELECT pg_notify($1, '')", channel)

    async def renew(self, worker: str, lease_until: datetime, graphs: str) -> Renewal:
        """Move the end of the lease, held by this connection."""
        given = (worker, lease_until, self.has_lock, graphs, self._key)
        found = await self._fetch("renew_lease", *given)
        [own] = [row for row in found if row["now"] is not None]
        others = [OtherWorker(row) for row in found if row is not own]
        return Renewal(own["now"], own["id"] is not None, others)

    async def others(self, worker: str) -> list[OtherWorker] | None:
        """The other workers; None if they have forgotten this one."""
        found = await self._fetch("all_workers", worker)
        others = [OtherWorker(row) for row in found if row["id"] != worker]
        return others if len(others) < len(found) else None

    async def free_locks(self, keys: list[int]) -> set[int]:
        """Those of the locks that nobody holds."""
        return {row["key"] for row in await self._ask(_FREE, keys)}

    async def forget(self, worker: str, life_sign: LifeSign | None = None) -> None:
        """Remove a worker's row; not if it has shown another life sign than this since."""
        lock_key, lease_until = life_sign or (None, None)
        await self._fetch("forget_worker", worker, lock_key, lease_until)

    def close(self) -> None:
        """End the session, and with it the lock."""
        self._connection.terminate()

    async def _fetch(self, name: str, *arguments: Any) -> list[Any]:
        return await self._ask(in_schema(statement(name), self._schema), *arguments)

    async def _ask(self, text: str, *arguments: Any) -> list[Any]:
        with translated():
            return await self._connection.fetch(text, *arguments, timeout=LIFE_SIGN_LIMIT)
