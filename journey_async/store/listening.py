"""A direct connection that hears notifications; through a pooler there is none."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import asyncpg

from journey_async.store.channels import Channels
from journey_async.store.connecting import (
    ANSWER_LIMIT,
    Connect,
    Server,
    ServerTime,
    keep_alive,
    read_clock,
)
from journey_async.store.faults import translated


class NotificationConnection:
    """LISTENs for as long as it is referenced; `closed` is called when it ends.

    `server` is what the first look told.
    """

    def __init__(self, connection: asyncpg.Connection, server: Server) -> None:
        self.server = server
        self._connection = connection
        self._turn = asyncio.Lock()

    @classmethod
    async def open(
        cls,
        connect: Connect,
        channels: Channels,
        heard: Callable[[str, str], None],
        closed: Callable[[], None],
    ) -> "NotificationConnection | None":
        """Connect and listen on all channels; `heard` gets the channel and the payload.

        None if the connection leads through a pooler: that would take the LISTEN and deliver
        nothing. Raises DatabaseUnavailable.
        """

        def notified(_connection: Any, _pid: int, channel: str, payload: object) -> None:
            heard(channel, str(payload))

        with translated():
            connection = await connect()
            try:
                async with asyncio.timeout(ANSWER_LIMIT):
                    server = await read_clock(connection)
                    if server.behind_pooler:
                        connection.terminate()
                        return None
                    connection.add_termination_listener(lambda _connection: closed())
                    await keep_alive(connection)
                    for channel in astuple(channels):
                        await connection.add_listener(channel, notified)
            except BaseException:
                connection.terminate()
                raise
        return cls(connection, server)

    async def notify(self, channel: str, payload: str) -> ServerTime:
        """Send a notification on this very connection, which does one thing at a time.

        Gives the database's time.
        """
        return await self._ask(
            "SELECT pg_notify($1, $2), clock_timestamp() AS now", channel, payload
        )

    async def read_time(self) -> ServerTime:
        """Ask for the database's time, which wakes nobody."""
        return await self._ask("SELECT clock_timestamp() AS now")

    async def _ask(self, text: str, *arguments: str) -> ServerTime:
        async with self._turn:
            with translated():
                asked_at = time.monotonic()
                [row] = await self._connection.fetch(text, *arguments)
                return ServerTime(row["now"], asked_at, time.monotonic())

    def close(self) -> None:
        """Stop listening."""
        self._connection.terminate()
