"""The state of an execution, as loaded or as it will be once a change is written."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple, Protocol

from journey_async.core.graph import Graph, GraphKey
from journey_async.core.nodes import EXECUTION_ID, SYSTEM_NAMES, Node
from journey_async.core.values import (
    AVAILABLE,
    CANCELLED,
    SUCCESS,
    Computation,
    ComputationState,
    NodeKind,
    NodeValue,
)

NOT_SET_STATE = "not_set"
NO_NODES: frozenset[str] = frozenset()  # Python makes a new one each time, of 216 bytes
LONGEST_STEP = 2**31  # from one version to the next; a bigint has room for 2**32 of them


class State(NamedTuple):
    """One execution at one version.

    `version` grows with every write and is private; `revision` counts what anybody can see.
    `values` holds the nodes that were ever set. `newest` holds the newest computation of each node,
    which is the only one that can be available or computing; `queued` and `computing` name the
    nodes of which it is. `values_at` and `values_revision` are the newest change of any value (the
    node `last_updated_at`); `inputs_revision` is the newest set or unset by a caller. `not_set` is
    how many steps are shown as that.
    """

    execution_id: str
    graph_name: str
    graph_version: str
    graph_hash: str
    created_at: datetime
    updated_at: datetime
    values_at: datetime
    version: int = 0
    revision: int = 0
    archived_at: datetime | None = None
    wake_at: datetime | None = None
    values_revision: int = 0
    inputs_revision: int = 0
    not_set: int = 0
    values: Mapping[str, NodeValue] = MappingProxyType({})
    newest: Mapping[str, Computation] = MappingProxyType({})
    queued: frozenset[str] = NO_NODES
    computing: frozenset[str] = NO_NODES

    @property
    def graph_key(self) -> GraphKey:
        """The name and version of its graph."""
        return self.graph_name, self.graph_version

    def value_of(self, node: Node) -> NodeValue:
        """What a node of the graph holds, system nodes included."""
        found = self.values.get(node.name)
        if found is not None:
            return found
        if node.name in SYSTEM_NAMES:
            newest_change = (self.values_revision, self.values_at)
            return system_value(node.name, self.execution_id, self.created_at, newest_change)
        return NodeValue(node.name, node.kind)


def system_value(
    name: str, execution_id: str, created_at: datetime, newest_change: tuple[int, datetime]
) -> NodeValue:
    """The value of a system node, which has no row of its own."""
    if name == EXECUTION_ID:
        return NodeValue(name, NodeKind.INPUT, execution_id, None, 0, created_at)
    revision, time = newest_change
    return NodeValue(name, NodeKind.INPUT, int(time.timestamp()), None, revision, time)


def nodes_in(state: ComputationState, newest: Mapping[str, Computation]) -> frozenset[str]:
    """The nodes whose newest computation is in a state."""
    return frozenset(node for node, found in newest.items() if found.state is state) or NO_NODES


def next_version(version: int, chance: Callable[[], float]) -> int:
    """A greater version, by a step that nobody can foresee.

    So states of the same version are the same, also where the database has lost what was written
    last (a standby that was behind took over) and other things were written in its place.
    """
    return version + 1 + int(chance() * LONGEST_STEP)


def new_state(execution_id: str, graph: Graph, now: datetime) -> State:
    """The state of an execution that is about to be created."""
    return State(
        execution_id=execution_id,
        graph_name=graph.name,
        graph_version=graph.version,
        graph_hash=graph.hash,
        created_at=now,
        updated_at=now,
        values_at=now,
    )


class Contents(Protocol):
    """What an execution holds, be it a State or one in the making."""

    @property
    def graph_hash(self) -> str:
        """The definition that it is on."""

    @property
    def values(self) -> Mapping[str, NodeValue]:
        """The nodes that were ever set."""

    @property
    def newest(self) -> Mapping[str, Computation]:
        """The newest computation of each node."""


def shown_state(state: Contents, node: str) -> str:
    """The state of a step as every figure and text shows it.

    `not_set` when nothing of it is computing and it has not run since it was last cleared, or at
    all; what is available is shown as `not_set` too.
    """
    newest = state.newest.get(node)
    value = state.values.get(node)
    if newest is None or newest.state is AVAILABLE:
        return NOT_SET_STATE
    if newest.state is CANCELLED:  # what ran before it may still be seen
        return SUCCESS if value and value.is_set else NOT_SET_STATE
    return NOT_SET_STATE if was_cleared_since(newest, value) else newest.state.value


def was_cleared_since(computation: Computation, value: NodeValue | None) -> bool:
    """Whether the value of its node was cleared after it ended."""
    ended = computation.revision_at_completion
    return value is not None and not value.is_set and ended is not None and value.revision > ended
