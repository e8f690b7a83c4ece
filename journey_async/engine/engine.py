"""Puts the parts together: what starts before what, and who tells whom."""

import asyncio
import random
import threading
from collections.abc import Callable, Collection, Coroutine, Iterable
from contextlib import AsyncExitStack
from functools import partial
from itertools import chain
from typing import Any, TypeVar

from journey_async.core.change import Change
from journey_async.core.commands import Command, Start
from journey_async.core.graph import Graph
from journey_async.core.jsonvalue import JSON
from journey_async.core.state import State, new_state
from journey_async.core.values import ABANDONED
from journey_async.engine.cache import StateCache
from journey_async.engine.callbacks import Callbacks
from journey_async.engine.clock import Clock, take_over
from journey_async.engine.committer import Committer
from journey_async.engine.evolver import Evolver
from journey_async.engine.instrumentation import Instrumentation
from journey_async.engine.instruments import Instruments
from journey_async.engine.listener import Listener
from journey_async.engine.liveness import Liveness, new_worker_id
from journey_async.engine.logs import Complaints
from journey_async.engine.points import Point, Points
from journey_async.engine.poller import Poller
from journey_async.engine.reader import Reader
from journey_async.engine.refresher import Refresher
from journey_async.engine.registry import Registry
from journey_async.engine.releaser import Releaser
from journey_async.engine.requests import Answer
from journey_async.engine.runner import Runner
from journey_async.engine.safety_check import SafetyCheck
from journey_async.engine.scheduler import Scheduler
from journey_async.engine.settings import Settings
from journey_async.engine.tasks import Tasks
from journey_async.engine.waiters import Waiters
from journey_async.engine.watchdog import Watchdog
from journey_async.errors import DatabaseUnavailable, ExecutionNotFound, JourneyError
from journey_async.store.channels import Channels
from journey_async.store.connecting import Connect
from journey_async.store.store import Store

T = TypeVar("T")

READ_PAUSE = 0.2  # seconds between attempts to read for a caller


