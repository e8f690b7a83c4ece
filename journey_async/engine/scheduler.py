"""The alarm clock: wakes executions when their `wake_at` has come.

It sleeps until the earliest `wake_at`, until it is told of an earlier one (by a commit of this
process, or by a notification), or until a place for work becomes free that it lacked. A slow,
jittered check of everything stands behind it as a safety net; what that finds is counted, and in
a healthy system is zero.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol

from journey_async.core.commands import Abandon, Command, Release, Wake
from journey_async.core.values import ComputationKey
from journey_async.engine.clock import Clock
from journey_async.engine.logs import about
from journey_async.engine.points import Point, Points
from journey_async.engine.registry import Registry
from journey_async.engine.requests import Overtaken, Settled
from journey_async.engine.runner import Runner
from journey_async.engine.tasks import Tasks, log
from journey_async.errors import DatabaseUnavailable
from journey_async.store.store import Store

BATCH = 100  # executions woken at once
LEAST_BATCH = 10  # also when there is little room, for not all of them need any
SAFETY_INTERVAL = 30.0  # seconds between checks of everything, on average
CHECK_LIMIT = 10.0  # seconds for one of its steps: somebody may hold a row for long
LATE = timedelta(seconds=5)  # after its deadline an attempt is given up by others
UNMOVED_PAUSE = 1.0  # seconds before trying again what did not move
DEFECT_PAUSE = 60.0  # seconds before trying again what raised
RETRY_PAUSE = 0.5  # seconds, while the database is away


class Submit(Protocol):
    """How a command is let happen: see Committer.submit."""

    async def __call__(
        self, execution_id: str, command: Command, /, *, yields: bool = False
    ) -> Settled:
        """What became of it."""


class Scheduler:
    """Takes due executions and settles them."""

    def __init__(
        self, store: Store, registry: Registry, runner: Runner, clock: Clock, points: Points
    ) -> None:
        self._store = store
        self._points = points
        self._registry = registry
        self._runner = runner
        self._clock = clock
        self._submit: Submit | None = None
        self._alarm = asyncio.Event()
        self._rests = asyncio.Event()
        self._checking = False
        self._next: datetime | None = None
        self._starved = False
        self._aside: set[str] = set()
        self._overtaken: set[str] = set()
        self._checks: list[Callable[[], Awaitable[None]]] = []
        self._tasks = Tasks("scheduler")
        self.found_by_safety_check = 0

    def start(self, submit: Submit, *also_check: Callable[[], Awaitable[None]]) -> None:
        """Begin, with whatever was left behind; `also_check` runs with each safety check."""
        self._submit = submit
        self._checks = list(also_check)
        self._tasks.spawn(self._run(), "wakes executions")
        self._tasks.spawn(self._check_now_and_then(), "checks everything")

    async def stop(self) -> None:
        """Wake nobody any more."""
        await self._tasks.cancel()

    def kill(self) -> None:
        """Stop dead."""
        self._tasks.kill()
        self._submit = None

    async def rest(self) -> None:
        """Return when everybody who is due has been woken."""
        if self._submit is not None:
            await self._rests.wait()

    @property
    def is_at_rest(self) -> bool:
        """Whether everybody who is due has been woken."""
        return self._submit is None or self._rests.is_set()

    def expect(self, when: datetime | None = None) -> None:
        """Somebody wants attention at `when`; None: look now."""
        if when is None or self._next is None or when < self._next:
            self._ring()

    def has_room(self) -> None:
        """A place for work has become free."""
        if self._starved:
            self._ring()

    def _ring(self) -> None:
        self._rests.clear()
        self._alarm.set()

    async def _run(self) -> None:
        while True:
            self._alarm.clear()
            self._next = None  # while looking, whatever is expected makes it look again
            try:
                self._next = await self._wake_due()
            except DatabaseUnavailable:
                await asyncio.sleep(RETRY_PAUSE)
                continue
            except Exception:
                log.exception("what is due could not be found out")
                await asyncio.sleep(SAFETY_INTERVAL)
                continue
            timer = None
            if self._next is not None:
                timer = self._clock.call_at(self._next, self._ring)
            if not self._alarm.is_set() and not self._checking:
                self._rests.set()
            try:
                await self._alarm.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    async def _wake_due(self) -> datetime | None:
        """Wake what is due; when to look again, if nobody says so before."""
        self._starved = self._runner.free <= 0
        graphs = self._registry.newer_definitions()
        if self._starved or not graphs:
            return None
        entries = await self._store.attention(
            graphs,
            without=list(self._aside),
            limit=min(BATCH, max(2 * self._runner.free, LEAST_BATCH)),
        )
        now = self._clock.now()
        due = [execution_id for execution_id, wake_at in entries if wake_at <= now]
        self._overtaken.intersection_update(due)
        if due:
            await self._wake_all(due)
            self._starved = self._runner.free <= 0
            return now
        return entries[0][1] if entries else None

    async def _wake_all(self, due: list[str]) -> None:
        """Wake them; one that takes long, for somebody holds its row, keeps nobody waiting."""
        waking = {i: self._tasks.start(self._wake(i), f"wakes {i}") for i in due}
        await asyncio.wait(waking.values(), timeout=UNMOVED_PAUSE)
        for execution_id, task in waking.items():
            if not task.done():
                self._aside.add(execution_id)
                task.add_done_callback(lambda _, i=execution_id: self._take_back(i))  # type: ignore[misc]

    async def _wake(self, execution_id: str) -> None:
        """Wake one execution; set aside one that does not move, lest it stand before the others.

        Other workers are about to wake the same. Who is too late leaves it to them, and insists
        only if it is due still.
        """
        assert self._submit is not None
        pause = UNMOVED_PAUSE
        self._points.reach(Point.BEFORE_WAKE)
        try:
            yields = execution_id not in self._overtaken
            settled = await self._submit(execution_id, Wake(), yields=yields)
            if settled.change.written or not settled.had_room:
                return  # if it is still due, the next look finds it
            wake_at = settled.state.wake_at
            if wake_at is None or wake_at > self._clock.now():
                return  # somebody else was faster
        except Overtaken:
            self._overtaken.add(execution_id)
            return  # the next look finds it, if it is still due
        except DatabaseUnavailable:
            return  # closed
        except Exception:
            log.exception(
                "execution %s could not be woken", execution_id, extra=about(execution_id)
            )
            pause = DEFECT_PAUSE
        self._aside.add(execution_id)
        asyncio.get_running_loop().call_later(pause, self._take_back, execution_id)

    def _take_back(self, execution_id: str) -> None:
        self._aside.discard(execution_id)
        self._ring()

    # --- the safety net -----------------------------------------------------------------------

    async def _check_now_and_then(self) -> None:
        while True:
            self._checking = True
            self._rests.clear()
            try:
                await self._check()
            except DatabaseUnavailable:
                pass
            except Exception:
                log.exception("the safety check failed")
            finally:
                self._checking = False
                self._ring()
            await asyncio.sleep(SAFETY_INTERVAL * random.uniform(0.75, 1.25))

    async def _check(self) -> None:
        """Look for what nobody else will move."""
        assert self._submit is not None
        for check in self._checks:
            try:
                async with asyncio.timeout(CHECK_LIMIT):
                    await check()
            except DatabaseUnavailable:
                raise
            except Exception:
                log.exception("a part of the safety check failed")
        now = self._clock.now()
        for row in await self._store.overdue_work(now - LATE, BATCH):
            key = ComputationKey(row["node"], row["number"])
            self.found_by_safety_check += 1
            name = f"{row['execution_id']}:{key.node}:{key.number}"
            fields = about(row["execution_id"], key.node, computation_id=name, worker=row["worker"])
            log.warning("%s was left behind", name, extra=fields)
            command: Command = (
                Abandon(key) if row["overdue"] else Release(row["worker"], died=True, keys=(key,))
            )
            try:
                async with asyncio.timeout(CHECK_LIMIT):
                    await self._submit(row["execution_id"], command)
            except DatabaseUnavailable:
                raise
            except Exception:
                log.exception("%s could not be taken care of", name, extra=fields)
