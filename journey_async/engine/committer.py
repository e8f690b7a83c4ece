"""One way into the database: commands are decided in memory and written in groups.

While one batch is at the database the next one gathers; there is no timer. Commands for the same
execution are settled one after the other and share one write. A change whose execution was
written by somebody else in between is decided again on a fresh load; after a few such conflicts
in a row, under a row lock. An answer that writes nothing is confirmed against the version in the
database before it is given.

Cancelling a caller takes its command back while it waits, and nothing afterwards: a batch belongs
to the committer's own tasks, so a command happens as a whole or not at all.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from time import perf_counter

from journey_async.core.change import Change
from journey_async.core.commands import Command, Start
from journey_async.core.graph import Graph
from journey_async.core.state import State
from journey_async.engine.cache import StateCache
from journey_async.engine.clock import Clock
from journey_async.engine.contention import Contention
from journey_async.engine.decider import Decider
from journey_async.engine.loader import Loader
from journey_async.engine.logs import Outage, log
from journey_async.engine.points import Points
from journey_async.engine.registry import Registry
from journey_async.engine.request_queue import RequestQueue
from journey_async.engine.requests import (
    Answer,
    Decision,
    Overtaken,
    Request,
    refuse_all,
    wake_for_nobody,
)
from journey_async.engine.runner import Runner
from journey_async.engine.tasks import Tasks, is_being_cancelled
from journey_async.engine.writer import Writer
from journey_async.errors import DatabaseUnavailable, InvalidValueError, JourneyError
from journey_async.store.breath import is_long
from journey_async.store.faults import DataRefused, RowHeld
from journey_async.store.store import Store

FLIGHTS = 2  # batches at the database at once
MAX_BATCH = 64  # executions in a batch: deciding them takes some 4 ms of the event loop
SHARED_FROM = 16  # waiting executions of which idle flights take equal shares
LOCKING = 2  # executions whose row lock is waited for at once, each with a connection
LAST_PATIENCE = 5.0  # seconds in which a closing Journey tries to write what waits
SHORT_PATIENCE = 0.5  # the same, where some of it has been waited for in vain
MAX_PAUSE = 0.5  # seconds between attempts at a database that is away

NOT_WRITTEN = "Journey was closed before it could write this"
PERHAPS_WRITTEN = "Journey was closed while it was writing this, which may have been written"


class Committer:
    """Decides commands and writes what follows from them."""

    def __init__(
        self,
        *,
        store: Store,
        cache: StateCache,
        registry: Registry,
        runner: Runner,
        clock: Clock,
        sender: str,
        committed: Callable[[Change, Graph], None],
        points: Points,
    ) -> None:
        self._store = store
        self._cache = cache
        self._loader = Loader(
            store=store, cache=cache, registry=registry, runner=runner, committed=committed
        )
        self._decider = Decider(registry, runner, clock)
        self._writer = Writer(
            store=store,
            cache=cache,
            runner=runner,
            sender=sender,
            committed=committed,
            points=points,
        )
        self._contention = Contention(
            store=store,
            cache=cache,
            registry=registry,
            runner=runner,
            decider=self._decider,
            writer=self._writer,
            points=points,
        )
        self._outage = Outage()
        self._closed_because: str | None = None
        self._is_closing = False
        self._queue = RequestQueue()
        self._flying = 0  # batches at the database
        self._locking = asyncio.Semaphore(LOCKING)
        self._tasks = Tasks("committer")

    def start(self) -> None:
        """Begin to write."""
        for number in range(FLIGHTS):
            self._tasks.spawn(self._fly(), f"flight {number}")

    async def finish(self, *, in_vain: bool) -> None:
        """Take nothing more, and write what waits, if the database lets it in time.

        Then the rest is refused, and what is being written is cancelled. `in_vain`: others have
        waited for the database already.
        """
        self._is_closing = True
        with suppress(TimeoutError):
            async with asyncio.timeout(SHORT_PATIENCE if in_vain else LAST_PATIENCE):
                await self._queue.idle.wait()
        self._end(NOT_WRITTEN)
        self._tasks.kill()

    async def ended(self) -> None:
        """Return when nothing is left of what was finished or killed.

        To take back a statement that is under way takes its time if the database does not answer.
        """
        await self._tasks.ended()

    def kill(self, why: str) -> None:
        """Stop dead."""
        self._end(why)
        self._tasks.kill()

    async def rest(self) -> None:
        """Return when nothing waits, and nothing is being written."""
        await self._queue.idle.wait()

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing waits, and nothing is being written."""
        return self._queue.idle.is_set()

    @property
    def has_uncertain(self) -> bool:
        """Whether something may have been written, or begun, of which nothing is known here."""
        return bool(self._loader.uncertain) or self._queue.is_any_in_flight

    def _end(self, why: str) -> None:
        """Nobody will write any more: refuse what waits, and what comes."""
        self._closed_because = self._closed_because or why
        self._queue.end(DatabaseUnavailable(self._closed_because))

    async def submit(
        self,
        execution_id: str,
        command: Command,
        *,
        initial: State | None = None,
        patience: float | None = None,
        trace_context: str | None = None,
        yields: bool = False,
    ) -> Answer:
        """Let a command happen to an execution; what became of it.

        `initial` is the state of an execution that is to be created. For `patience` seconds
        (None: for ever) it waits for a database that cannot be reached. `trace_context` leads to
        the call that wants it. Raises what the core refuses with, ExecutionNotFound,
        InvalidValueError, SingletonGraphError, DatabaseUnavailable; if it `yields`, Overtaken.
        """
        if self._closed_because is not None or self._is_closing:
            raise DatabaseUnavailable(self._closed_because or NOT_WRITTEN)
        loop = asyncio.get_running_loop()
        give_up_at = None if patience is None else loop.time() + patience
        answer: asyncio.Future[Answer] = loop.create_future()
        request = Request(
            execution_id,
            command,
            answer,
            give_up_at,
            initial,
            trace_context=trace_context,
            yields=yields,
        )
        self._queue.add(request)
        try:
            return await request.answer
        except asyncio.CancelledError:
            self._take_back(request)
            raise

    def _take_back(self, request: Request) -> None:
        """Its caller was cancelled: if it still waits, nothing is to come of it."""
        execution_id, queue = request.execution_id, self._queue
        queue.withdraw(request)
        is_left = not queue.has(execution_id) and not queue.is_in_flight(execution_id)
        finds_out = execution_id in self._loader.uncertain and self._closed_because is None
        if is_left and finds_out:  # as the request was to
            queue.add(wake_for_nobody(execution_id))

    def check_own_writes(self, versions: Mapping[str, int]) -> None:
        """Load executions that this process has written, by notifications, and does not know so.

        A write whose answer was lost may reach the database long after it was given up: later
        than the load that found nothing of it.
        """
        for execution_id, version in versions.items():
            if self._queue.has(execution_id) or self._queue.is_in_flight(execution_id):
                continue  # whatever is decided now meets the new version
            known = self._cache.get(execution_id)
            if known is None or known.version < version:
                self.take_in([execution_id])

    def take_in(self, execution_ids: Iterable[str]) -> None:
        """Load these executions, and take in what is not known here of what was written."""
        for execution_id in execution_ids:
            self._loader.mark_uncertain(execution_id)
            self._queue.add(wake_for_nobody(execution_id))

    # --- batches ------------------------------------------------------------------------------

    async def _fly(self) -> None:
        pause = 0.0
        while True:
            await self._queue.work.wait()
            batch = self._queue.take(self._share())
            if not batch:
                continue
            self._flying += 1
            try:
                await self._commit(batch)
                pause = 0.0
            except DatabaseUnavailable as error:
                self._outage.goes_on(error)
                self._put_off(batch, error)
                pause = min(max(pause * 2, 0.02), MAX_PAUSE)
            except BaseException as error:
                self._fail(batch, error)
            finally:
                self._flying -= 1
                self._queue.landed(batch)
            if pause:
                await asyncio.sleep(pause * random.uniform(0.5, 1))

    def _begin_apart(self, execution_id: str, requests: list[Request]) -> None:
        """Have them committed apart, or refused if that is cancelled before it begins."""

        def refuse(task: "asyncio.Task[None]") -> None:
            if task.cancelled():
                refuse_all(requests, self._interrupted())

        work = self._commit_apart(execution_id, requests)
        self._tasks.start(work, f"locks {execution_id}").add_done_callback(refuse)

    async def _commit_apart(self, execution_id: str, requests: list[Request]) -> None:
        """Commit under the row lock beside the flights: whoever holds the row may take long."""
        batch = {execution_id: requests}
        try:
            async with self._locking:
                await self._commit_locked(execution_id, requests)
        except DatabaseUnavailable as error:
            if not isinstance(error, RowHeld):  # which stops this execution alone
                self._outage.goes_on(error)
            self._put_off(batch, error)
            await asyncio.sleep(MAX_PAUSE * random.uniform(0.5, 1))
        except BaseException as error:
            self._fail(batch, error)
        finally:
            self._queue.landed(batch)

    async def _commit_locked(self, execution_id: str, requests: list[Request]) -> None:
        try:
            refusal = await self._contention.commit(execution_id, requests)
        except RowHeld:
            raise  # nothing was written
        except (DatabaseUnavailable, asyncio.CancelledError):
            self._loader.mark_uncertain(execution_id)
            raise
        if refusal is None:
            return
        if len(requests) == 1:
            requests[0].refuse(refusal)
            return
        for request in requests:  # which of them it is; one whose swap fails would wait again
            await self._commit_locked(execution_id, [request])

    def _fail(self, batch: dict[str, list[Request]], error: BaseException) -> None:
        """Give the batch up, and tell those who wait; raise what is to end this task."""
        told: Exception
        ends = isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit) or (
            isinstance(error, asyncio.CancelledError)
            and (self._closed_because is not None or is_being_cancelled())
        )
        if ends:
            told = self._interrupted()
        else:
            log.error("these could not be written: %s", ", ".join(batch), exc_info=error)
            told = error if isinstance(error, Exception) else JourneyError(f"{error!r} was raised")
        for requests in batch.values():
            refuse_all(requests, told)
        if ends:
            raise error

    def _interrupted(self) -> DatabaseUnavailable:
        if self._closed_because is not None and not self._is_closing:
            return DatabaseUnavailable(self._closed_because)  # it was killed
        return DatabaseUnavailable(PERHAPS_WRITTEN)

    def _share(self) -> int:
        """How many executions a flight takes: with two, one is decided while one is written."""
        if len(self._queue) < SHARED_FROM:
            return MAX_BATCH
        return min(MAX_BATCH, -(-len(self._queue) // max(FLIGHTS - self._flying, 1)))

    async def _commit(self, batch: dict[str, list[Request]]) -> None:
        for execution_id in self._contention.among(batch) - self._loader.uncertain:
            # in flight still, but not with these
            self._begin_apart(execution_id, batch.pop(execution_id))
        await self._commit_batch(batch)

    async def _commit_batch(self, batch: dict[str, list[Request]]) -> None:
        states = await self._loader.states(batch)
        await self._write(await self._decider.decide_all(batch, states))

    async def _write(self, decisions: list[Decision]) -> None:
        writes = [decision for decision in decisions if decision.change.written]
        answers = [decision for decision in decisions if not decision.change.written]
        try:
            applied = await self._writer.write(writes) if writes else set()
        except DataRefused as error:
            await self._write_apart(writes, InvalidValueError(str(error)))
            writes, applied = [], set()
        except (DatabaseUnavailable, asyncio.CancelledError):
            self._loader.mark_all_uncertain(writes)
            self._decider.give_back(writes)
            raise
        except BaseException:
            self._decider.give_back(writes)
            raise
        if applied:
            self._outage.is_over()
        since = perf_counter()
        self._writer.reach_after([d for d in writes if d.change.state.execution_id in applied])
        for decision in writes:
            if decision.change.state.execution_id in applied:
                self._writer.follow(decision)
            else:
                self._lost(decision)
        if is_long(since):
            await asyncio.sleep(0)  # the next batch may be long, too
        await self._confirm(answers)

    async def _write_apart(self, writes: list[Decision], error: JourneyError) -> None:
        """Write the changes of a refused batch one by one, so that one of them harms no other."""
        self._decider.give_back(writes)
        if len(writes) == 1:
            await self._separate(writes[0].requests, error)
            return
        for decision in writes:
            await self._redo(decision.requests)

    async def _separate(self, requests: list[Request], error: JourneyError) -> None:
        """Find out which of the requests for one execution it is that was refused with `error`."""
        if len(requests) == 1:
            requests[0].refuse(error)
            return
        for request in requests:
            await self._redo([request])

    async def _redo(self, requests: list[Request]) -> None:
        """Decide and write requests for one execution anew, alone."""
        await self._commit_batch({requests[0].execution_id: requests})

    # --- what became of them ------------------------------------------------------------------

    def _lost(self, decision: Decision) -> None:
        """Somebody else wrote the execution, or holds it: decide again on a fresh load."""
        execution_id = decision.change.state.execution_id
        self._cache.drop(execution_id)
        self._decider.give_back([decision])
        for request in decision.requests:
            if request.answer.done():
                continue
            if request.yields:
                request.refuse(Overtaken())
                continue
            self._contention.lost(request)
            if isinstance(request.command, Start) and decision.change.slot is not None:
                request.refuse(decision.slot_taken())
        self._queue.put_back(execution_id, decision.requests)

    async def _confirm(self, decisions: list[Decision]) -> None:
        """Give answers that write nothing, if the state that they are based on is current."""
        if not decisions:
            return
        versions = await self._store.versions([d.change.state.execution_id for d in decisions])
        for decision in decisions:
            state = decision.change.state
            if versions.get(state.execution_id) == state.version:
                decision.give_answers()
            else:
                self._lost(decision)

    def _put_off(self, batch: dict[str, list[Request]], error: DatabaseUnavailable) -> None:
        """The database is away, or a row is held: try again later what can wait."""
        now = asyncio.get_running_loop().time()
        for execution_id, requests in batch.items():
            self._cache.drop(execution_id)
            for request in requests:
                if request.give_up_at is not None and now >= request.give_up_at:
                    request.refuse(error)
            self._queue.put_back(execution_id, requests)
            if execution_id in self._loader.uncertain and not self._queue.has(execution_id):
                self._queue.add(wake_for_nobody(execution_id))
