"""The state of an execution, as loaded or as it will be once a change is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from journey_async.core.graph import EXECUTION_ID, LAST_UPDATED_AT, Graph
from journey_async.core.nodes import Node
from journey_async.core.values import Computation, NodeKind, NodeValue


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One execution at one version.

    `version` counts writes and is private; `revision` counts what anybody can see. `values` holds
    the nodes that were ever set, `newest` the newest computation of each node: the only one that
    can be available or computing. `values_at` and `values_revision` are the newest change of any
    value (the node `last_updated_at`); `inputs_revision` is the newest set or unset by a caller.
    """

    execution_id: str
    graph_name: str
    graph_version: str
    graph_hash: str
    version: int = 0
    revision: int = 0
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None = None
    wake_at: datetime | None = None
    values_at: datetime
    values_revision: int = 0
    inputs_revision: int = 0
    values: Mapping[str, NodeValue] = field(default_factory=dict)
    newest: Mapping[str, Computation] = field(default_factory=dict)

    def value_of(self, node: Node) -> NodeValue:
        """What a node of the graph holds, system nodes included."""
        found = self.values.get(node.name)
        if found is not None:
            return found
        return self.system_value(node.name) or NodeValue(node.name, node.kind)

    def system_value(self, name: str) -> NodeValue | None:
        """The value of a system node, which has no row of its own."""
        if name == EXECUTION_ID:
            return NodeValue(name, NodeKind.INPUT, self.execution_id, None, 0, self.created_at)
        if name == LAST_UPDATED_AT:
            seconds = int(self.values_at.timestamp())
            return NodeValue(
                name, NodeKind.INPUT, seconds, None, self.values_revision, self.values_at
            )
        return None


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
