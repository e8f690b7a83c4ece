"""Crashes at fault points: an engine that stops dead where a test wants it to."""

import asyncio
import warnings
from collections import Counter
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from journey_async.engine.points import Point, Points
from journey_async.errors import InvalidOptionError

if TYPE_CHECKING:
    from journey_async.testing.journey import TestJourney

PATIENCE = 30.0  # real seconds in which a crash must come


class Crash:
    """A crash to come, or one that has come."""

    def __init__(self, journey: "TestJourney", point: Point, node: str | None, nth: int) -> None:
        self.point = point
        self.node = node
        self._journey = journey
        self._left = nth
        self._came = asyncio.Event()

    @property
    def has_happened(self) -> bool:
        """Whether the point was reached."""
        return self._left <= 0

    async def happened(self, *, timeout: float | None = PATIENCE) -> None:
        """Return when nothing is left of the Journey; TimeoutError if it does not die in time."""
        try:
            async with asyncio.timeout(timeout):
                await self._came.wait()
        except TimeoutError:
            told = f"{self} was not reached within {timeout} seconds"
            if self.names_nobody:
                told += f"; no graph of this Journey has a node {self.node!r}"
            raise TimeoutError(told) from None
        await self._journey.close()

    def __str__(self) -> str:
        return self.point.name if self.node is None else f"{self.point.name} of {self.node!r}"

    @property
    def names_nobody(self) -> bool:
        """Whether no graph of the Journey, as far as it has the code, has the node."""
        graphs = self._journey._code.values()
        return self.node is not None and not any(self.node in graph.by_name for graph in graphs)

    def comes(self, point: Point, nodes: Collection[str]) -> bool:
        """Whether it comes now that a point is reached."""
        if point is not self.point or (self.node is not None and self.node not in nodes):
            return False
        self._left -= 1
        return self._left == 0

    def tell(self) -> None:
        """Let those go on who wait for it."""
        self._came.set()


def crash_at(
    journey: "TestJourney", point: Point, *, node: str | None = None, nth: int = 1
) -> Crash:
    """Have a Journey stop dead when it reaches a point (of a node, if given) for the nth time.

    As with `kill -9`: nothing more is written, connections are cut, the worker's row stays. Calls
    that wait for it raise DatabaseUnavailable. A function that runs in a thread runs on to its
    end, and one that runs on the event loop sees its cancellation; nothing comes of either.
    A HEARTBEAT counts from the moment at which a function has begun, and is brought about then.
    When it is closed, a warning tells of a node that none of its graphs has.
    """
    if not isinstance(point, Point):
        raise InvalidOptionError(f"a Point is wanted, such as Point.AFTER_COMMIT, not {point!r}")
    if nth < 1:
        raise InvalidOptionError(f"nth counts from 1, it cannot be {nth}")
    crash = Crash(journey, point, node, nth)
    journey._points.add(crash)
    return crash


class WatchedPoints(Points):
    """Counts what is reached, and carries out crashes.

    `die` is called with the crash, from whichever thread reaches the point; `look` brings about
    a heartbeat.
    """

    listen = True

    __slots__ = ("_crashes", "_die", "_has_begun", "_is_dead", "_look", "reached", "released")

    def __init__(self, die: Callable[[Crash], None], look: Callable[[], None]) -> None:
        self._die = die
        self._look = look
        self._crashes: list[Crash] = []
        self._is_dead = False
        self._has_begun = False
        self.reached: Counter[Point] = Counter()
        self.released = asyncio.Event()

    @property
    def activity(self) -> int:
        """How much has happened, signs of life apart."""
        return self.reached.total() - self.reached[Point.HEARTBEAT]

    def add(self, crash: Crash) -> None:
        """From now on this crash may come."""
        self._crashes.append(crash)

    def warn_of_what_cannot_come(self) -> None:
        """A test with such a crash checks nothing, and passes."""
        for crash in self._crashes:
            if crash.names_nobody:
                told = f"a crash was to come at {crash}, and no graph here has such a node"
                warnings.warn(told, stacklevel=2)

    def reach(self, point: Point, nodes: Collection[str] = ()) -> None:
        """A point is reached."""
        if self._is_dead:
            raise asyncio.CancelledError
        self.reached[point] += 1
        if point is Point.HEARTBEAT and not self._has_begun:
            return
        for crash in self._crashes:
            if crash.comes(point, nodes):
                self._die(crash)
                self._is_dead = True  # not before: who sees that must not take leave
                raise asyncio.CancelledError
        if point is Point.AFTER_RELEASE:
            self.released.set()
        if point is Point.BEFORE_FUNCTION:
            self._has_begun = True
            if any(crash.point is Point.HEARTBEAT for crash in self._crashes):
                self._look()
