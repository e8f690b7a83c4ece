"""An execution as a frozen snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from types import MappingProxyType

from journey_async.core.graph import Graph
from journey_async.core.nodes import own_copy
from journey_async.core.state import State
from journey_async.core.values import Computation, ComputationState, NodeValue


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One run of a graph as of one moment; it has no behaviour and does not change.

    `revision` counts the events that anybody can see; `graph_hash` names the definition that the
    execution is on. Times are in UTC; `archived_at` is None while the execution is live.
    """

    id: str
    graph_name: str
    graph_version: str
    graph_hash: str
    revision: int
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None
    _state: State = field(repr=False, compare=False)
    _graph: Graph = field(repr=False, compare=False)

    @cached_property
    def values(self) -> Mapping[str, NodeValue]:
        """What every node of the graph holds, by name, in the order of the graph."""
        return MappingProxyType(
            {n.name: own_copy(n, self._state.value_of(n)) for n in self._graph.nodes}
        )

    @cached_property
    def computations(self) -> tuple[Computation, ...]:
        """The newest computation of each node, in the order of the graph."""
        order = self._graph.position
        found = [
            c for c in self._state.newest.values() if c.state is not ComputationState.CANCELLED
        ]
        found.sort(key=lambda c: (order.get(c.node, len(order)), c.node))
        return tuple(found)


def snapshot(state: State, graph: Graph) -> Execution:
    """The public view of a state."""
    return Execution(
        id=state.execution_id,
        graph_name=state.graph_name,
        graph_version=state.graph_version,
        graph_hash=state.graph_hash,
        revision=state.revision,
        created_at=state.created_at,
        updated_at=state.updated_at,
        archived_at=state.archived_at,
        _state=state,
        _graph=graph,
    )
