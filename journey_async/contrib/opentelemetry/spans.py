"""Spans of calls and attempts, and what leads from the one to the other."""

import json
from collections.abc import Iterable
from typing import Any

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from journey_async.core.sentinels import NOT_SET
from journey_async.engine.instrumentation import Call, End, Run

SCOPE = "journey_async"
LONGEST_VALUE = 4096  # characters of JSON
NO_ERRORS = frozenset({"success", "not_set", "timeout", "cancelled", "released"})

Attributes = dict[str, str | int | list[str]]

_W3C = TraceContextTextMapPropagator()


class Spans:
    """Begins spans; with `record_values` they tell values."""

    def __init__(self, provider: TracerProvider | None, *, record_values: bool) -> None:
        self._tracer = trace.get_tracer(SCOPE, tracer_provider=provider)
        self._record_values = record_values

    def call(self, call: Call) -> "OpenSpan":
        """The span of a verb, within whatever its caller does."""
        attributes: Attributes = {"journey.execution.id": call.execution_id}
        if len(call.nodes) == 1:
            attributes["journey.node.name"] = call.nodes[0]
        elif call.nodes:
            attributes["journey.node.names"] = list(call.nodes)
        if self._record_values and call.values:
            attributes["journey.values"] = _json(dict(call.values))
        span = self._tracer.start_span(
            f"journey.{call.verb}",
            kind=SpanKind.INTERNAL if call.verb == "get" else SpanKind.PRODUCER,
            attributes=attributes,
        )
        return OpenSpan(span, context.get_current(), record_values=self._record_values)

    def run(self, run: Run) -> "OpenSpan":
        """The span of an attempt: of a trace of its own, linked to the call that unblocked it."""
        computation = run.computation
        attributes: Attributes = {
            "journey.graph.name": run.graph_name,
            "journey.graph.version": run.graph_version,
            "journey.execution.id": computation.execution_id,
            "journey.node.name": computation.node,
            "journey.node.type": computation.kind.value,
            "journey.computation.id": computation.id,
            "journey.attempt": computation.attempt,
        }
        if computation.iteration is not None:
            attributes["journey.loop.iteration"] = computation.iteration
        if computation.worker is not None:
            attributes["journey.worker"] = computation.worker
        nothing = Context()  # not that of whatever made the task in which it runs
        span = self._tracer.start_span(
            f"journey.compute {computation.node}",
            context=nothing,
            kind=SpanKind.CONSUMER,
            links=list(_links(computation.trace_context)),
            attributes=attributes,
        )
        return OpenSpan(span, nothing, record_values=self._record_values)


class OpenSpan:
    """A span that is current until it ends."""

    def __init__(self, span: trace.Span, around: Context, *, record_values: bool) -> None:
        self._span = span
        self._context = trace.set_span_in_context(span, around)
        self._token = context.attach(self._context)
        self._record_values = record_values

    @property
    def trace_context(self) -> str | None:
        """Its traceparent, and after a blank its tracestate; None without a tracer."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, self._context)
        return " ".join(carrier[name] for name in sorted(carrier)) or None

    def end(self, end: End) -> None:
        """Say how it ended."""
        context.detach(self._token)
        span = self._span
        if span.is_recording():
            span.set_attribute("journey.outcome", end.outcome)
            if end.graph_name is not None and end.graph_version is not None:
                span.set_attribute("journey.graph.name", end.graph_name)
                span.set_attribute("journey.graph.version", end.graph_version)
            if self._record_values and end.value is not NOT_SET:
                span.set_attribute("journey.value", _json(end.value))
            if end.error_type is not None:
                self._tell_error(end)
            if end.outcome not in NO_ERRORS:
                told = end.error if self._record_values else None
                span.set_status(Status(StatusCode.ERROR, told or end.error_type or end.outcome))
        span.end()

    def _tell_error(self, end: End) -> None:
        told = {"exception.type": end.error_type or ""}
        if self._record_values and end.error:
            told["exception.message"] = end.error
        self._span.add_event("exception", told)
        self._span.set_attribute("error.type", told["exception.type"])


def _links(trace_context: str | None) -> Iterable[Link]:
    if trace_context is None:
        return
    parent, _, state = trace_context.partition(" ")
    found = _W3C.extract({"traceparent": parent, "tracestate": state}, Context())
    led = trace.get_current_span(found).get_span_context()
    if led.is_valid:
        yield Link(led)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:LONGEST_VALUE]
