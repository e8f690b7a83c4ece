"""Clocks that go wrong, of Journeys that go by their machine's."""

from datetime import UTC, datetime, timedelta

from journey_async import Journey
from journey_async.engine.clock import SystemClock


def shift(journey: Journey, seconds: float) -> None:
    """Set its clock wrong: as if its machine had slept, or the database told another time now."""
    clock = journey._engine.clock
    assert isinstance(clock, SystemClock)
    clock._offset += seconds


def is_right(journey: Journey) -> bool:
    """Whether its clock tells the database's time, which in tests is this machine's."""
    return abs(journey._engine.clock.now() - datetime.now(UTC)) < timedelta(seconds=10)
