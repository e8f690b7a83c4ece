"""Puts the parts together: what starts before what, and who tells whom."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

from journey_async.core.change import Change
from journey_async.core.commands import Command, Release, Start, Wake
from journey_async.core.graph import Graph
from journey_async.core.jsonvalue import JSON
from journey_async.core.state import State, new_state
from journey_async.core.values import ComputationState
from journey_async.engine.cache import StateCache
from journey_async.engine.callbacks import Callbacks
from journey_async.engine.clock import Clock, SystemClock
from journey_async.engine.committer import Committer
from journey_async.engine.listener import Listener
from journey_async.engine.liveness import Liveness, new_worker_id
from journey_async.engine.reader import Reader
from journey_async.engine.registry import Registry
from journey_async.engine.requests import Settled
from journey_async.engine.runner import Runner
from journey_async.engine.scheduler import Scheduler
from journey_async.engine.tasks import Tasks, log
from journey_async.engine.waiters import Waiters
from journey_async.errors import DatabaseUnavailable, ExecutionNotFound
from journey_async.store.channels import Channels
from journey_async.store.connecting import Connect
from journey_async.store.store import Store

T = TypeVar("T")

EVOLUTION_BATCH = 200  # executions that take on a changed graph at once
REFRESH_PAUSE = 0.2  # seconds between attempts to read for those who wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an engine works; times in seconds."""

    schema: str
    run_computations: bool
    max_concurrency: int
    cache_size: int
    max_value_bytes: int
    lease: float
    grace_period: float
    patience: float


