"""A Journey for tests: it settles, can be made to die, and goes by a clock that the test owns."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from typing import Any, Self

from journey_async.client import options
from journey_async.client.execution import Execution, snapshot
from journey_async.client.journey import Journey
from journey_async.client.options import Inputs
from journey_async.core.graph import Graph
from journey_async.core.state import State
from journey_async.core.values import ACTIVE
from journey_async.engine.engine import Engine
from journey_async.engine.points import Point
from journey_async.engine.waiters import NOT_YET
from journey_async.errors import DatabaseUnavailable
from journey_async.testing.clock import TestClock
from journey_async.testing.crashes import Crash, WatchedPoints, crash_at

LOOK_INTERVAL = 0.01  # seconds between looks at other workers: a test has no time to lose
FOREVER = 1e9  # seconds of a lease, where time passes in leaps and nobody dies of it


class TestJourney(Journey):
    """As Journey, with what a test needs besides.

    Defaults differ: closing it does not wait for functions (`grace_period=0`), and with a
    TestClock leases do not run out, however far it is advanced.
    """

    __test__ = False

    def __init__(self, dsn: str | None = None, **settings: Any) -> None:
        clock = settings.get("clock")
        defaults: dict[str, Any] = {"grace_period": 0}
        if isinstance(clock, TestClock):
            defaults["lease"] = FOREVER
        settings = defaults | settings
        super().__init__(dsn, **settings)
        self._given = (dsn, settings)
        self._settings = replace(
            self._settings,
            look_interval=LOOK_INTERVAL,
            remembers_the_dead=False,  # their next one is to find the work of nobody else
        )
        self._test_clock = clock if isinstance(clock, TestClock) else None
        self._points: WatchedPoints = WatchedPoints(self._die, self._look)
        self._code = {graph.key: graph for graph in self._graphs}
        self._died: str | None = None
        self._death = asyncio.Event()
        self._successor: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        if self._test_clock is not None:
            self._test_clock.join(self)
        return self

    async def _close(self) -> None:
        """As of Journey; of one that has died, return when nothing is left of it."""
        try:
            await super()._close()
        finally:
            if self._successor is None:
                self._leave_clock()
            self._points.warn_of_what_cannot_come()

    def another(self, **settings: Any) -> "TestJourney":
        """Another process, so to speak: on the same database and clock, with the same graphs.

        Not opened yet; `settings` replace those of this one.
        """
        dsn, given = self._given
        return TestJourney(dsn, **given | {"graphs": tuple(self._code.values())} | settings)

    # --- waiting ------------------------------------------------------------------------------

    async def settle(
        self, execution: Execution | str, *, timeout: float | None = 30.0
    ) -> Execution:
        """Return when nothing of an execution runs, and nothing is queued that is due.

        Whoever runs it. What waits for a time to come (a retry, a tick) is left to wait.
        TimeoutError after `timeout` real seconds.
        """
        engine = self._engine
        execution_id = options.execution_id(execution)
        await engine.graph_of(await engine.current(execution_id))
        state = None

        def look(seen: State) -> State | object:
            nonlocal state
            state = seen
            return NOT_YET if _is_under_way(engine, seen) else seen

        with engine.waiters.waiting(execution_id, look) as wait:
            try:
                async with asyncio.timeout(timeout):
                    wait.begin(await engine.current(execution_id))
                    settled: State = await wait.future
            except TimeoutError:
                raise TimeoutError(
                    f"{execution_id} has not settled within {timeout:g} seconds: "
                    f"{_described(state)}"
                ) from None
        return snapshot(settled, await engine.graph_of(settled))

    # --- dying --------------------------------------------------------------------------------

    def crash_at(self, point: Point, *, node: str | None = None, nth: int = 1) -> Crash:
        """See `crash_at` of this package."""
        return crash_at(self, point, node=node, nth=nth)

    @property
    def _engine_anywhere(self) -> Engine:
        if self._died is not None:
            raise DatabaseUnavailable(self._died)
        return super()._engine_anywhere

    def _die(self, crash: Crash) -> None:
        assert self._opened is not None
        engine, loop = self._opened, self._opened.home
        self._died = f"this Journey has died at {crash}"
        engine.kill(self._died)
        loop.call_soon_threadsafe(self._tell, crash)

    def _tell(self, crash: Crash) -> None:
        crash.tell()
        self._death.set()

    def _look(self) -> None:
        assert self._opened is not None
        self._opened.heartbeat_now()

    # --- being followed by another ------------------------------------------------------------

    @property
    def has_died(self) -> bool:
        """Whether it has stopped dead."""
        return self._died is not None

    def will_be_followed(self) -> None:
        """Should it die, the clock is to wait for the one that follows."""
        self._successor = asyncio.get_running_loop().create_future()

    def was_followed(self) -> None:
        """Another one has taken over, or nobody will."""
        if self._successor is not None and not self._successor.done():
            self._successor.set_result(None)
        self._leave_clock()

    async def released_or_dead(self) -> None:
        """Return when this one has released the work of the dead, or is dead itself."""
        waits = [
            asyncio.ensure_future(event.wait()) for event in (self._points.released, self._death)
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _leave_clock(self) -> None:
        if self._test_clock is not None:
            self._test_clock.leave(self)

    # --- the code it has ----------------------------------------------------------------------

    async def register(self, *graphs: Graph) -> None:
        """As of Journey."""
        await super().register(*graphs)
        self._code.update({graph.key: graph for graph in graphs})

    async def start_execution(
        self, graph: Graph, values: Inputs | None = None, *, execution_id: str | None = None
    ) -> Execution:
        """As of Journey."""
        await self.register(graph)
        return await super().start_execution(graph, values, execution_id=execution_id)

    async def find_or_start(self, graph: Graph) -> Execution:
        """As of Journey."""
        await self.register(graph)
        return await super().find_or_start(graph)

    # --- for the clock ------------------------------------------------------------------------

    @property
    def activity(self) -> int:
        """How much has happened here."""
        return self._points.activity

    async def rest(self, besides: Collection[str] = ()) -> None:
        """Return when everything written before has been heard, and nothing is under way here.

        But for functions of the nodes `besides`. Of one that has died: when another has taken over.
        """
        if self._died is None and self._opened is not None:
            resting = asyncio.ensure_future(self._rest(self._opened, besides))
            death = asyncio.ensure_future(self._death.wait())
            try:
                await asyncio.wait([resting, death], return_when=asyncio.FIRST_COMPLETED)
            finally:
                resting.cancel()
                death.cancel()
                await asyncio.gather(resting, death, return_exceptions=True)
        if self._died is not None and self._successor is not None:
            await asyncio.shield(self._successor)

    def is_at_rest(self, besides: Collection[str] = ()) -> bool:
        """Whether nothing is under way here."""
        if self._died is not None:
            return self._successor is None or self._successor.done()
        return self._opened is None or self._opened.is_at_rest(besides)

    def running_nodes(self) -> set[str]:
        """The nodes whose functions run here."""
        return set() if self._opened is None else self._opened.runner.nodes

    async def _rest(self, engine: Engine, besides: Collection[str]) -> None:
        while self._opened is engine:
            try:
                await engine.hear_all()
            except DatabaseUnavailable:  # cut off: it hears when it is connected again
                await asyncio.sleep(LOOK_INTERVAL)
            else:
                return await engine.rest(besides)


def _is_under_way(engine: Engine, state: State) -> bool:
    """Whether anything of the execution runs, or is due to."""
    if state.computing or state.archived_at is not None:
        return bool(state.computing)
    _, evolves = engine.registry.resolve(state)
    now = engine.clock.now()
    queued = (state.newest[node].due_at for node in state.queued)
    due = any(time is None or time <= now for time in queued)
    return evolves or due or (state.wake_at is not None and state.wake_at <= now)


def _described(state: State | None) -> str:
    found = [
        f"{node!r} is {newest.state.value}"
        for node, newest in (state.newest if state else {}).items()
        if newest.state in ACTIVE
    ]
    return ", ".join(found) or "its alarm has rung, and nobody looks at it"
