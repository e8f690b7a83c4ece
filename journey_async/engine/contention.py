"""What to do about executions that others write as often as this process does.

Such an execution loses its swaps, and would again. So its commands are decided and written while
its row is held: others wait then, and nobody starves. That lasts until nobody else has written it
between two writes of this process.
"""

from collections.abc import Collection

from journey_async.core.state import State
from journey_async.engine.cache import StateCache
from journey_async.engine.decider import Decider
from journey_async.engine.points import Point, Points
from journey_async.engine.registry import Registry
from journey_async.engine.requests import Decision, Request, refuse_all, refuse_until_created
from journey_async.engine.runner import Runner
from journey_async.engine.writer import Writer
from journey_async.errors import InvalidValueError, JourneyError
from journey_async.store.faults import DataRefused
from journey_async.store.store import Store

MAX_CONFLICTS = 2  # lost swaps in a row before the row is locked
MAX_CONTENDED = 1_000  # executions known to have several writers


class Contention:
    """Knows which executions are contended, and commits under their row locks."""

    def __init__(
        self,
        *,
        store: Store,
        cache: StateCache,
        registry: Registry,
        runner: Runner,
        decider: Decider,
        writer: Writer,
        points: Points,
    ) -> None:
        self._store = store
        self._cache = cache
        self._registry = registry
        self._runner = runner
        self._decider = decider
        self._writer = writer
        self._points = points
        self._contended: set[str] = set()

    def among(self, execution_ids: Collection[str]) -> set[str]:
        """Those of the executions that are contended."""
        return self._contended.intersection(execution_ids)

    def lost(self, request: Request) -> None:
        """Count a swap that a request has lost."""
        request.conflicts += 1
        if request.conflicts >= MAX_CONFLICTS:
            self._contended.add(request.execution_id)

    async def commit(self, execution_id: str, requests: list[Request]) -> JourneyError | None:
        """Decide and write while holding the row, so that nobody can be faster again.

        Answers the requests, but for those that are to create it; or gives the error with which the
        database refused them together, and leaves the answers to the caller. Raises RowHeld, when
        nothing was written; any other DatabaseUnavailable, when they may have been; and GraphError
        if the execution's definition cannot be read.
        """
        decision: Decision | None = None
        refusal: JourneyError | None = None
        server: str | None = None
        try:
            async with self._store.locked(execution_id) as connection:
                state: State | None = None
                if connection is not None:
                    known = self._cache.known([execution_id])
                    loaded = await self._store.load([execution_id], connection, known=known)
                    state = loaded.get(execution_id)
                if state is None:  # no row to hold: who creates it does so with the others
                    self._contended.discard(execution_id)
                    refuse_until_created(execution_id, requests)
                    return None
                self._see_whether_contended(state)
                await self._registry.learn(state, connection)  # of which there may be no other
                if self._runner.misses(state):
                    self._runner.adopt(state, self._registry.resolve(state)[0])
                decision = await self._decider.decide(state, requests)
                if decision is None:
                    return None
                if decision.change.written and not await self._writer.write([decision], connection):
                    # with the row held, only a singleton's slot can be in the way
                    refusal = decision.slot_taken()
                server = self._store.server
            if decision.change.written:
                self._points.reach(Point.ANSWER_LOST)
        except DataRefused as error:
            refusal = InvalidValueError(str(error))
            if decision is None:
                refuse_all(requests, refusal)
                return None
        except BaseException:
            if decision is not None:
                self._decider.give_back([decision])
            raise
        if refusal is not None:
            self._decider.give_back([decision])
            return refusal
        self._writer.reach_after([decision] if decision.change.written else [])
        self._writer.follow(decision)
        if self._store.server != server:  # all in the cache is of the one that answered last
            self._cache.forget(execution_id)
        return None

    def _see_whether_contended(self, state: State) -> None:
        """With the row held: whether anybody else has written it since we did."""
        known = self._cache.get(state.execution_id)
        if known is not None and known.version == state.version:
            self._contended.discard(state.execution_id)
        elif len(self._contended) > MAX_CONTENDED:
            self._contended.clear()  # at worst some more races are lost