class Engine:
    """Everything behind the verbs of a Journey."""

    def __init__(
        self,
        store: Store,
        connect: Connect,
        clock: Clock,
        settings: Settings,
        journey: Any,
        *,
        points: Points | None = None,
        instrumentation: Instrumentation | None = None,
    ) -> None:
        self._points = points = points or Points()
        self.store = store
        self.clock = clock
        self.settings = settings
        worker = new_worker_id()
        self.instruments = Instruments(instrumentation)
        self.waiters = Waiters()
        self.cache = StateCache(settings.cache_size, hears=lambda: self._listener.is_listening)
        store.when_another_answers(self.cache.clear)
        computes = settings.run_computations
        self.registry = Registry(store, clock, lambda: self.runner.worker if computes else None)
        self.runner = Runner(
            worker,
            settings.max_concurrency if computes else 0,
            clock,
            settings.max_value_bytes,
            journey,
            points=points,
            instruments=self.instruments,
        )
        self.scheduler = Scheduler(store, self.registry, self.runner, clock, points)
        self.committer = Committer(
            store=store,
            cache=self.cache,
            registry=self.registry,
            runner=self.runner,
            clock=clock,
            sender=worker,
            committed=self._committed,
            points=points,
        )
        self._reader = Reader(store, self.cache, self.registry)
        self._callbacks = Callbacks()
        self._refresher = Refresher(
            store=store,
            cache=self.cache,
            registry=self.registry,
            reader=self._reader,
            waiters=self.waiters,
            runner=self.runner,
            look=self.scheduler.expect,
            take_in=self.committer.take_in,
        )
        self._releaser = Releaser(
            store=store, runner=self.runner, submit=self.committer.submit, points=points
        )
        self.evolver = Evolver(self.registry, self.committer.submit)
        self.safety_check = SafetyCheck(store, clock, done=self.scheduler.expect)
        self._liveness = self._new_liveness(connect, worker)
        self._listener = self._new_listener(connect, worker)
        self._tasks = Tasks("engine")
        self._background = (  # tasks of parts that have no other life
            self._refresher.tasks,
            self._releaser.tasks,
            self.evolver.tasks,
            self._tasks,
        )
        self._complaints = Complaints()
        self._stack = AsyncExitStack()
        self._closed_because: str | None = None
        self._is_closing = False
        self.home = asyncio.get_running_loop()
        self._home_thread = threading.get_ident()

    def _new_liveness(self, connect: Connect, worker: str) -> Liveness:
        return Liveness(
            connect=connect,
            schema=self.settings.schema,
            clock=self.clock,
            lease=self.settings.lease,
            look_interval=self.settings.look_interval,
            remembers_the_dead=self.settings.remembers_the_dead,
            worker=worker,
            graphs=self.registry.own_code,
            died=self._releaser.died,
            replaced=self._releaser.replaced,
            returned=self._refresher.look_at_running,
            peers=self.scheduler.peers.become,
            watchdog=Watchdog(self.runner.attempts),
            points=self._points,
        )

    def _new_listener(self, connect: Connect, worker: str) -> Listener:
        poller = Poller(
            store=self.store,
            of_interest=self._refresher.of_interest,
            changed=self._refresher.changed,
            look=self.scheduler.expect,
            check=self._refresher.check_waits,
            time_is=partial(take_over, self.clock),
        )
        return Listener(
            connect=connect,
            channels=Channels.of(self.settings.schema),
            sender=worker,
            changed=self._changed,
            written_here=self.committer.check_own_writes,
            unblocked=self.scheduler.unblocked,
            due=self.scheduler.expect,
            joined=self._liveness.heartbeat_now,
            resumed=self.cache.clear,  # the server may have lost what is known here
            reconnected=self._refresher.reconnected,
            check=self._refresher.check_waits,
            polls=poller.run,
            time_is=partial(take_over, self.clock),
            points=self._points,
        )

    # --- life ---------------------------------------------------------------------------------

    async def start(self, graphs: Iterable[Graph]) -> None:
        """Listen, show that this worker lives, register, take up what was left behind.

        In this order, so that nothing is missed, and others do not release what it begins.
        Raises DatabaseUnavailable, GraphConflictError.
        """
        async with AsyncExitStack() as stack:
            stack.callback(self.waiters.close)
            stack.push_async_callback(self._reader.stop)
            stack.push_async_callback(self._tasks.cancel)
            stack.push_async_callback(self._finish_callbacks)  # of what is written last
            stack.push_async_callback(self._releaser.tasks.cancel)
            stack.push_async_callback(self._refresher.tasks.cancel)
            await self._listener.start()
            stack.push_async_callback(self._listener.stop)
            stack.push_async_callback(self.committer.ended)
            stack.push_async_callback(self._take_leave)
            self.committer.start()
            stack.push_async_callback(self._finish_writing)
            stack.push_async_callback(self._finish_callbacks)  # they may write, too
            self.runner.start_up(self.committer.submit, self.scheduler.has_room)
            if self.settings.run_computations:
                await self._liveness.start()
                stack.push_async_callback(self._finish_work)
            for graph in graphs:
                await self.registry.register(graph)
            if self.settings.run_computations:
                self.scheduler.start(self.committer.submit)
                also = (self.evolver.check, self.store.fold_tallies, self._refresher.take_up)
                self.safety_check.start(self.committer.submit, *also)
                self._releaser.start()
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Stop taking work, let what runs finish within the grace period, release the rest."""
        self._is_closing = True
        if self._closed_because is not None:
            await self._left()
        self.runner.drain()
        await self._stack.aclose()
        self._closed_because = self._closed_because or "Journey was closed before it could do this"

    def kill(self, why: str) -> None:
        """Stop dead, as `kill -9` does to a process; for tests, from any thread.

        Nothing more is written and nothing given back; the worker's row stays, and its lock goes
        with its connection. `stop` then only waits until nothing is left. Who calls or waits gets
        DatabaseUnavailable with `why`.
        """
        self._liveness.kill()
        if threading.get_ident() == self._home_thread:
            self._kill(why)
        else:
            self.home.call_soon_threadsafe(self._kill, why)

    def waits_for(self, task: "asyncio.Task[Any] | None") -> bool:
        """Whether `stop` waits for this task: it calls a function of a node, or `on_save`."""
        return self.runner.runs(task) or task in self._callbacks.tasks

    def heartbeat_now(self) -> None:
        """Have this worker's next heartbeat now."""
        self._liveness.heartbeat_now()

    def _kill(self, why: str) -> None:
        if self._closed_because is not None:
            return
        self._closed_because, self._is_closing = why, True
        self._stack = AsyncExitStack()  # no farewells
        self.store.cut()
        self._listener.kill()
        self.scheduler.kill()
        self.safety_check.kill()
        self.runner.kill()
        self.committer.kill(why)
        self._reader.kill(why)
        for tasks in (self._callbacks.tasks, *self._background):
            tasks.kill()
        self.waiters.close(why)

    async def _left(self) -> None:
        """Return when nothing is left of what was killed but threads of users' functions."""
        await self._liveness.stop()
        await self._listener.stop()
        await self.scheduler.stop()
        await self.safety_check.stop()
        await self.runner.ended()
        await self.committer.ended()
        await self._reader.stop()
        await self._callbacks.finish(0)
        for tasks in self._background:
            await tasks.cancel()

    @property
    def is_listening(self) -> bool | None:
        """Whether notifications are heard; None where they cannot be, and polls stand in."""
        return None if self._listener.is_polling else self._listener.is_listening

    # --- rest ---------------------------------------------------------------------------------

    async def hear_all(self) -> None:
        """Return once this process has heard everything that others wrote before the call."""
        await self._listener.hear_all()

    def is_at_rest(self, besides: Collection[str] = ()) -> bool:
        """Whether nothing is under way here that does not wait for a time or for others.

        Functions of the nodes `besides`, and attempts that were given up, may still run.
        """
        parts = (self.committer, self.scheduler, self.safety_check)
        return all(part.is_at_rest for part in parts) and not self._under_way(besides)

    async def rest(self, besides: Collection[str] = ()) -> None:
        """Return when nothing is under way here, as `is_at_rest` says."""
        while not self.is_at_rest(besides):
            await self.committer.rest()
            await self.scheduler.rest()
            await self.safety_check.rest()
            if tasks := self._under_way(besides):
                await asyncio.wait(tasks)

    def _under_way(self, besides: Collection[str]) -> list["asyncio.Task[None]"]:
        owners = (self._reader.tasks, self._callbacks.tasks, *self._background)
        return [*self.runner.under_way(besides), *chain.from_iterable(o.all for o in owners)]

    async def _finish_work(self) -> None:
        """Look for no more, and let what runs end; each may wait for a database in vain."""
        await asyncio.gather(
            self.scheduler.stop(),
            self.safety_check.stop(),
            self.evolver.tasks.cancel(),
            self.runner.finish(self.settings.grace_period),
        )

    async def _finish_writing(self) -> None:
        """Write what waits; if the runner has waited in vain, most of what can be written is."""
        await self.committer.finish(in_vain=self.runner.owes)

    async def _finish_callbacks(self) -> None:
        await self._callbacks.finish(self.settings.grace_period)

    async def _take_leave(self) -> None:
        await self._liveness.stop(owes=self.runner.owes or self.committer.has_uncertain)

    # --- what the verbs need ------------------------------------------------------------------

    async def register(self, graph: Graph) -> None:
        """Make a graph known, or the code of it; raises GraphConflictError, DatabaseUnavailable.

        Cancelling the caller stops no attempt half-way: others may know of it already.
        """
        if not self.registry.has(graph):
            what = f"registers {graph.name}"
            await self.patiently(lambda: self._tasks.completed(self._register(graph), what))

    async def create(self, graph: Graph, execution_id: str, values: dict[str, JSON]) -> Answer:
        """Start an execution of a graph that is registered."""
        initial = new_state(execution_id, graph, self.clock.now())
        command = Start(values, checked_by=graph.hash)
        return await self.submit(execution_id, command, initial=initial)

    async def submit(
        self, execution_id: str, command: Command, *, initial: State | None = None
    ) -> Answer:
        """Let a command happen, with the patience of a caller."""
        with self.instruments.write(execution_id, command) as watched:
            answer = await self.committer.submit(
                execution_id,
                command,
                initial=initial,
                patience=self.settings.patience,
                trace_context=watched.trace_context,
            )
            watched.of(answer.state.graph_name, answer.state.graph_version)
            return answer

    async def current(self, execution_id: str, *, once: bool = False) -> State:
        """The state as of now, by one attempt or patiently; raises ExecutionNotFound,
        DatabaseUnavailable.
        """
        if once:
            self._refuse_if_closed()
            state = await self._reader.current(execution_id)
        else:
            state = await self.patiently(lambda: self._reader.current(execution_id))
        if state is None:
            raise ExecutionNotFound(execution_id)
        return state

    async def graph_of(self, state: State) -> Graph:
        """The graph to read a state by.

        Raises GraphNotRegisteredError, GraphError for a definition that cannot be read,
        DatabaseUnavailable.
        """
        if self.registry.must_ask_about(state):
            return await self.patiently(lambda: self.registry.graph_of(state))
        self._refuse_if_closed()
        return self.registry.resolve(state)[0]

    async def patiently(self, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Try to read until the database lets it, a caller's patience is at an end, or this is."""
        give_up_at = self.home.time() + self.settings.patience
        while True:
            self._refuse_if_closed()
            try:
                return await read()
            except DatabaseUnavailable:
                if self._is_closing or self.home.time() >= give_up_at:
                    self._refuse_if_closed()
                    raise
                await asyncio.sleep(READ_PAUSE * random.uniform(0.5, 1))

    def _refuse_if_closed(self) -> None:
        if self._closed_because is not None:
            raise DatabaseUnavailable(self._closed_because)

    async def _register(self, graph: Graph) -> JourneyError | None:
        """Register it, and let executions take it on; the error is for the caller alone."""
        try:
            await self.registry.register(graph)
        except JourneyError as error:
            return error
        if self.settings.run_computations:
            self.evolver.evolve_soon()
            self.scheduler.expect()
        return None

    # --- what happens by itself ---------------------------------------------------------------

    def _changed(self, versions: dict[str, int]) -> None:
        """Other processes have written these executions."""
        self.scheduler.moved(versions)
        self._refresher.changed(versions)

    def _committed(self, change: Change, graph: Graph) -> None:
        """This process has written a change."""
        state = change.state
        self._points.reach(Point.BEFORE_NOTIFY)
        self.waiters.offer(state)
        self.instruments.committed(change)
        if change.announces:
            self.scheduler.expect(state.wake_at, execution_id=state.execution_id)
        for key, computation in change.computations.items():
            if computation.state is ABANDONED:
                self.runner.discard(state.execution_id, key)
        if change.outcomes:
            self._callbacks.fire(change, graph)
        if change.failures:
            self._complaints.log_failures(change, graph)
        self._points.reach(Point.AFTER_NOTIFY)
