"""Metrics: what happens is counted as it happens, how things stand is asked when somebody looks."""

import asyncio
import concurrent.futures
import threading
import time
from collections import Counter
from collections.abc import Iterable

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from journey_async.client.journey import Journey
from journey_async.client.status import SystemStatus
from journey_async.client.vitals import Vitals
from journey_async.contrib.opentelemetry.spans import SCOPE
from journey_async.core.values import Computation, ComputationState
from journey_async.engine.instrumentation import Run
from journey_async.errors import JourneyError

FRESH = 15.0  # seconds for which the figures of the database are taken as they were
PATIENCE = 6.0  # seconds to wait for them: a little more than status() waits for the database
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """The instruments, by their names in docs/monitoring.md."""

    def __init__(self, provider: MeterProvider | None) -> None:
        self._opened: dict[int, Opened] = {}
        meter = metrics.get_meter(SCOPE, meter_provider=provider)
        self._computations = meter.create_counter(
            "journey.computations", "{computation}", "Computations that ended, written here"
        )
        self._abandoned = meter.create_counter(
            "journey.abandoned", "{computation}", "Computations that were given up, written here"
        )
        self._retries = meter.create_counter(
            "journey.retries", "{attempt}", "Attempts that began here, beyond the first"
        )
        self._duration, self._delay, self._tick_lag = (
            meter.create_histogram(
                name, "s", description, explicit_bucket_boundaries_advisory=SECONDS
            )
            for name, description in (
                ("journey.computation.duration", "From the call of a function to its end"),
                ("journey.pickup.delay", "From when a computation was due to its function's call"),
                ("journey.tick.lag", "From the time of a tick to the call that it unblocked"),
            )
        )
        for name, unit, description, observe in (
            ("journey.in_flight", "{computation}", "Functions that run here", self._in_flight),
            ("journey.capacity", "{computation}", "Functions that may run here", self._capacity),
            ("journey.waits", "{call}", "Calls that wait for a value", self._waits),
            ("journey.listening", "1", "Whether notifications are heard", self._listening),
            ("journey.pool.size", "{connection}", "Connections of the pool", self._pool_size),
            ("journey.pool.in_use", "{connection}", "Those in use", self._pool_in_use),
            ("journey.executions", "{execution}", "Executions there are", self._executions),
            ("journey.healthy", "1", "Whether the database answers", self._healthy),
        ):
            meter.create_observable_gauge(name, [observe], unit, description)
        meter.create_observable_counter(
            "journey.left_behind",
            [self._left_behind],
            "{computation}",
            "Work that only the safety check found",
        )

    def opened(self, journey: Journey) -> None:
        """From now on it is looked at."""
        self._opened[id(journey)] = Opened(journey)

    def closed(self, journey: Journey) -> None:
        """It is not looked at any more."""
        self._opened.pop(id(journey)).close()

    # --- what happens -------------------------------------------------------------------------

    def began(self, run: Run) -> None:
        """A function is called."""
        labels = labels_of(run)
        self._delay.record(run.delay, labels)
        if run.tick_lag is not None:
            self._tick_lag.record(run.tick_lag, labels)
        if run.computation.attempt > 1:
            self._retries.add(1, labels)

    def ended(self, run: Run, outcome: str, seconds: float) -> None:
        """Its function has ended."""
        self._duration.record(seconds, labels_of(run) | {"outcome": outcome})

    def recorded(self, computation: Computation, graph_name: str) -> None:
        """The end of a computation was written."""
        labels = {"graph": graph_name, "node": computation.node}
        self._computations.add(1, labels | {"outcome": computation.state.value})
        if computation.state is ComputationState.ABANDONED:
            self._abandoned.add(1, labels)

    # --- how things stand ---------------------------------------------------------------------

    def _in_flight(self, _: CallbackOptions) -> Iterable[Observation]:
        running = Counter[tuple[str, str]]()
        for vitals in self._vitals():
            running.update(vitals.running)
        for (graph, node), number in running.items():
            yield Observation(number, {"graph": graph, "node": node})

    def _capacity(self, _: CallbackOptions) -> Iterable[Observation]:
        yield Observation(sum(vitals.capacity for vitals in self._vitals()))

    def _waits(self, _: CallbackOptions) -> Iterable[Observation]:
        yield Observation(sum(vitals.waits for vitals in self._vitals()))

    def _listening(self, _: CallbackOptions) -> Iterable[Observation]:
        hears = [vitals.listening for vitals in self._vitals() if vitals.listening is not None]
        if hears:
            yield Observation(int(all(hears)))

    def _pool_size(self, _: CallbackOptions) -> Iterable[Observation]:
        yield Observation(sum(vitals.pool_size for vitals in self._vitals()))

    def _pool_in_use(self, _: CallbackOptions) -> Iterable[Observation]:
        yield Observation(sum(vitals.pool_in_use for vitals in self._vitals()))

    def _left_behind(self, _: CallbackOptions) -> Iterable[Observation]:
        yield Observation(sum(vitals.left_behind for vitals in self._vitals()))

    def _executions(self, _: CallbackOptions) -> Iterable[Observation]:
        for status in self._statuses():
            for graph in status.graphs:
                labels = {"graph": graph.graph_name, "version": graph.graph_version}
                counts = graph.stats.executions
                yield Observation(counts.active, labels | {"state": "active"})
                yield Observation(counts.archived, labels | {"state": "archived"})

    def _healthy(self, _: CallbackOptions) -> Iterable[Observation]:
        statuses = self._statuses()
        if statuses:
            yield Observation(int(all(status.status == "healthy" for status in statuses)))

    def _vitals(self) -> list[Vitals]:
        found = [opened.vitals() for opened in list(self._opened.values())]
        return [vitals for vitals in found if vitals is not None]

    def _statuses(self) -> list[SystemStatus]:
        found = [opened.status() for opened in list(self._opened.values())]
        return [status for status in found if status is not None]


class Opened:
    """An open Journey, as it is seen by those who ask from any thread."""

    def __init__(self, journey: Journey) -> None:
        self.journey = journey
        self._loop = asyncio.get_running_loop()
        self._home = threading.get_ident()
        self._lock = threading.Lock()
        self._reading: concurrent.futures.Future[SystemStatus] | None = None
        self._status: SystemStatus | None = None
        self._read_at = -FRESH
        self._is_closed = False

    def vitals(self) -> Vitals | None:
        """What it is doing; None if it has died, or was closed meanwhile."""
        try:
            return self.journey.vitals()
        except JourneyError:
            return None

    def status(self) -> SystemStatus | None:
        """The figures of the database, up to 15 seconds old; older ones if it takes too long.

        On the event loop nothing can be waited for: there, those that were read last, and so where
        no loop runs that could read them.
        """
        with self._lock:
            is_fresh = time.monotonic() < self._read_at + FRESH
            if is_fresh or self._is_closed or not self._loop.is_running():
                return self._status
            if self._reading is None or self._reading.done():
                self._reading = asyncio.run_coroutine_threadsafe(self._read(), self._loop)
            reading = self._reading
        if threading.get_ident() != self._home:
            concurrent.futures.wait([reading], timeout=PATIENCE)
        return self._status

    async def _read(self) -> SystemStatus:
        self._status = await self.journey.status()
        self._read_at = time.monotonic()
        return self._status

    def close(self) -> None:
        """Read nothing any more."""
        with self._lock:
            self._is_closed = True
            if self._reading is not None:
                self._reading.cancel()


def labels_of(run: Run) -> dict[str, str]:
    """What tells one series from the others: names in the code, so that there are not too many."""
    return {"graph": run.graph_name, "node": run.computation.node}
