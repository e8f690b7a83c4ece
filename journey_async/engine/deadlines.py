"""When running attempts are to be given up: one timer for all of them.

Nearly every attempt ends long before its deadline. A timer for each would be set and cancelled for
nothing; this one is set for the earliest deadline, and looks again when that has come.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from time import monotonic

from journey_async.engine.attempts import Attempt
from journey_async.engine.clock import Clock, Timer, was_wrong_at


class Deadlines:
    """Calls `give_up` with each attempt of `running` whose deadline comes, once.

    That is judged by the clock as it is then, should it have been corrected meanwhile.
    """

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
        self._set_at = 0.0  # when it was set, by `monotonic`

    def watch(self, deadline: datetime) -> None:
        """An attempt with this deadline runs."""
        earliest = deadline if self._next is None else min(self._next, deadline)
        if earliest == self._next and was_wrong_at(self._clock) <= self._set_at:
            return
        self.stop()
        self._next, self._set_at = earliest, monotonic()
        self._timer = self._clock.call_at(earliest, self._look)

    def stop(self) -> None:
        """Give nothing up any more, unless something is watched anew."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._next = None

    def _look(self) -> None:
        now = self._clock.now()
        until = max(self._next or now, now)  # a machine's timers may be a little early
        self._next = None
        over: list[Attempt] = []
        left: list[datetime] = []
        for attempt in self._running():
            deadline = attempt.computation.deadline
            if deadline is None or attempt.given_up:
                continue
            if deadline > until:
                left.append(deadline)
            else:
                over.append(attempt)
        if left:
            self.watch(min(left))
        for attempt in over:
            self._give_up(attempt)
