"""The one clock of a Journey, disciplined by the database's; a test can own another one."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from journey_async.store.connecting import ServerTime


class Timer(Protocol):
    """Something that will be called, unless it is cancelled."""

    def cancel(self) -> None:
        """Do not call it."""


class Clock(Protocol):
    """Tells the time in UTC, and calls at one."""

    def now(self) -> datetime:
        """The time; asked for from any thread."""

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Timer:
        """Call `callback` on the event loop at `when`, or at once if that has passed."""


DRIFT = 1.0  # seconds by which it may be corrected; by more, and it was wrong
STILL = timedelta(seconds=1)  # by so much it stands still rather than go back


class SystemClock:
    """This machine's monotonic clock, set by the database's.

    Set back by a little, as happens now and then when the database is asked, it stands still until
    that time has come again: what happens later is never earlier.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()  # seconds
        self._latest = datetime.now(UTC)
        self.was_wrong_at = float("-inf")

    def now(self) -> datetime:
        """The time."""
        now = datetime.fromtimestamp(time.monotonic() + self._offset, UTC)
        if now < self._latest <= now + STILL:
            return self._latest
        self._latest = now
        return now

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Timer:
        """Call `callback` on the running event loop at `when`."""
        # Not by now(): a clock that stands still would call before its time.
        delay = when.timestamp() - time.monotonic() - self._offset
        return asyncio.get_running_loop().call_later(max(delay, 0.0), callback)

    def discipline(self, database: ServerTime) -> None:
        """Take over the database's time.

        The offset is kept if it is possible, given when the question was sent and when it was
        answered: so an answer that took long corrects little.
        """
        told, before = database.now.timestamp(), self._offset
        least, most = told - database.answered_at, told - database.asked_at
        if not least <= before <= most:
            self._offset = (least + most) / 2
            if abs(self._offset - before) > DRIFT:
                self.was_wrong_at = time.monotonic()


def take_over(clock: Clock, database: ServerTime) -> None:
    """Set a Journey's clock by the database's, as `discipline` does; not one that a test owns."""
    if isinstance(clock, SystemClock):
        clock.discipline(database)


def was_wrong_at(clock: Clock) -> float:
    """When it was last found to be wrong, by `time.monotonic()`; one that a test owns never is."""
    return clock.was_wrong_at if isinstance(clock, SystemClock) else float("-inf")