class Engine:
    """Everything behind the verbs of a Journey."""

    def __init__(
        self, store: Store, connect: Connect, clock: Clock, settings: Settings, journey: Any
    ) -> None:
        self.store = store
        self.clock = clock
        self.settings = settings
        worker = new_worker_id()
        channels = Channels.of(settings.schema)
        capacity = settings.max_concurrency if settings.run_computations else 0
        self.waiters = Waiters()
        self.cache = StateCache(settings.cache_size)
        self.registry = Registry(store, clock)
        self.runner = Runner(worker, capacity, clock, settings.max_value_bytes, journey)
        self.scheduler = Scheduler(store, self.registry, self.runner, clock)
        self.committer = Committer(
            store=store,
            cache=self.cache,
            registry=self.registry,
            runner=self.runner,
            clock=clock,
            sender=worker,
            committed=self._committed,
        )
        self._reader = Reader(store, self.cache)
        self._callbacks = Callbacks()
        self._listener = Listener(
            connect=connect,
            channels=channels,
            sender=worker,
            changed=self._changed,
            due=self.scheduler.expect,
            reconnected=self._reconnected,
        )
        self._liveness = Liveness(
            connect=connect,
            schema=settings.schema,
            clock=clock,
            lease=settings.lease,
            worker=worker,
            died=self._died,
            replaced=self.runner.become,
        )
        self._tasks = Tasks("engine")
        self._refreshing: set[str] = set()
        self._logged: set[tuple[str, str, str]] = set()
        self._stack = AsyncExitStack()

    # --- life ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen first, then take up what was left behind; raises DatabaseUnavailable."""
        async with AsyncExitStack() as stack:
            stack.callback(self.waiters.close)
            stack.push_async_callback(self._reader.stop)
            stack.push_async_callback(self._tasks.cancel)
            await self._listener.start()
            stack.push_async_callback(self._listener.stop)
            self.committer.start()
            stack.push_async_callback(self.committer.stop)
            self.runner.start_up(self.committer.submit, self.scheduler.has_room)
            if self.settings.run_computations:
                await self._liveness.start()
                stack.push_async_callback(self._liveness.stop)
                stack.push_async_callback(self._finish_work)
                self.scheduler.start(self.committer.submit, self._set_clock, self._evolve_idle)
                stack.push_async_callback(self.scheduler.stop)
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Stop taking work, let what runs finish within the grace period, release the rest."""
        self.runner.drain()
        await self._stack.aclose()

    async def _set_clock(self) -> None:
        """Take over the database's time, lest the clocks drift apart."""
        if isinstance(self.clock, SystemClock):
            server = await self.store.look()
            self.clock.discipline(server.now, server.elapsed)

    async def _evolve_idle(self) -> None:
        """Let executions take on a changed graph though nothing else happens to them."""
        while outdated := await self.registry.outdated(EVOLUTION_BATCH):
            woken = await asyncio.gather(
                *(self.committer.submit(e, Wake()) for e in outdated), return_exceptions=True
            )
            for failed in (one for one in woken if isinstance(one, Exception)):
                log.error("an execution could not take on a changed graph", exc_info=failed)
            if not any(isinstance(one, Settled) and one.change.written for one in woken):
                return  # others are at it

    async def _finish_work(self) -> None:
        await self.runner.finish(self.settings.grace_period)
        await self._callbacks.finish(self.settings.grace_period)

    # --- what the verbs need ------------------------------------------------------------------

    async def register(self, graph: Graph) -> None:
        """Make the code of a graph known; raises GraphConflictError."""
        if self.registry.has(graph):
            return
        await self.registry.register(graph)
        if self.settings.run_computations:
            self._tasks.spawn(self._evolve_idle(), f"evolves executions of {graph.name}")
            self.scheduler.expect()

    async def create(self, graph: Graph, execution_id: str, values: dict[str, JSON]) -> Settled:
        """Start an execution of a graph that is registered."""
        initial = new_state(execution_id, graph, self.clock.now())
        return await self.submit(execution_id, Start(values), initial=initial)

    async def submit(
        self, execution_id: str, command: Command, *, initial: State | None = None
    ) -> Settled:
        """Let a command happen, with the patience of a caller."""
        return await self.committer.submit(
            execution_id, command, initial=initial, patience=self.settings.patience
        )

    async def known(self, execution_id: str) -> State:
        """A state of the execution, current or not; raises ExecutionNotFound."""
        return self.cache.get(execution_id) or await self.current(execution_id)

    async def current(self, execution_id: str) -> State:
        """The state as of now; raises ExecutionNotFound, DatabaseUnavailable."""
        state = await self.patiently(lambda: self._reader.current(execution_id))
        if state is None:
            raise ExecutionNotFound(execution_id)
        return state

    async def patiently(self, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Try to read until the database lets it, or the patience of a caller is at an end."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self.settings.patience
        while True:
            try:
                return await read()
            except DatabaseUnavailable:
                if loop.time() >= give_up_at:
                    raise
                await asyncio.sleep(REFRESH_PAUSE * random.uniform(0.5, 1))

    # --- what happens by itself ---------------------------------------------------------------

    def _committed(self, change: Change, graph: Graph) -> None:
        """This process has written a change."""
        state = change.state
        self.waiters.offer(state)
        if change.announces:
            self.scheduler.expect(state.wake_at)
        for key, computation in change.computations.items():
            if computation.state is ComputationState.ABANDONED:
                self.runner.discard(state.execution_id, key)
        if change.outcomes:
            self._callbacks.fire(change, graph)
        for step, predicate, error in change.failures:
            self._log_once(graph, step, predicate.function.name, error)

    def _log_once(self, graph: Graph, step: str, predicate: str, error: Exception) -> None:
        if (graph.hash, step, predicate) not in self._logged:
            self._logged.add((graph.hash, step, predicate))
            log.warning(
                "predicate %s on which node %r of graph %r waits raised, and counts as not met",
                predicate,
                step,
                graph.name,
                exc_info=error,
            )

    def _changed(self, versions: dict[str, int]) -> None:
        """Another process has written these executions."""
        for execution_id, version in versions.items():
            self.cache.drop(execution_id, older_than=version)
            self._refresh(execution_id)

    async def _reconnected(self) -> None:
        """Notifications may have been missed: look at everything that somebody waits for."""
        self.scheduler.expect()
        for execution_id in list(self.waiters.executions):
            self._refresh(execution_id)

    def _refresh(self, execution_id: str) -> None:
        if self._is_of_interest(execution_id) and execution_id not in self._refreshing:
            self._refreshing.add(execution_id)
            self._tasks.spawn(self._show_current(execution_id), f"reads {execution_id}")

    def _is_of_interest(self, execution_id: str) -> bool:
        """Whether somebody here waits for the execution, or computes for it."""
        return execution_id in self.waiters.executions or self.runner.is_busy_with(execution_id)

    async def _show_current(self, execution_id: str) -> None:
        """Read once for all who wait for the execution, and for its functions that run here."""
        try:
            while self._is_of_interest(execution_id):
                self._refreshing.discard(execution_id)  # what comes from here on is read anew
                try:
                    state = await self._reader.current(execution_id)
                except DatabaseUnavailable:
                    await asyncio.sleep(REFRESH_PAUSE)
                    continue
                if state is not None:
                    self.waiters.offer(state)
                    self.runner.reconcile(state)
                return
        finally:
            self._refreshing.discard(execution_id)

    async def _died(self, workers: list[str]) -> None:
        """Others have died: what they were running is available again."""
        work = await self.store.work_of(workers)
        releases = [self.committer.submit(i, Release(worker, died=True)) for i, worker in work]
        for (execution_id, _), answer in zip(
            work, await asyncio.gather(*releases, return_exceptions=True), strict=True
        ):
            if isinstance(answer, DatabaseUnavailable):
                raise answer
            if isinstance(answer, BaseException):
                log.error("work in %s could not be released", execution_id, exc_info=answer)
