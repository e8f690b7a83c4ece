"""Takes what waits for the database, and brings it there: in batches, or apart under a row lock.

A change whose execution was written by somebody else in between is decided again on a fresh load;
after a few such conflicts in a row, under a row lock. An answer that writes nothing is confirmed
against the version in the database before it is given.
"""

import asyncio
import random
from collections.abc import Callable
from time import perf_counter

from journey_async.core.commands import Start
from journey_async.engine.cache import StateCache
from journey_async.engine.contention import Contention
from journey_async.engine.decider import Decider
from journey_async.engine.loader import Loader
from journey_async.engine.logs import Outage, log
from journey_async.engine.request_queue import RequestQueue
from journey_async.engine.requests import (
    Decision,
    Overtaken,
    Request,
    refuse_all,
    wake_for_nobody,
)
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
MAX_PAUSE = 0.5  # seconds between attempts at a database that is away


class Flights:
    """Commits the requests in a queue; `interrupted` makes the error for who is left behind."""

    def __init__(
        self,
        *,
        store: Store,
        cache: StateCache,
        queue: RequestQueue,
        loader: Loader,
        decider: Decider,
        writer: Writer,
        contention: Contention,
        tasks: Tasks,
        interrupted: Callable[[], DatabaseUnavailable],
    ) -> None:
        self._store = store
        self._cache = cache
        self._queue = queue
        self._loader = loader
        self._decider = decider
        self._writer = writer
        self._contention = contention
        self._tasks = tasks
        self._interrupted = interrupted
        self._outage = Outage()
        self._flying = 0  # batches at the database
        self._locking = asyncio.Semaphore(LOCKING)

    def start(self) -> None:
        """Begin to write."""
        for number in range(FLIGHTS):
            self._tasks.spawn(self._fly(), f"flight {number}")

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

    # --- apart --------------------------------------------------------------------------------

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
            self._queue.put_back(execution_id, requests)  # who is to create it
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

    # --- what became of them ------------------------------------------------------------------

    def _lost(self, decision: Decision) -> None:
        """Somebody else wrote the execution, or holds it: decide again on a fresh load."""
        execution_id = decision.change.state.execution_id
        self._cache.outdate(execution_id)
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
            if versions.get(state.execution_id, 0) == state.version:  # 0: it is not created
                decision.give_answers()
            else:
                self._lost(decision)

    def _put_off(self, batch: dict[str, list[Request]], error: DatabaseUnavailable) -> None:
        """The database is away, or a row is held: try again later what can wait."""
        now = asyncio.get_running_loop().time()
        for execution_id, requests in batch.items():
            self._cache.outdate(execution_id)
            for request in requests:
                if request.give_up_at is not None and now >= request.give_up_at:
                    request.refuse(error)
            self._queue.put_back(execution_id, requests)
            if execution_id in self._loader.uncertain and not self._queue.has(execution_id):
                self._queue.add(wake_for_nobody(execution_id))

    def _fail(self, batch: dict[str, list[Request]], error: BaseException) -> None:
        """Give the batch up, and tell those who wait; raise what is to end this task."""
        told: Exception
        ends = isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit) or (
            isinstance(error, asyncio.CancelledError)
            and (self._queue.is_ended or is_being_cancelled())
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
