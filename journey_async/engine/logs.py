"""The logger of this library, and what its records are about: fields that a program can read.

They are `extra` of the records of this library. While a node's function runs, they are also in
`ABOUT`, from which `journey_async.contrib.logging` puts them on every record, those of the function
included.
"""

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from time import monotonic
from types import MappingProxyType

from journey_async.core.change import Change
from journey_async.core.graph import Graph
from journey_async.core.values import Computation

log = logging.getLogger("journey_async")

OUTAGE = 1.0  # seconds for which writes fail until that is told
FORGOTTEN = 60.0  # seconds after which a failure has nothing to do with the one before

Fields = Mapping[str, object]

NOTHING: Fields = MappingProxyType({})
ABOUT: ContextVar[Fields] = ContextVar("journey_async_about", default=NOTHING)


def about(execution_id: str, node: str | None = None, **more: object) -> dict[str, object]:
    """The fields of a record about an execution, or a node of it."""
    found: dict[str, object] = {"journey_execution_id": execution_id}
    if node is not None:
        found["journey_node_name"] = node
    return found | {f"journey_{name}": value for name, value in more.items()}


def about_computation(computation: Computation, graph: Graph) -> dict[str, object]:
    """The fields of a record about an attempt; made for each one, so without `about`."""
    return {
        "journey_execution_id": computation.execution_id,
        "journey_node_name": computation.node,
        "journey_graph_name": graph.name,
        "journey_graph_version": graph.version,
        "journey_computation_id": computation.id,
        "journey_attempt": computation.attempt,
        "journey_worker": computation.worker,
    }


class Outage:
    """Says that nothing can be written for longer than a moment, and when that is over."""

    def __init__(self) -> None:
        self._first = self._last = float("-inf")  # failures in a row
        self._told = False

    def goes_on(self, error: Exception) -> None:
        """A write has failed, and is tried again soon."""
        now = monotonic()
        if now - self._last > FORGOTTEN:
            self._first = now
        self._last = now
        if not self._told and now - self._first > OUTAGE:
            self._told = True
            log.warning("nothing can be written, and is tried again and again: %s", error)

    def is_over(self) -> None:
        """Something was written."""
        if self._told:
            log.warning("the database takes writes again")
        self._last, self._told = float("-inf"), False


class Complaints:
    """Logs what predicates raise: of each predicate once, for it may be asked very often."""

    def __init__(self) -> None:
        self._logged: set[tuple[str, str, str]] = set()

    def log_failures(self, change: Change, graph: Graph) -> None:
        """Log the predicates that raised while a change was decided."""
        for step, predicate, error in change.failures:
            name = predicate.function.name
            if (graph.hash, step, name) in self._logged:
                continue
            self._logged.add((graph.hash, step, name))
            log.warning(
                "predicate %s on which node %r of graph %r waits raised, and counts as not met",
                name,
                step,
                graph.name,
                exc_info=error,
                extra=about(
                    change.state.execution_id,
                    step,
                    graph_name=graph.name,
                    graph_version=graph.version,
                ),
            )
