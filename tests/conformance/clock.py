"""A scenario's own clock: it runs faster than real time, and its alarms ring when they are let."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

SPEED = 2.0  # seconds of a scenario in one real second, usually


class Alarm:
    """One call that was asked for."""

    def __init__(self, clock: "ScenarioClock", when: datetime, callback: Callable[[], None]):
        self.when = when
        self._clock = clock
        self._callback = callback
        self._timer: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        self.disarm()
        self._clock.alarms.discard(self)

    def arm(self) -> None:
        """Ring at the time, or at once if that has passed."""
        self.disarm()
        delay = (self.when - self._clock.now()).total_seconds() / self._clock.speed
        self._timer = asyncio.get_running_loop().call_later(max(delay, 0.0), self.ring)

    def disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def ring(self) -> None:
        self.cancel()
        self._callback()


class ScenarioClock:
    """Time runs on its own; alarms ring only while somebody sweeps, as `rules` explain."""

    def __init__(self, speed: float = SPEED) -> None:
        self.speed = speed
        self.alarms: set[Alarm] = set()
        self._epoch = datetime.now(UTC)
        self._start = time.monotonic()
        self._shift = timedelta(0)
        self._ringing = False

    def now(self) -> datetime:
        real = time.monotonic() - self._start
        return self._epoch + timedelta(seconds=real * self.speed) + self._shift

    def real(self, milliseconds: float) -> float:
        """Real seconds for a time of the scenario."""
        return milliseconds / 1000 / self.speed

    async def sleep(self, milliseconds: float) -> None:
        """Sleep for a time of the scenario."""
        await asyncio.sleep(self.real(milliseconds))

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Alarm:
        alarm = Alarm(self, when, callback)
        self.alarms.add(alarm)
        if self._ringing:
            alarm.arm()
        return alarm

    @contextmanager
    def later(self, seconds: float) -> Iterator[None]:
        """Pretend that it is later."""
        self._shift += timedelta(seconds=seconds)
        try:
            yield
        finally:
            self._shift -= timedelta(seconds=seconds)

    def ring_due(self) -> None:
        """Ring what is due, once."""
        now = self.now()
        for alarm in sorted(self.alarms, key=lambda alarm: alarm.when):
            if alarm.when <= now:
                alarm.ring()

    def let_ring(self) -> None:
        """From now on alarms ring at their times."""
        self._ringing = True
        for alarm in list(self.alarms):
            alarm.arm()

    def hold(self) -> None:
        """From now on no alarm rings."""
        self._ringing = False
        for alarm in self.alarms:
            alarm.disarm()
