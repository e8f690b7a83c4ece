"""What happened in an execution, as records."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from journey_async.core.graph import Graph
from journey_async.core.nodes import own_copy
from journey_async.core.pieces import Pieces
from journey_async.core.state import State
from journey_async.core.values import Computation, ComputationState, NodeKind, NodeValue


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A successful computation, or the present value of a node, at its revision.

    `value` is None for a computation.
    """

    kind: Literal["computation", "value"]
    node: str
    node_kind: NodeKind
    revision: int
    value: Any = None


def history_of(
    state: State, graph: Graph, computations: Iterable[Computation]
) -> Pieces[list[HistoryEntry]]:
    """Successful computations and set values, in the order of their revisions.

    A computation comes before the value of the same revision.
    """
    entries: list[tuple[tuple[int, int, str, str], HistoryEntry]] = []
    for computation in computations:
        revision = computation.revision_at_completion
        if computation.state is ComputationState.SUCCESS and revision is not None:
            order = (revision, computation.revision_at_start or 0, "computation", computation.node)
            entry = HistoryEntry("computation", computation.node, computation.kind, revision)
            entries.append((order, entry))
        yield
    for value in (yield from set_values(state, graph)):
        order = (value.revision, value.revision, "value", value.name)
        entry = HistoryEntry("value", value.name, value.kind, value.revision, value.value)
        entries.append((order, entry))
        yield
    return [entry for _, entry in sorted(entries, key=lambda pair: pair[0])]


def set_values(state: State, graph: Graph) -> Pieces[list[NodeValue]]:
    """The values that are set, copied and parsed; those of nodes that left the graph included."""
    names = dict.fromkeys([*graph.by_name, *state.values])
    found = []
    for name in names:
        node = graph.by_name.get(name)
        value = state.values[name] if node is None else state.value_of(node)
        if value.is_set:
            found.append(own_copy(node, value, state.execution_id))
        yield
    return found
