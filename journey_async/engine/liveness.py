"""Shows that this worker lives, and looks for those that do not (see `deaths`).

This happens in a thread with an event loop and a connection of its own, so that a function that
blocks the application's event loop does not make the process look dead; a watchdog in the same
thread says which function that is.
"""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any

from ulid import ULID

from journey_async.engine.clock import Clock, take_over, was_wrong_at
from journey_async.engine.deaths import Deaths
from journey_async.engine.logs import log
from journey_async.engine.points import Point, Points
from journey_async.engine.watchdog import Watchdog
from journey_async.errors import DatabaseUnavailable
from journey_async.store.connecting import Connect, ServerTime
from journey_async.store.workers import OtherWorker, WorkerConnection

RENEWED_AFTER = 0.4  # of a lease
LOOK_INTERVAL = 0.5  # seconds between looks at the others, while there are any
SETTLE_TIME = 5.0  # seconds after a reconnection in which others may not be back themselves
RECONNECT_PAUSE = 0.2
DEFECT_PAUSE = 1.0  # seconds after something that nobody expected
LAST_PATIENCE = 2.0  # seconds in which a closing worker tries to take its leave


def new_worker_id() -> str:
    """An id for one life of a worker."""
    return f"WORKER{ULID()}"


class Liveness:
    """The life sign of one worker.

    `died` gets the ids of others that are dead, `replaced` the new id of this one if it was
    forgotten, `peers` the ids of those that live and have the same code, whenever they change;
    `returned` is called after a gap, in which others may have taken this one for dead. All of these
    on the event loop that started it; `graphs`, which gives what code this worker has, in the
    thread.
    """

    def __init__(
        self,
        *,
        connect: Connect,
        schema: str,
        clock: Clock,
        lease: float,
        look_interval: float,
        remembers_the_dead: bool,
        worker: str,
        graphs: Callable[[], str],
        died: Callable[[list[str]], Awaitable[None]],
        replaced: Callable[[str], None],
        returned: Callable[[], None],
        peers: Callable[[list[str]], None],
        watchdog: Watchdog,
        points: Points,
    ) -> None:
        self._connect = connect
        self._schema = schema
        self._clock = clock
        self._lease = timedelta(seconds=lease)
        self._renewal = lease * RENEWED_AFTER
        self._look_interval = look_interval
        self._points = points
        self._keeps_row = False
        self._worker = worker
        self._graphs = graphs
        self._died = died
        self._replaced = replaced
        self._returned = returned
        self._peers = peers
        self._known_peers: list[str] = []
        self._watchdog = watchdog
        self._deaths = Deaths(
            worker=worker,
            clock=clock,
            lease=self._lease,
            look_interval=look_interval,
            remembers=remembers_the_dead,
            release=self._report,
        )
        self._reports: set[asyncio.Future[None]] = set()  # that are under way
        self._stirred = asyncio.Event()
        self._stopped = threading.Event()
        self._home: asyncio.AbstractEventLoop | None = None
        self._home_thread = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None

    async def start(self) -> None:
        """Register, and go on in the background; raises DatabaseUnavailable."""
        self._home = asyncio.get_running_loop()
        self._home_thread = threading.get_ident()
        registered: asyncio.Future[None] = self._home.create_future()
        self._thread = threading.Thread(
            target=self._live, args=(registered,), name="journey_async liveness", daemon=True
        )
        self._thread.start()
        try:
            await registered
        except BaseException:
            await self.stop()
            raise

    async def stop(self, *, owes: bool = False) -> None:
        """Take leave: the row goes, after the work has been given back.

        Of a worker that `owes` something the row stays, and its lock goes with the connection: so
        others find it dead, and release at once what it could not.
        """
        if self._thread is None:
            return
        self._keeps_row = self._keeps_row or owes  # it may have been killed while it was closing
        self._end()
        await asyncio.to_thread(self._thread.join)

    def kill(self) -> None:
        """Stop dead, from any thread: the row stays, the lock goes with its connection."""
        self._keeps_row = True
        self._end()

    def _end(self) -> None:
        """From any thread: end the one that shows life, also one that has only just begun."""
        self._stopped.set()
        if self._loop is not None and self._main is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._main.cancel)

    def heartbeat_now(self) -> None:
        """Renew the lease and look at the others, if their turn has not come yet."""
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._stirred.set)

    # --- in the thread ------------------------------------------------------------------------

    def _live(self, registered: "asyncio.Future[None]") -> None:
        try:
            asyncio.run(self._main_loop(registered))
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._at_home(_resolve, registered, error)
            log.exception("the life sign of worker %s ended", self._worker)

    async def _main_loop(self, registered: "asyncio.Future[None]") -> None:
        self._loop = asyncio.get_running_loop()
        self._main = asyncio.current_task()
        if self._stopped.is_set():  # before it could be told
            return
        connection = None
        try:
            connection = await self._register()
        except DatabaseUnavailable as error:
            self._at_home(_resolve, registered, error)
            return
        self._at_home(_resolve, registered, None)
        assert self._home is not None
        watching = asyncio.create_task(self._watchdog.watch(self._home, self._home_thread))
        reconnected_at = float("-inf")
        try:
            while True:
                pause = RECONNECT_PAUSE
                try:
                    if connection is None:  # the lease is renewed first, if there still is one
                        connection = await self._open()
                        reconnected_at = self._loop.time()
                    await self._watch(connection, reconnected_at)
                except DatabaseUnavailable:
                    if connection is not None:
                        pause = 0.0  # others look for the lock already
                except Exception:
                    log.exception("worker %s could not show that it lives", self._worker)
                    pause = DEFECT_PAUSE
                if connection is not None:
                    connection.close()
                    connection = None
                await asyncio.sleep(pause)
        finally:
            watching.cancel()
            for report in list(self._reports):
                report.cancel()
            await self._leave(connection)

    async def _open(self) -> WorkerConnection:
        return await WorkerConnection.open(self._connect, self._schema, self._stirred.set)

    async def _register(self) -> WorkerConnection:
        connection = await self._open()
        try:
            await self._register_on(connection, self._worker)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _register_on(self, connection: WorkerConnection, worker: str) -> None:
        now = self._clock.now()
        await connection.register(
            worker,
            host=socket.gethostname(),
            pid=os.getpid(),
            now=now,
            lease_until=now + self._lease,
            graphs=self._graphs(),
        )

    async def _leave(self, connection: WorkerConnection | None) -> None:
        try:
            async with asyncio.timeout(LAST_PATIENCE):
                if not self._keeps_row:
                    connection = connection or await self._open()
                    await connection.forget(self._worker)
        except (DatabaseUnavailable, TimeoutError):
            pass  # the others will find out
        finally:  # also if this is cancelled again: the lock must go
            if connection is not None:
                connection.close()

    async def _watch(self, connection: WorkerConnection, reconnected_at: float) -> None:
        """Renew the lease, and look at the others: often, while there are any."""
        assert self._loop is not None
        renew_at = 0.0
        while True:
            self._points.reach(Point.HEARTBEAT)
            self._stirred.clear()
            now = self._loop.time()
            if now >= renew_at:
                others = await self._renew(connection)
                if renew_at == 0.0 and reconnected_at > float("-inf"):
                    self._at_home(self._returned)
                renew_at = now + self._renewal
            else:
                found = await connection.others(self._worker)
                if found is None or self._deaths.expired(found):  # by this clock: is it right?
                    renew_at = now
                    continue
                others = found
            if others:
                all_are_back = now - reconnected_at > SETTLE_TIME
                await self._deaths.look_at(connection, others, all_are_back)
            self._tell_peers(others)
            pause = self._look_interval if others else max(renew_at - self._loop.time(), 0)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    # somebody new has to be looked at soon, or the connection is lost
                    await self._stirred.wait()

    async def _renew(self, connection: WorkerConnection) -> list[OtherWorker]:
        """Set the clock by the database's, and move the end of the lease by that; the others."""
        while True:
            began = time.monotonic()
            lease_until = self._clock.now() + self._lease
            found = await connection.renew(self._worker, lease_until, self._graphs())
            take_over(self._clock, ServerTime(found.now, began, time.monotonic()))
            if not found.is_known:
                await self._begin_anew(connection)
            elif was_wrong_at(self._clock) >= began:
                continue
            return found.others

    async def _begin_anew(self, connection: WorkerConnection) -> None:
        """Others have taken this worker for dead, and forgotten it: be another one."""
        log.warning("worker %s was taken for dead; going on as a new one", self._worker)
        worker = new_worker_id()
        await self._register_on(connection, worker)
        self._worker = self._deaths.worker = worker
        self._at_home(self._replaced, worker)

    def _tell_peers(self, others: list[OtherWorker]) -> None:
        gone = self._deaths.gone
        peers = sorted(other.id for other in others if other.is_peer and other.id not in gone)
        if peers != self._known_peers:
            self._known_peers = peers
            self._at_home(self._peers, peers)

    def _report(self, dead: list[str]) -> "asyncio.Future[None]":
        """Let the application's loop release their work.

        Nobody waits for that: the loop may be blocked for long, and this worker's own lease must
        be renewed meanwhile.
        """
        assert self._home is not None
        work: Coroutine[Any, Any, None] = _awaited(self._died(dead))
        report = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._home))
        self._reports.add(report)
        report.add_done_callback(self._reported)
        return report

    def _reported(self, report: "asyncio.Future[None]") -> None:
        self._reports.discard(report)
        if report.cancelled() or (error := report.exception()) is None:
            self._stirred.set()  # what comes next with them can be seen to
        else:  # with the next look, after a pause
            log.warning("the work of dead workers could not be released yet: %s", error)

    def _at_home(self, call: Callable[..., None], *arguments: Any) -> None:
        assert self._home is not None
        if not self._home.is_closed():
            self._home.call_soon_threadsafe(call, *arguments)


async def _awaited(awaitable: Awaitable[None]) -> None:
    await awaitable


def _resolve(future: "asyncio.Future[None]", error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
