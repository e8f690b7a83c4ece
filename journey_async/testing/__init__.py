"""For users' tests: a Journey that can settle and die, a clock that the test owns, fault points.

The fixtures of the pytest plugin (`plugin`) are built on these; they work without pytest as well.
"""

from journey_async.engine.points import Point
from journey_async.testing.clock import TestClock
from journey_async.testing.crashes import Crash, crash_at
from journey_async.testing.journey import TestJourney

__all__ = ["Crash", "Point", "TestClock", "TestJourney", "crash_at"]
