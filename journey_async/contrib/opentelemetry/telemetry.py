"""OpenTelemetry: the Instrumentation that makes spans and metrics."""

import time

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from journey_async.client.journey import Journey
from journey_async.contrib.opentelemetry.metrics import Metrics
from journey_async.contrib.opentelemetry.spans import Spans
from journey_async.core.values import Computation
from journey_async.engine.instrumentation import Call, End, Instrumentation, Run, Span


class OpenTelemetry(Instrumentation):
    """Makes a span of each call and attempt, and keeps the metrics that docs/monitoring.md lists.

    The providers are the global ones unless given. Values, and texts of exceptions, which may hold
    some, are in nothing of it unless `record_values` is true; then they are in spans. Several
    Journeys of one process may share one.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        record_values: bool = False,
    ) -> None:
        self._spans = Spans(tracer_provider, record_values=record_values)
        self._metrics = Metrics(meter_provider)

    def opened(self, journey: Journey) -> None:
        """A Journey was opened."""
        self._metrics.opened(journey)

    def closed(self, journey: Journey) -> None:
        """A Journey is about to close."""
        self._metrics.closed(journey)

    def call(self, call: Call) -> Span:
        """A verb is called."""
        return self._spans.call(call)

    def run(self, run: Run) -> Span:
        """A function is called: one attempt."""
        self._metrics.began(run)
        return _Measured(self._spans.run(run), self._metrics, run)

    def recorded(self, computation: Computation, graph_name: str) -> None:
        """The end of a computation was written by this process."""
        self._metrics.recorded(computation, graph_name)


class _Measured(Span):
    """The span of an attempt, of which the time is taken."""

    def __init__(self, span: Span, metrics: Metrics, run: Run) -> None:
        self._span = span
        self._metrics = metrics
        self._run = run
        self._began = time.perf_counter()

    @property
    def trace_context(self) -> str | None:
        """What leads to it from elsewhere."""
        return self._span.trace_context

    def end(self, end: End) -> None:
        """It has ended."""
        self._metrics.ended(self._run, end.outcome, time.perf_counter() - self._began)
        self._span.end(end)
