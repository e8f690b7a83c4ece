"""A reference to a node: its name, and the type as which its value is read."""

from dataclasses import dataclass
from typing import Any, Generic, TypeAlias

from typing_extensions import TypeVar

from journey_async.core.types import ANY, NodeType

T = TypeVar("T", default=Any)


@dataclass(frozen=True, slots=True)
class NodeRef(Generic[T]):
    """A node of a graph with the type of its value, from `Graph.node`; verbs take it for a name.

    What is read by it is validated as that type, so a type checker may rely on it.
    """

    name: str
    type: NodeType = ANY

    def __str__(self) -> str:
        return self.name


NodeName: TypeAlias = str | NodeRef[Any]


def name_of(node: NodeName) -> str:
    """The name of a node that is named or referred to."""
    return node.name if isinstance(node, NodeRef) else node


def type_of(node: NodeName) -> NodeType:
    """The type as which the value of a node is to be read; Any: the node's own."""
    return node.type if isinstance(node, NodeRef) else ANY
