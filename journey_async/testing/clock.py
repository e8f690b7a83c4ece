"""A clock that the test owns: time stands still until the test moves it."""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from journey_async.testing.journey import TestJourney

PATIENCE = 10.0  # real seconds in which what is under way must come to its end


class Alarm:
    """One call that was asked for."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Do not call it."""
        self._callback = None

    @property
    def is_set(self) -> bool:
        """Whether it will be called."""
        return self._callback is not None

    def ring(self) -> None:
        """Call it, unless it was cancelled or called before."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class LeapingClock:
    """Stands still but for `leap`, which waits for nobody; in one event loop.

    It starts at `start` (aware; default: the present, to the second).
    """

    def __init__(self, start: datetime | None = None) -> None:
        if start is not None and start.tzinfo is None:
            raise ValueError(f"a clock starts at an aware datetime, not at {start!r}")
        self._now = (start or datetime.now(UTC).replace(microsecond=0)).astimezone(UTC)
        self._alarms: list[tuple[datetime, int, Alarm]] = []
        self._places = itertools.count()

    def now(self) -> datetime:
        """The time."""
        return self._now

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Alarm:
        """Call `callback` on the event loop at `when`, or at once if that has passed."""
        alarm = Alarm(callback)
        if when <= self._now:
            asyncio.get_running_loop().call_soon(alarm.ring)
        else:
            heapq.heappush(self._alarms, (when, next(self._places), alarm))
        return alarm

    def leap(self, seconds: float) -> None:
        """Move on, and ring what came due on the way, in order."""
        self._now += timedelta(seconds=seconds)
        self._ring_what_is_due()

    def _ring_what_is_due(self) -> None:
        while self._alarms and self._alarms[0][0] <= self._now:
            heapq.heappop(self._alarms)[2].ring()


class TestClock(LeapingClock):
    """Stands still but for `advance`, which waits for one or more TestJourneys."""

    __test__ = False

    def __init__(self, start: datetime | None = None) -> None:
        super().__init__(start)
        self._journeys: dict[int, TestJourney] = {}

    async def advance(
        self,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        not_waiting_for: Collection[str] = (),
        patience: float = PATIENCE,
    ) -> datetime:
        """Let time pass, from one event to the next; the new time.

        At each tick, retry and deadline on the way it stops until everything that follows has been
        done, functions included; only then does time go on. So it is before the first step and
        after the last. `not_waiting_for` names nodes whose functions may run on while time passes,
        up to their deadlines. TimeoutError if something is not done in `patience` real seconds.
        """
        step = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if step < timedelta(0):
            raise ValueError("time does not go backwards")
        return await self.advance_to(
            self._now + step, not_waiting_for=not_waiting_for, patience=patience
        )

    async def advance_to(
        self,
        when: datetime,
        *,
        not_waiting_for: Collection[str] = (),
        patience: float = PATIENCE,
    ) -> datetime:
        """As `advance`, up to a time (aware); at one that has passed, only what is due is done."""
        if when.tzinfo is None:
            raise ValueError(f"time goes on to an aware datetime, not to {when!r}")
        when = when.astimezone(UTC)  # in other zones not all days have as many hours
        if isinstance(not_waiting_for, str):
            not_waiting_for = (not_waiting_for,)
        while True:
            await self._quiet(not_waiting_for, patience)
            self._drop_cancelled()
            if not self._alarms or self._alarms[0][0] > when:
                break
            self._now = max(self._now, self._alarms[0][0])
            self._ring_what_is_due()
        self._now = max(self._now, when)
        return self._now

    # --- who goes by it -----------------------------------------------------------------------

    def join(self, journey: "TestJourney") -> None:
        """A Journey goes by this clock: time waits for it."""
        self._journeys[id(journey)] = journey

    def leave(self, journey: "TestJourney") -> None:
        """A Journey was closed."""
        self._journeys.pop(id(journey), None)

    async def _quiet(self, besides: Collection[str], patience: float) -> None:
        """Return when no Journey has anything to do before time goes on."""
        try:
            async with asyncio.timeout(patience):
                while True:
                    before = self._activity()
                    for journey in list(self._journeys.values()):
                        await journey.rest(besides)
                    resting = all(j.is_at_rest(besides) for j in self._journeys.values())
                    if resting and self._activity() == before:
                        return
        except TimeoutError:
            running = sorted({n for j in self._journeys.values() for n in j.running_nodes()})
            still = f": {', '.join(running)} still run" if running else ""
            raise TimeoutError(
                f"time stands still, for not everything was done within {patience:g} real "
                f"seconds{still}; if a function is to run until its deadline, name its node in "
                f"not_waiting_for"
            ) from None

    def _activity(self) -> dict[int, int]:
        return {key: journey.activity for key, journey in self._journeys.items()}

    def _drop_cancelled(self) -> None:
        while self._alarms and not self._alarms[0][2].is_set:
            heapq.heappop(self._alarms)
