"""One way into the database: commands are decided in memory and written in groups.

While one batch is at the database the next one gathers; there is no timer. Commands for the same
execution are settled one after the other and share one write.

Cancelling a caller takes its command back while it waits, and nothing afterwards: a batch belongs
to the committer's own tasks, so a command happens as a whole or not at all.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from journey_async.core.change import Change
from journey_async.core.commands import Command
from journey_async.core.graph import Graph
from journey_async.core.state import State
from journey_async.engine.cache import StateCache
from journey_async.engine.clock import Clock
from journey_async.engine.contention import Contention
from journey_async.engine.decider import Decider
from journey_async.engine.flights import Flights
from journey_async.engine.loader import Loader
from journey_async.engine.points import Points
from journey_async.engine.registry import Registry
from journey_async.engine.request_queue import RequestQueue
from journey_async.engine.requests import Answer, Request, wake_for_nobody
from journey_async.engine.runner import Runner
from journey_async.engine.tasks import Tasks
from journey_async.engine.writer import Writer
from journey_async.errors import DatabaseUnavailable
from journey_async.store.store import Store

LAST_PATIENCE = 5.0  # seconds in which a closing Journey tries to write what waits
SHORT_PATIENCE = 0.5  # the same, where some of it has been waited for in vain

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
        self._cache = cache
        self._loader = Loader(
            store=store, cache=cache, registry=registry, runner=runner, committed=committed
        )
        decider = Decider(registry, runner, clock)
        writer = Writer(
            store=store,
            cache=cache,
            runner=runner,
            sender=sender,
            committed=committed,
            points=points,
        )
        contention = Contention(
            store=store,
            cache=cache,
            registry=registry,
            runner=runner,
            decider=decider,
            writer=writer,
            points=points,
        )
        self._closed_because: str | None = None
        self._is_closing = False
        self._queue = RequestQueue()
        self._tasks = Tasks("committer")
        self._flights = Flights(
            store=store,
            cache=cache,
            queue=self._queue,
            loader=self._loader,
            decider=decider,
            writer=writer,
            contention=contention,
            tasks=self._tasks,
            interrupted=self._interrupted,
        )

    def start(self) -> None:
        """Begin to write."""
        self._flights.start()

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

    def _interrupted(self) -> DatabaseUnavailable:
        if self._closed_because is not None and not self._is_closing:
            return DatabaseUnavailable(self._closed_because)  # it was killed
        return DatabaseUnavailable(PERHAPS_WRITTEN)

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
