"""Hears what other processes write, and comes back when its connection is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from journey_async.engine.tasks import Tasks, log
from journey_async.errors import DatabaseUnavailable
from journey_async.store.channels import Channels
from journey_async.store.connecting import Connect
from journey_async.store.listening import NotificationConnection

PROBE_INTERVAL = 20.0  # seconds between proofs that the connection still hears
PROBE_PATIENCE = 5.0  # seconds that a probe may take to come back
MAX_PAUSE = 1.0  # seconds between attempts to connect
PROBE = "probe"


class Listener:
    """Listens on the channels of a schema; hints only: the truth is in the rows.

    `changed` gets the versions of executions that somebody else wrote, `due` the time for which
    somebody else has set an alarm (None: look now), `reconnected` is awaited after every gap.
    """

    def __init__(
        self,
        *,
        connect: Connect,
        channels: Channels,
        sender: str,
        changed: Callable[[dict[str, int]], None],
        due: Callable[[datetime | None], None],
        reconnected: Callable[[], Awaitable[None]],
    ) -> None:
        self._connect = connect
        self._channels = channels
        self._sender = sender
        self._changed = changed
        self._due = due
        self._reconnected = reconnected
        self._lost = asyncio.Event()
        self._probe_heard = asyncio.Event()
        self._connection: NotificationConnection | None = None
        self._tasks = Tasks("listener")
        self.is_listening = asyncio.Event()

    async def start(self) -> None:
        """Listen; returns once notifications are heard. Raises DatabaseUnavailable."""
        await self._open()
        self._tasks.spawn(self._keep_listening(), "listens")

    async def stop(self) -> None:
        """Listen no more."""
        await self._tasks.cancel()
        if self._connection is not None:
            await self._connection.close()

    async def _open(self) -> None:
        self._lost.clear()
        self._connection = await NotificationConnection.open(
            self._connect, self._channels, self._heard, self._lost.set
        )
        self.is_listening.set()

    async def _keep_listening(self) -> None:
        while True:
            await self._until_lost()
            self.is_listening.clear()
            log.warning("the listening connection was lost; connecting anew")
            pause = 0.02
            while not self.is_listening.is_set():
                try:
                    await self._open()
                except DatabaseUnavailable:
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, MAX_PAUSE)
            self._tasks.spawn(self._catch_up(), "catches up after a gap")

    async def _catch_up(self) -> None:
        """Look at what may have been missed, again and again until the database lets it."""
        while True:
            try:
                return await self._reconnected()
            except DatabaseUnavailable:
                await asyncio.sleep(MAX_PAUSE)

    async def _until_lost(self) -> None:
        """Return when the connection has ended, or has gone deaf without saying so."""
        connection = self._connection
        assert connection is not None
        while True:
            try:
                async with asyncio.timeout(PROBE_INTERVAL):
                    await self._lost.wait()
                    return
            except TimeoutError:
                pass
            self._probe_heard.clear()
            try:
                async with asyncio.timeout(PROBE_PATIENCE):
                    await connection.notify(self._channels.due, f"{self._sender}\n{PROBE}")
                    await self._probe_heard.wait()
            except (TimeoutError, DatabaseUnavailable):
                await connection.close()
                return

    def _heard(self, channel: str, payload: str) -> None:
        sender, _, rest = payload.partition("\n")
        if sender == self._sender:
            if rest == PROBE:
                self._probe_heard.set()
            return  # this process knows what it wrote
        try:
            if channel == self._channels.changed:
                pairs = (line.rpartition(" ") for line in rest.split("\n"))
                self._changed({execution_id: int(version) for execution_id, _, version in pairs})
            elif rest != PROBE:
                self._due(datetime.fromtimestamp(float(rest), UTC) if rest else None)
        except ValueError:
            log.warning("a notification on %s could not be read: %.200r", channel, payload)
