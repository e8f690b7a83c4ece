"""The alarm clock: wakes executions when their `wake_at` has come.

It sleeps until the earliest `wake_at`, until it is told of an earlier one (by a commit of this
process, or by a notification), or until a place for work becomes free that it lacked. What
another process has left to others is named in the notification, and woken without asking what is
due. Of several workers one takes an execution at once (`peers`), the others what it leaves.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from journey_async.core.commands import Wake
from journey_async.core.graph import GraphKey
from journey_async.engine.clock import Clock
from journey_async.engine.logs import about, log
from journey_async.engine.peers import LeftToPeers, Peers
from journey_async.engine.points import Point, Points
from journey_async.engine.registry import Registry
from journey_async.engine.requests import Overtaken, Submit
from journey_async.engine.runner import Runner
from journey_async.engine.tasks import Tasks
from journey_async.errors import DatabaseUnavailable, ExecutionNotFound
from journey_async.store.store import BEGINNING, Store

BATCH = 100  # executions woken at once
MAX_LOOK = 1000  # executions looked at once, to take a share of them
LEAST_BATCH = 10  # also when there is little room, for not all of them need any
UNMOVED_PAUSE = 1.0  # seconds before trying again what did not move
DEFECT_PAUSE = 60.0  # seconds before trying again what raised
LOOK_DEFECT_PAUSE = 30.0  # seconds, if it was the look itself
RETRY_PAUSE = 0.5  # seconds, while the database is away


class Scheduler:
    """Takes due executions and settles them."""

    def __init__(
        self, store: Store, registry: Registry, runner: Runner, clock: Clock, points: Points
    ) -> None:
        self._store = store
        self._points = points
        self._registry = registry
        self._runner = runner
        self.peers = Peers(lambda: runner.worker)
        self._clock = clock
        self._submit: Submit | None = None
        self._alarm = asyncio.Event()
        self._rests = asyncio.Event()
        self._next: datetime | None = None
        self._starved = False  # something may be due for which there was no place
        self._has_news = False  # of somebody who does not run here, and was not looked at yet
        self._is_crowded = False  # some of those that were woken want more places than there are
        self._after = BEGINNING  # where the round of those that are due has come to
        self._round = clock.now()  # when it began
        self._wake_at: dict[str, datetime] = {}  # of those that were looked at last
        self._aside: set[str] = set()  # did not move, or raised: left alone for now
        self._slow: set[str] = set()  # take long to be woken: left alone until they have been
        self._overtaken: set[str] = set()  # somebody was faster; if they are due still, insist
        self._waking: dict[str, asyncio.Task[None]] = {}  # without having asked what is due
        self._left_again: set[str] = set()  # are being woken, and were announced once more
        self._due_again: dict[str, int] = {}  # are being woken; the version a look found due
        self._need_no_place = False  # some of those that are being woken
        self._tasks = Tasks("scheduler")
        self._left = LeftToPeers(self._ring, self._tasks)

    def start(self, submit: Submit) -> None:
        """Begin, with whatever is due."""
        self._submit = submit
        self._tasks.spawn(self._run(), "wakes executions")

    async def stop(self) -> None:
        """Wake nobody any more."""
        await self._tasks.cancel()

    def kill(self) -> None:
        """Stop dead."""
        self._tasks.kill()
        self._submit = None

    async def rest(self) -> None:
        """Return when everybody who is due has been woken."""
        while not self.is_at_rest:
            await self._rests.wait()
            if self._under_way():
                await asyncio.wait(self._under_way())

    @property
    def is_at_rest(self) -> bool:
        """Whether everybody who is due has been woken."""
        return self._submit is None or (self._rests.is_set() and not self._under_way())

    def _under_way(self) -> list[asyncio.Task[None]]:
        return [*self._waking.values(), *self._left.under_way]

    def expect(self, when: datetime | None = None, *, execution_id: str = "") -> None:
        """Somebody, who may be named, wants attention at `when`; None: look now."""
        if when is None or self._next is None or when < self._next:
            self._ring(is_news=not self._runner.is_busy_with(execution_id))

    def unblocked(self, executions: Mapping[str, str], sender: str) -> None:
        """Another process has left executions to whoever has their code, and room for them.

        Each comes with the beginning of its definition's hash.
        """
        if self._submit is None:
            return
        if self._runner.free <= 0:
            self._has_news |= not all(map(self._runner.is_busy_with, executions))
            self._starve()
            return
        known = [i for i, code in executions.items() if self._registry.has_code(code)]
        if any(self._registry.has_newer_code(code) for code in executions.values()):
            self._ring()  # they have to evolve
        if not self.peers.is_my_turn(self._clock.now(), without=sender):
            self._leave(known)
            return
        taken = [i for i in known[: 2 * self._runner.free] if self._take(i)]
        if len(taken) < len(known):
            self._ring()

    def moved(self, executions: Iterable[str]) -> None:
        """Others have written these executions: they need no attention, unless it is said anew."""
        self._left.moved(executions)

    def _take(self, execution_id: str) -> bool:
        """Wake it without asking whether it is due, unless it is left alone."""
        if execution_id in self._aside or execution_id in self._slow:
            return False
        if execution_id in self._waking:
            self._left_again.add(execution_id)
            return True
        waking = self._tasks.start(self._wake_and_look(execution_id), f"wakes {execution_id}")
        self._waking[execution_id] = waking
        return True

    async def _wake_and_look(self, execution_id: str) -> None:
        try:
            if await self._wake(execution_id) or execution_id in self._left_again:
                self._ring()
        finally:
            del self._waking[execution_id]
            self._left_again.discard(execution_id)
            self._due_again.pop(execution_id, None)

    def _leave(self, executions: Collection[str]) -> None:
        self._left_again.update(self._waking.keys() & set(executions))
        self._left.leave(executions)

    def has_room(self) -> None:
        """A place for work has become free."""
        if self._starved:
            self._ring(is_news=False)

    def _starve(self) -> None:
        """There is no place for what is due, or may be.

        If that is more of what runs here already, who ends an attempt begins it. But those of whom
        there is news would wait until that comes to an end.
        """
        self._starved = True
        if self._has_news:
            self._runner.keep_one_soon()

    def _ring(self, *, is_news: bool = True) -> None:
        self._has_news |= is_news
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
                await asyncio.sleep(LOOK_DEFECT_PAUSE)
                continue
            timer = None
            if self._next is not None:
                timer = self._clock.call_at(self._next, self._ring)
            if not self._alarm.is_set():
                self._rests.set()
            try:
                await self._alarm.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    async def _wake_due(self) -> datetime | None:
        """Wake what is due; when to look again, if nobody says so before."""
        if self._runner.free <= 0:
            self._starve()
            return None
        self._starved = self._has_news = False
        graphs = self._registry.newer_definitions()
        if not graphs:
            self._runner.keep_none()
            return None
        at_once = min(BATCH, max(2 * self._runner.free, LEAST_BATCH))
        number = at_once + len(self._runner.executions)  # which may want more places than they have
        asked_at = asyncio.get_running_loop().time()
        due, then = await self._look_on(graphs, number)
        own = due if self.peers.is_my_turn(self._clock.now()) else []
        is_backlog = len(due) >= at_once
        if is_backlog and self.peers.others:
            number = min(number * (1 + len(self.peers.others)), MAX_LOOK)
            due, then = await self._look(graphs, number)
            own = self.peers.own_share(due)
        self._overtaken.intersection_update(due)
        mine, fresh = self._left.rest_of(due, own, asked_at)
        self._left.sees_part = is_backlog and not mine
        self._leave(fresh)
        if not mine:
            self._runner.keep_none()
            return then
        self._have_had_turn(await self._wake_while_room(mine[:at_once]), due)
        self._alarm.set()
        return None

    def _have_had_turn(self, woken: list[str], due: list[str]) -> None:
        if woken:
            self._runner.keep_none()
            if self._is_crowded:
                self._after = self._wake_at[woken[-1]], woken[-1]
        if any(not self._runner.is_busy_with(i) for i in set(due).difference(woken)):
            self._runner.keep_one_soon()

    async def _look_on(
        self, graphs: Mapping[GraphKey, Collection[str]], number: int
    ) -> tuple[list[str], datetime | None]:
        """As `_look`, and from the beginning if the round is at its end.

        A round is through with what was due when it began: who has had a turn comes again before
        what became due since.
        """
        if self._after != BEGINNING:
            due, then = await self._look(graphs, number)
            if due and self._wake_at[due[0]] <= self._round:
                return due, then
            self._after = BEGINNING
        self._round = self._clock.now()
        return await self._look(graphs, number)

    async def _look(
        self, graphs: Mapping[GraphKey, Collection[str]], number: int
    ) -> tuple[list[str], datetime | None]:
        """The next of those that are due, at most so many; and the time that comes next."""
        entries = await self._store.attention(
            graphs,
            without=[*self._aside, *self._slow],
            # besides those that are being woken: they must hide nobody, nor whoever is next
            limit=number + len(self._waking),
            after=self._after,
        )
        now = self._clock.now()
        due = {i: version for i, wake_at, version in entries if wake_at <= now}
        self._wake_at = {i: wake_at for i, wake_at, _ in entries}
        self._due_again |= {i: due[i] for i in due.keys() & self._waking.keys()}
        others = [i for i in due if i not in self._waking]
        return others[:number], next((wake_at for _, wake_at, _ in entries if wake_at > now), None)

    async def _wake_while_room(self, due: list[str]) -> list[str]:
        """Wake as many at once as there are places: to wake others as well would be in vain.

        But when it turns out that some need no place, the rest at once. Gives those woken.
        """
        woken: list[str] = []
        self._is_crowded = self._need_no_place = False
        while rest := due[len(woken) :]:
            if not self._need_no_place:
                rest = rest[: self._runner.free]
            if not rest:
                break
            await self._wake_all(rest)
            woken += rest
        return woken

    async def _wake_all(self, due: list[str]) -> None:
        """Wake them; one that takes long, for somebody holds its row, keeps nobody waiting."""
        if not due:
            return
        waking = {i: self._tasks.start(self._wake(i), f"wakes {i}") for i in due}
        await asyncio.wait(waking.values(), timeout=UNMOVED_PAUSE)
        for execution_id, task in waking.items():
            if not task.done():
                self._slow.add(execution_id)
                task.add_done_callback(lambda _, i=execution_id: self._was_slow(i))  # type: ignore[misc]

    async def _wake(self, execution_id: str) -> bool:
        """Wake one execution; whether it may still be due.

        Other workers may be about to wake the same: who is too late leaves it to them, and insists
        only if the next look still finds it due. One that does not move is set aside, lest it stand
        before the others.
        """
        assert self._submit is not None
        pause = UNMOVED_PAUSE
        self._points.reach(Point.BEFORE_WAKE)
        asked_at = self._clock.now()
        try:
            yields = execution_id not in self._overtaken
            answer = await self._submit(execution_id, Wake(), yields=yields)
            if answer.change.written and not answer.change.begun:
                self._need_no_place = True
            if answer.state.version < self._due_again.get(execution_id, 0):
                return True
            wake_at = answer.state.wake_at
            if wake_at is None:
                return False  # done, or somebody else was faster
            if wake_at > self._clock.now():
                self.expect(wake_at)  # maybe soon: of somebody whose clock is ahead of this one
                return False
            self._is_crowded |= not answer.had_room
            if answer.change.written or not answer.had_room or wake_at > asked_at:
                return True  # maybe its time has come only since it was looked at
        except Overtaken:
            self._overtaken.add(execution_id)
            return True
        except DatabaseUnavailable:
            return False  # closed
        except ExecutionNotFound:
            return False  # archived and purged meanwhile
        except Exception:
            log.exception(
                "execution %s could not be woken", execution_id, extra=about(execution_id)
            )
            pause = DEFECT_PAUSE
        self._aside.add(execution_id)
        asyncio.get_running_loop().call_later(pause, self._take_back, execution_id)
        return False

    def _was_slow(self, execution_id: str) -> None:
        self._slow.discard(execution_id)
        self._ring()

    def _take_back(self, execution_id: str) -> None:
        self._aside.discard(execution_id)
        self._ring()
