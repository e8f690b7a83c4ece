"""What a log record is about, besides its text: fields that a program can read.

They are `extra` of the records of this library. While a node's function runs, they are also in
`ABOUT`, from which `journey_async.contrib.logging` puts them on every record, those of the function
included.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType

from journey_async.core.graph import Graph
from journey_async.core.values import Computation

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
    """The fields of a record about an attempt."""
    return about(
        computation.execution_id,
        computation.node,
        graph_name=graph.name,
        graph_version=graph.version,
        computation_id=computation.id,
        attempt=computation.attempt,
        worker=computation.worker,
    )
