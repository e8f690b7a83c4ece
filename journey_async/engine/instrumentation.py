"""The seam for those who trace and measure: what they are told.

Nothing here knows how it is done; `journey_async.contrib.opentelemetry` does. Values are told as
well: it is for an Instrumentation to keep them to itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from journey_async.core.jsonvalue import JSON
from journey_async.core.sentinels import NOT_SET
from journey_async.core.values import Computation


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Somebody calls a verb of a Journey: "start", "set", "unset", "get" and so on.

    `nodes` are those that it names, `values` what it sets, by node.
    """

    verb: str
    execution_id: str
    nodes: tuple[str, ...] = ()
    values: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The function of a node is about to be called.

    Seconds: `delay` is how long the computation has been due; `tick_lag` how long ago the tick came
    that unblocked it, None if it was no tick.
    """

    graph_name: str
    graph_version: str
    computation: Computation
    delay: float
    tick_lag: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a call or a run ended.

    `outcome` of a call: success, not_set, timeout, cancelled, failed. Of a run: success, failed,
    abandoned (given up, at its deadline or by others), released (to other workers, for this one
    closes). `error_type` is the name of a class; `error`, its text, may hold values. `value` is
    what came of it, NOT_SET if nothing did.
    """

    outcome: str
    error_type: str | None = None
    error: str | None = None
    value: Any = NOT_SET
    graph_name: str | None = None
    graph_version: str | None = None


class Span(Protocol):
    """A call or a run that goes on; it began, and will end, in one and the same task."""

    @property
    def trace_context(self) -> str | None:
        """What leads to it from elsewhere, to be stored with the computations that it unblocks."""

    def end(self, end: End) -> None:
        """It has ended."""


class Instrumentation(Protocol):
    """Is told what a Journey does; what it raises is logged, and changes nothing.

    All but `opened` and `closed` are called often, and on the event loop: be quick. One
    Instrumentation may serve several Journeys.
    """

    def opened(self, journey: Any) -> None:
        """A Journey was opened."""

    def closed(self, journey: Any) -> None:
        """A Journey is about to close."""

    def call(self, call: Call) -> Span:
        """A verb is called."""

    def run(self, run: Run) -> Span:
        """A function is called: one attempt."""

    def recorded(self, computation: Computation, graph_name: str) -> None:
        """The end of a computation was written by this process, whoever ran it."""
