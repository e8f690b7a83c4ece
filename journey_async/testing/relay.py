"""A client whose workers die at fault points, and are followed by others."""

import asyncio
from collections.abc import Iterable
from typing import Any, Self

from journey_async.core.graph import Graph
from journey_async.engine.points import Point
from journey_async.errors import DatabaseUnavailable
from journey_async.testing.crashes import Crash
from journey_async.testing.journey import TestJourney

# Points that are reached only after a death: a first worker dies when it begins something, and the
# second one, which releases that, dies at the point.
OF_THE_NEXT = (Point.BEFORE_RELEASE, Point.AFTER_RELEASE)


class RelayJourney(TestJourney):
    """A client, and beside it a worker that dies when it reaches a point for the nth time.

    Another worker takes over then. What a test sees of this Journey must be what it would see if
    nobody had died.
    """

    def __init__(
        self, dsn: str | None = None, *, point: Point, nth: int = 1, **settings: Any
    ) -> None:
        super().__init__(dsn, **settings | {"run_computations": False})
        self.point = point
        self.deaths = 0
        self._settings_of_workers = settings
        self._deaths_to_come = [(point, nth)]
        if point in OF_THE_NEXT:
            self._deaths_to_come.insert(0, (Point.AFTER_BEGIN, 1))
        self._worker: TestJourney | None = None
        self._crash: Crash | None = None  # to which the worker has come, or will
        self._following: asyncio.Task[None] | None = None

    @property
    def has_reached_point(self) -> bool:
        """Whether a worker has died at the point, and not only another one before it."""
        is_last = not self._deaths_to_come
        return is_last and (self._crash is None or self._crash.has_happened)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        try:
            first = TestJourney(self._given[0], **self._settings_of_workers)
            crash = await self._begin(first)
        except BaseException:
            await self.close()
            raise
        self._following = asyncio.create_task(self._follow(first, crash), name="follows")
        return self

    async def _close(self) -> None:
        """Close it and its worker."""
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            await asyncio.wait([following])
        worker, self._worker = self._worker, None
        try:
            if worker is not None:
                await worker.close()
        finally:
            if worker is not None:
                worker.was_followed()
            await super()._close()
        if following is not None and not following.cancelled():
            following.result()  # it raises if nobody could follow

    async def register(self, *graphs: Graph) -> None:
        """As of Journey, in the worker as well, which is to compute them."""
        await super().register(*graphs)
        if self._worker is not None:
            await _hand(self._worker, graphs)

    async def _begin(self, worker: TestJourney) -> Crash | None:
        """Open a worker that is to die at the next of the points, if one is left."""
        await worker.__aenter__()
        self._worker = worker
        self._crash = None
        if self._deaths_to_come:
            point, nth = self._deaths_to_come.pop(0)
            worker.will_be_followed()
            self._crash = worker.crash_at(point, nth=nth)
        await _hand(worker, self._code.values())  # those that were registered meanwhile
        return self._crash

    async def _follow(self, worker: TestJourney, crash: Crash | None) -> None:
        while crash is not None:
            await crash.happened(timeout=None)
            self.deaths += 1
            dead, worker = worker, worker.another(graphs=tuple(self._code.values()))
            try:
                crash = await self._begin(worker)
                await worker.released_or_dead()
            finally:
                dead.was_followed()


async def _hand(worker: TestJourney, graphs: Iterable[Graph]) -> None:
    """Make graphs known to a worker; if it is dead, or dies meanwhile, the next one gets them."""
    if worker.has_died:
        return
    try:
        await worker.register(*graphs)
    except DatabaseUnavailable:
        if not worker.has_died:
            raise
