"""An execution as a frozen snapshot."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any

from journey_async.core import jsonvalue
from journey_async.core.graph import Graph
from journey_async.core.jsonvalue import JSON
from journey_async.core.nodes import own_copy
from journey_async.core.state import State
from journey_async.core.types import ANY
from journey_async.core.values import Computation, ComputationState, NodeValue
from journey_async.errors import StoredTypeError


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

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> "Execution":
        """The snapshot itself, which does not change."""
        return self

    @cached_property
    def values(self) -> Mapping[str, NodeValue]:
        """What every node of the graph holds, by name, in the order of the graph.

        Asking for one that is not of its type raises StoredTypeError; the others can be read.
        """
        return Values(self._state, self._graph)

    @cached_property
    def unreadable(self) -> Mapping[str, StoredTypeError]:
        """The nodes that hold what is not of their type, with the error that asking for it raises.

        There are some if the type of an input was changed, or somebody set it who did not know it.
        """
        found = {}
        for name in self._graph.types:
            try:
                _ = self.values[name]
            except StoredTypeError as error:
                found[name] = error
        return MappingProxyType(found)

    @cached_property
    def computations(self) -> tuple[Computation, ...]:
        """The newest computation of each node, in the order of the graph.

        A node whose newest one was withdrawn has none here; `Journey.computations` gives all.
        """
        order = self._graph.position
        found = [
            c for c in self._state.newest.values() if c.state is not ComputationState.CANCELLED
        ]
        found.sort(key=lambda c: (order.get(c.node, len(order)), c.node))
        return tuple(own_computation(computation) for computation in found)


def own_computation(computation: Computation) -> Computation:
    """A copy that its receiver may change: the original belongs to a state that is decided upon."""
    return computation._replace(
        computed_with=dict(computation.computed_with),
        carried=jsonvalue.copied(computation.carried),
    )


class Values(Mapping[str, NodeValue]):
    """What the nodes of a graph hold; each is parsed when it is first asked for."""

    def __init__(self, state: State, graph: Graph) -> None:
        self._state = state
        self._graph = graph
        self._parsed: dict[str, NodeValue] = {}

    def __getitem__(self, name: str) -> NodeValue:
        if name not in self._parsed:
            node = self._graph.by_name[name]
            value = self._state.value_of(node)
            self._parsed[name] = own_copy(node, value, self._state.execution_id)
        return self._parsed[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._graph.by_name)

    def __len__(self) -> int:
        return len(self._graph.by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._graph.by_name

    def __repr__(self) -> str:
        return f"<values of {self._state.execution_id}: {', '.join(self)}>"


def stored_values(execution: Execution) -> Iterator[NodeValue]:
    """What every node holds as the JSON that is stored, whatever its type: to be shown."""
    for node in execution._graph.nodes:
        yield own_copy(None, execution._state.value_of(node), execution.id)


def stored_value(execution: Execution, node: str, value: Any) -> JSON:
    """The JSON that is stored for a value that a node was read to hold."""
    return execution._graph.types.get(node, ANY).dump(value)


def state_of(execution: Execution | str) -> State | None:
    """The state that a snapshot shows; None for an id."""
    return execution._state if isinstance(execution, Execution) else None


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
