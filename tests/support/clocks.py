"""Clocks that go wrong, of Journeys that go by their machine's."""

import time
from datetime import UTC, datetime, timedelta

from journey_async import Journey
from journey_async.engine.clock import SystemClock
from journey_async.store.connecting import ServerTime


def told(now: datetime, *, elapsed: float = 0.0) -> ServerTime:
    """The database's time, asked for so many seconds ago and answered just now."""
    answered_at = time.monotonic()
    return ServerTime(now, answered_at - elapsed, answered_at)


def shift(journey: Journey, seconds: float) -> None:
    """Set its clock wrong: as if its machine had slept, or the database told another time now."""
    clock = journey._engine.clock
    assert isinstance(clock, SystemClock)
    clock._offset += seconds


def is_right(journey: Journey) -> bool:
    """Whether its clock tells the database's time, which in tests is this machine's."""
    return abs(journey._engine.clock.now() - datetime.now(UTC)) < timedelta(seconds=10)
