"""When running attempts are to be given up: one timer for all of them.

Nearly every attempt ends long before its deadline. A timer for each would be set and cancelled for
nothing; this one is set for the earliest deadline, and looks again when that has come.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from journey_async.engine.attempts import Attempt
from journey_async.engine.clock import Clock, Timer


class Deadlines:
    """Calls `give_up` with each attempt of `running` whose deadline comes, once."""

    def __init__(
        self,
        clock: Clock,
        running: Callable[[], Iterable[Attempt]],
        give_up: Callable[[Attempt], None],
    ) -> None:
        self._clock = clock
        self._running = running
        self._give_up = give_up
        self._timer: Timer | None = None
        self._next: datetime | None = None  # what the timer is set for

    def watch(self, deadline: datetime) -> None:
        """An attempt with this deadline runs."""
        if self._next is not None and self._next <= deadline:
            return
        self.stop()
        self._next = deadline
        self._timer = self._clock.call_at(deadline, self._come)

    def stop(self) -> None:
        """Give nothing up any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._next = None

    def _come(self) -> None:
        now = self._clock.now()  # or just before: a machine's timers are not that exact
        come, self._next = max(self._next or now, now), None
        left: list[datetime] = []
        for attempt in self._running():
            deadline = attempt.computation.deadline
            if deadline is None or attempt.given_up:
                continue
            if deadline > come:
                left.append(deadline)
            else:
                self._give_up(attempt)
        if left:
            self.watch(min(left))
