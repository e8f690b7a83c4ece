"""Hears what other processes write, and comes back when its connection is lost.

Where the connection leads through a transaction pooler nothing can be heard; then, and only then,
`Poller` asks.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from journey_async.engine.logs import log
from journey_async.engine.points import Point, Points
from journey_async.engine.tasks import Tasks
from journey_async.errors import DatabaseUnavailable
from journey_async.store.channels import Channels
from journey_async.store.connecting import Connect, ServerTime
from journey_async.store.listening import NotificationConnection

PROBE_INTERVAL = 12.0  # seconds between proofs that the connection still leads somewhere
PROBE_PATIENCE = 5.0  # seconds that a probe may take to come back
HEARD_EVERY = 3  # probes: that it hears, too, is proved by what every other process is woken for
CHECKED_EVERY = 5  # probes
MAX_PAUSE = 0.5  # seconds between attempts to connect
PROBE = "probe"


class Listener:
    """Listens on the channels of a schema; hints only: the truth is in the rows.

    `changed` gets the versions of executions that somebody else wrote, `written_here` those that
    this process wrote; `unblocked` gets those that somebody else left to others, each with the
    beginning of its definition's hash, and who that is; `due` the time for which somebody else has
    set an alarm (None: look now). `joined` is called when a worker has registered, `resumed` at the
    end of every gap, in the moment in which it listens again. `reconnected` is awaited then, and
    `check` when the definitions of graphs have another order, and now and then, in case something
    was missed. `time_is` gets the database's time, with each connection and each probe. `polls` is
    awaited in place of all that where nothing can be heard.
    """

    def __init__(
        self,
        *,
        connect: Connect,
        channels: Channels,
        sender: str,
        changed: Callable[[dict[str, int]], None],
        written_here: Callable[[dict[str, int]], None],
        unblocked: Callable[[dict[str, str], str], None],
        due: Callable[[datetime | None], None],
        joined: Callable[[], None],
        resumed: Callable[[], None],
        reconnected: Callable[[], Awaitable[None]],
        check: Callable[[], Awaitable[None]],
        polls: Callable[[], Awaitable[None]],
        time_is: Callable[[ServerTime], object],
        points: Points,
    ) -> None:
        self._connect = connect
        self._channels = channels
        self._sender = sender
        self._changed = changed
        self._written_here = written_here
        self._unblocked = unblocked
        self._due = due
        self._joined = joined
        self._resumed = resumed
        self._reconnected = reconnected
        self._check = check
        self._polls = polls
        self._time_is = time_is
        self._points = points
        self._lost = asyncio.Event()
        self._reordered = asyncio.Event()
        self._probe_heard = asyncio.Event()
        self._probes_sent = 0
        self._probes_heard = 0
        self._connection: NotificationConnection | None = None
        self._tasks = Tasks("listener")
        self.is_listening = False
        self.is_polling = False

    async def start(self) -> None:
        """Listen; returns once notifications are heard, or never will be.

        Raises DatabaseUnavailable.
        """
        await self._open()
        self._tasks.spawn(self._keep_listening(), "listens")
        self._tasks.spawn(self._keep_to_the_order(), "keeps to the order of definitions")

    async def stop(self) -> None:
        """Listen no more."""
        await self._tasks.cancel()
        if self._connection is not None:
            self._connection.close()

    def kill(self) -> None:
        """Stop dead."""
        self._tasks.kill()
        if self._connection is not None:
            self._connection.close()

    async def hear_all(self) -> None:
        """Return once everything has been heard that was sent before the call.

        Notifications come in the order of their commits, so that one's own comes last. If the
        connection is lost meanwhile, returns when there is another one. Raises DatabaseUnavailable.
        """
        if self._connection is None:
            return
        self._probes_sent += 1
        mine = self._probes_sent
        probe = f"{self._sender}\n{PROBE}{mine}"
        self._time_is(await self._connection.notify(self._channels.due, probe))
        while self._probes_heard < mine:
            self._probe_heard.clear()
            await self._probe_heard.wait()

    async def _open(self) -> None:
        self._lost = lost = asyncio.Event()  # the end of a former one may be told late
        self._probes_heard = self._probes_sent  # those on their way are lost
        self._probe_heard.set()
        self._connection = await NotificationConnection.open(
            self._connect, self._channels, self._heard, lost.set
        )
        if self._connection is None:
            self.is_polling = True
        else:
            self._time_is(self._connection.server.time)
            self.is_listening = True

    async def _keep_listening(self) -> None:
        while not self.is_polling:
            await self._until_lost()
            self.is_listening = False
            log.warning("the listening connection was lost; connecting anew")
            await _until_done(self._open, pause=0.02)
            self._resumed()
            self._joined()  # somebody may have, meanwhile
            self._tasks.spawn(_until_done(self._reconnected), "catches up after a gap")
        log.warning(
            "the connection for notifications leads through a pooler, which delivers none: polling "
            "instead; give Journey a listen_dsn that leads to PostgreSQL directly"
        )
        await self._polls()

    async def _keep_to_the_order(self) -> None:
        """Check whenever it has changed; many changes at once are one."""
        while True:
            await self._reordered.wait()
            self._reordered.clear()
            await _until_done(self._check)

    async def _until_lost(self) -> None:
        """Return when the connection has ended, or has gone deaf without saying so."""
        connection = self._connection
        assert connection is not None
        for probe in itertools.count(1):
            try:
                async with asyncio.timeout(PROBE_INTERVAL):
                    await self._lost.wait()
                    return
            except TimeoutError:
                pass
            try:
                async with asyncio.timeout(PROBE_PATIENCE):
                    if probe % HEARD_EVERY == 0:
                        await self.hear_all()
                    else:
                        self._time_is(await connection.read_time())
            except Exception:  # whatever it is: nothing says that it hears
                connection.close()
                return
            if probe % CHECKED_EVERY == 0:
                try:
                    await self._check()
                except DatabaseUnavailable:
                    pass  # the next one sees to it
                except Exception:  # as of a table that somebody is changing; this must go on
                    log.exception("a check of what is waited for failed")

    def _heard(self, channel: str, payload: str) -> None:
        if channel == self._channels.reordered:
            self._reordered.set()
            return
        if channel == self._channels.joined:
            self._joined()
            return
        sender, _, rest = payload.partition("\n")
        if sender == self._sender:
            if rest.startswith(PROBE):  # one that was cancelled may never have been sent
                self._probes_heard = max(self._probes_heard, int(rest.removeprefix(PROBE)))
                self._probe_heard.set()
            elif channel == self._channels.changed:
                self._written_here(_versions(_lines(rest)))
            return
        if rest.startswith(PROBE):
            return
        try:
            self._points.reach(Point.LISTENER)
        except asyncio.CancelledError:
            return  # it is the driver that calls, in no task of ours
        try:
            if channel == self._channels.changed:
                lines = _lines(rest)
                self._changed(_versions(lines))
                if left := _left_to_others(lines):
                    self._unblocked(left, sender)
            else:
                self._due(datetime.fromtimestamp(float(rest), UTC) if rest else None)
        except ValueError:
            log.warning("a notification on %s could not be read: %.200r", channel, payload)


async def _until_done(work: Callable[[], Awaitable[None]], *, pause: float = MAX_PAUSE) -> None:
    """Try again and again, whatever it raises: a process that heard nothing more would look well.

    What is no outage, as rights that were taken away, is logged the first time, and tried less and
    less often.
    """
    is_logged = False
    while True:
        try:
            return await work()
        except DatabaseUnavailable:
            limit = MAX_PAUSE
        except Exception:
            limit = PROBE_INTERVAL
            if not is_logged:
                is_logged = True
                log.exception("hearing of other processes failed, and is tried again")
        await asyncio.sleep(pause)
        pause = min(pause * 2, limit)


def _lines(text: str) -> list[list[str]]:
    """Of each execution its id, its version and, if it was left to others, a mark."""
    return [line.split(" ") for line in text.split("\n")]


def _versions(lines: list[list[str]]) -> dict[str, int]:
    return {execution_id: int(version) for execution_id, version, *_ in lines}


def _left_to_others(lines: list[list[str]]) -> dict[str, str]:
    return {execution_id: code for execution_id, _, *marked in lines for code in marked}
