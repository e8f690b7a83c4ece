"""Runs attempts, in the places that there are for them, until they end or their deadline.

An attempt ends in one command: Succeed, Fail or Abandon. What it may not do is overwrite: the
fencing token it was begun with must still be the node's when the command is settled.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from journey_async.core.change import Begun
from journey_async.core.commands import Abandon, Command, Release
from journey_async.core.graph import Graph
from journey_async.core.state import State
from journey_async.core.values import Computation, ComputationKey
from journey_async.engine.attempts import Attempt, Functions
from journey_async.engine.clock import Clock
from journey_async.engine.deadlines import Deadlines
from journey_async.engine.instruments import Instruments
from journey_async.engine.logs import log
from journey_async.engine.points import Points
from journey_async.engine.requests import Submit
from journey_async.engine.tasks import Tasks
from journey_async.errors import DatabaseUnavailable, ExecutionNotFound, InvalidValueError

LAST_GRACE = 5.0  # seconds for cancelled functions to end
KEPT_AFTER = 0.01  # seconds that others wait for a place until one is kept for them


class Runner:
    """At most `capacity` attempts at once; `submit` takes the commands in which they end."""

    def __init__(
        self,
        worker: str,
        capacity: int,
        clock: Clock,
        max_value_bytes: int,
        journey: Any,
        *,
        points: Points,
        instruments: Instruments,
    ) -> None:
        self.worker = worker
        self._functions = Functions(
            capacity, clock, max_value_bytes, journey, points=points, instruments=instruments
        )
        self._capacity = capacity
        self._taken = 0
        self._kept_from: float | None = None  # the event loop's time
        self._deadlines = Deadlines(clock, self.attempts, self._give_up)
        self._attempts: dict[int, Attempt] = {}  # by token
        self._by_execution: dict[str, dict[int, Attempt]] = {}
        self._recording: set[int] = set()  # tokens of those whose end is being written
        self._releasing = 0  # releases that are being written
        self._failed_to_write = False  # an end or a release, for this was closed
        self._former: set[str] = set()  # ids that this worker had before
        self._tasks = Tasks("runner")
        self._draining = False
        self._finished = False
        self._moved = asyncio.Event()  # a place was given back, or what it was kept for has begun
        self._submit: Submit | None = None
        self._has_room: Callable[[], None] = lambda: None

    def start_up(self, submit: Submit, has_room: Callable[[], None]) -> None:
        """Begin to take work; `has_room` is called whenever a place has become free."""
        self._submit = submit
        self._has_room = has_room

    # --- places -------------------------------------------------------------------------------

    @property
    def free(self) -> int:
        """How many more attempts may be begun."""
        return 0 if self._draining else max(self._capacity - self._taken, 0)

    @property
    def spare(self) -> int:
        """How many may be begun by who has not waited: one is kept for who has."""
        is_kept = self._kept_from is not None and _loop_time() >= self._kept_from
        return max(self.free - is_kept, 0)

    def keep_one_soon(self) -> None:
        """Others wait for a place.

        Who ends an attempt begins the next of the same execution in the same moment, and would keep
        them out for as long as it has any. To wake them costs more, so that is not always done.
        """
        if self._kept_from is None:
            self._kept_from = _loop_time() + KEPT_AFTER

    def keep_none(self) -> None:
        """Those who waited for a place have been woken, or nobody does any more."""
        self._kept_from = None

    def reserve(self, places: int) -> None:
        """Keep places for attempts whose beginning is being written."""
        self._taken += places

    def give_back(self, places: int) -> None:
        """Free places that were reserved, or that an attempt held."""
        if places:
            self._taken -= places
            self._moved.set()
            self._has_room()

    # --- attempts -----------------------------------------------------------------------------

    def start(self, begun: Begun, graph: Graph) -> None:
        """Run a computation whose beginning was written, in a place that was reserved."""
        computation = begun.computation
        if self._finished or computation.worker != self.worker:
            # The runner ended, or became another worker, while its beginning was at the database.
            self.give_back(1)
            left = {begun.state.execution_id: [computation.key]}
            self._tasks.spawn(self._release(left, computation.worker), "releases")
            return
        step = graph.steps[computation.node]
        binding = graph.bindings[computation.node]
        assert binding is not None
        assert computation.token is not None
        attempt = Attempt(begun, graph, step, binding)
        self._attempts[computation.token] = attempt
        self._by_execution.setdefault(attempt.execution_id, {})[computation.token] = attempt
        self._moved.set()
        attempt.task = self._tasks.start(self._run(attempt), f"computes {computation.id}")
        attempt.task.add_done_callback(lambda _: self._leave_place(attempt))  # also if none begins
        if computation.deadline is not None:
            self._deadlines.watch(computation.deadline)

    def adopt(self, state: State, graph: Graph) -> None:
        """Run what was begun for this worker by a write whose answer was lost."""
        for computation in self._unknown(state):
            if graph.bindings.get(computation.node) is not None:
                self.reserve(1)
                self.start(Begun(computation, state), graph)

    def misses(self, state: State) -> bool:
        """Whether the database says that this worker computes something that does not run here."""
        return next(self._unknown(state), None) is not None

    def _unknown(self, state: State) -> Iterator[Computation]:
        for computation in [state.newest[node] for node in state.computing]:
            is_ours = computation.worker == self.worker or computation.worker in self._former
            if is_ours and not self.is_running(computation.token):
                yield computation

    def attempts(self) -> list[Attempt]:
        """What runs here; from any thread."""
        return list(self._attempts.values())

    def is_running(self, token: int | None) -> bool:
        """Whether the attempt with this token runs here, or has its result being written."""
        return token in self._attempts or token in self._recording

    @property
    def owes(self) -> bool:
        """Whether the end of an attempt, or a release, is being written, or could not be."""
        return self._failed_to_write or self._releasing > 0 or bool(self._recording)

    @property
    def nodes(self) -> set[str]:
        """The nodes of which a function runs here."""
        return {attempt.step.name for attempt in self._attempts.values()}

    @property
    def executions(self) -> set[str]:
        """The executions of which a function runs here."""
        return set(self._by_execution)

    def is_busy_with(self, execution_id: str) -> bool:
        """Whether a function of the execution runs here."""
        return execution_id in self._by_execution

    def _of(self, execution_id: str) -> list[Attempt]:
        return list(self._by_execution.get(execution_id, {}).values())

    async def _run(self, attempt: Attempt) -> None:
        try:
            command = await self._functions.outcome(attempt)
        finally:
            self._leave_place(attempt)
        if command is not None and not attempt.given_up and self._submit is not None:
            with self._ending(attempt):
                await self._record(attempt, command)

    def _leave_place(self, attempt: Attempt) -> None:
        """Nothing of an attempt runs any more: it has ended, or was cancelled before it began."""
        if self._attempts.pop(attempt.token, None) is not None:
            siblings = self._by_execution[attempt.execution_id]
            del siblings[attempt.token]
            if not siblings:
                del self._by_execution[attempt.execution_id]
            self.give_back(1)

    @contextmanager
    def _ending(self, attempt: Attempt) -> Iterator[None]:
        """The end of an attempt is being written; it cannot be if this is closed meanwhile."""
        token = attempt.token
        self._recording.add(token)
        try:
            yield
        except DatabaseUnavailable as error:
            self._failed_to_write = True
            log.warning(
                "%s has ended, and that could not be written (%s): others will run it anew",
                attempt.computation.id,
                error,
                extra=attempt.about,
            )
        finally:
            self._recording.discard(token)

    async def _record(self, attempt: Attempt, command: Command) -> None:
        assert self._submit is not None
        try:
            await self._submit(attempt.execution_id, command)
        except InvalidValueError as error:  # PostgreSQL would not have the result, or its error
            told = str(error).encode("ascii", "backslashreplace").decode()  # in any encoding
            await self._submit(attempt.execution_id, attempt.failed(told))
        except ExecutionNotFound:  # archived and purged while the function ran
            log.info("%s has no execution any more", attempt.computation.id, extra=attempt.about)

    # --- giving up ----------------------------------------------------------------------------

    def _give_up(self, attempt: Attempt) -> None:
        """The deadline has come: abandon the attempt, whether or not its function stops."""
        if self._submit is None:
            return
        computation = attempt.computation
        log.warning("%s was given up at its deadline", computation.id, extra=attempt.about)
        abandon = Abandon(computation.key, computation.token)
        self._tasks.spawn(self._abandon(attempt, abandon), "abandons")
        attempt.stop()

    async def _abandon(self, attempt: Attempt, abandon: Abandon) -> None:
        assert self._submit is not None
        with self._ending(attempt), suppress(ExecutionNotFound):  # archived and purged meanwhile
            await self._submit(attempt.execution_id, abandon)

    def discard(self, execution_id: str, key: ComputationKey) -> None:
        """Stop an attempt that was given up by somebody else."""
        for attempt in self._of(execution_id):
            if attempt.computation.key == key:
                attempt.stop()

    def tokens(self, execution_id: str) -> set[int]:
        """The tokens of the attempts that run here for an execution."""
        return set(self._by_execution.get(execution_id, ()))

    def reconcile(self, state: State, running: Collection[int]) -> None:
        """Stop the attempts that somebody else has given up, or whose beginning was lost.

        That is to be seen in a state of those that were `running` when it was asked for.
        """
        for attempt in self._of(state.execution_id):
            newest = state.newest.get(attempt.computation.node)
            if attempt.token in running and (newest is None or newest.token != attempt.token):
                attempt.stop()

    def become(self, worker: str) -> None:
        """Others took this process for dead and have its work: drop it, go on as a new worker."""
        self._former.add(self.worker)
        self.worker = worker
        for attempt in list(self._attempts.values()):
            attempt.stop()

    # --- the end ------------------------------------------------------------------------------

    def kill(self) -> None:
        """Stop dead: nothing comes of what runs. A thread cannot be stopped, and runs on."""
        self._draining = self._finished = True
        self._submit = None
        self._deadlines.stop()
        for attempt in self._attempts.values():
            attempt.interrupted = True
        self._tasks.kill()

    async def ended(self) -> None:
        """Return when nothing is left of what was killed but threads."""
        await self._tasks.cancel()

    def runs(self, task: "asyncio.Task[Any] | None") -> bool:
        """Whether this is a task of its own, as one in which a function is called."""
        return task in self._tasks

    def under_way(self, besides: Collection[str]) -> list["asyncio.Task[None]"]:
        """What runs or is recorded, but for what was given up, and functions of `besides`."""
        waived = {a.task for a in self._attempts.values() if a.given_up or a.step.name in besides}
        return [task for task in self._tasks.all if task not in waived]

    def drain(self) -> None:
        """Take no more work."""
        self._draining = True

    async def finish(self, grace: float) -> None:
        """Let what runs end within `grace` seconds, then release the rest for other workers."""
        self.drain()
        await self._all_begun()
        running = [attempt.task for attempt in self._attempts.values() if attempt.task]
        if running and grace > 0:
            await asyncio.wait(running, timeout=grace)
        self._finished = True
        self._deadlines.stop()
        left: dict[str, list[ComputationKey]] = {}
        for attempt in list(self._attempts.values()):
            attempt.interrupted = True
            if not attempt.given_up:
                left.setdefault(attempt.execution_id, []).append(attempt.computation.key)
            if attempt.task is not None:
                attempt.task.cancel()
        _, all_ended = await asyncio.gather(
            self._release(left, self.worker), self._tasks.finished(LAST_GRACE)
        )
        if not all_ended and self._attempts:
            nodes = ", ".join(sorted(self.nodes))
            log.error("functions that ignore their cancellation were left behind: %s", nodes)

    async def _all_begun(self) -> None:
        """Return when no beginning is at the database any more: what it begins gets its grace."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_GRACE):
                while self._taken > len(self._attempts):
                    self._moved.clear()
                    await self._moved.wait()

    async def _release(
        self, left: Mapping[str, Iterable[ComputationKey]], worker: str | None
    ) -> None:
        if self._submit is None or worker is None or not left:
            return
        releases = [
            self._submit(execution_id, Release(worker, died=False, keys=tuple(keys)))
            for execution_id, keys in left.items()
        ]
        self._releasing += 1
        try:
            async with asyncio.timeout(LAST_GRACE):
                answers = await asyncio.gather(*releases, return_exceptions=True)
        except TimeoutError as error:
            answers = [error]
        finally:
            self._releasing -= 1
        failed = [
            answer
            for answer in answers
            # not what was archived and purged meanwhile
            if isinstance(answer, Exception) and not isinstance(answer, ExecutionNotFound)
        ]
        for failure in failed:
            if isinstance(failure, DatabaseUnavailable | TimeoutError):
                why = str(failure) or f"no answer within {LAST_GRACE:g} s"
                log.warning("work could not be given back (%s): others will run it anew", why)
            else:
                log.error("work could not be given back", exc_info=failure)
        if failed and worker == self.worker:
            self._failed_to_write = True


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
