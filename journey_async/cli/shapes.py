"""What JSON shows of executions, values and computations."""

from typing import Any

from journey_async.client.causes import Cause
from journey_async.client.execution import Execution, stored_values
from journey_async.core.values import Computation, NodeValue


def execution_data(execution: Execution) -> dict[str, Any]:
    """An execution with the values that are set."""
    return {
        "id": execution.id,
        "graph_name": execution.graph_name,
        "graph_version": execution.graph_version,
        "revision": execution.revision,
        "created_at": execution.created_at,
        "updated_at": execution.updated_at,
        "archived_at": execution.archived_at,
        "values": {node.name: node.value for node in stored_values(execution) if node.is_set},
    }


def node_data(node: NodeValue) -> dict[str, Any]:
    """A node with its value."""
    return {
        "node": node.name,
        "kind": node.kind,
        "is_set": node.is_set,
        "value": node.value,
        "metadata": node.metadata,
        "revision": node.revision,
        "set_time": node.set_time,
    }


def causes_data(cause: Cause) -> list[dict[str, Any]]:
    """A cause and those behind it, each once, with its inputs by name and revision.

    As a tree they might be without number, and nested without end.
    """
    found: dict[tuple[str, int | None], Cause] = {}
    ahead = [cause]
    while ahead:
        one = ahead.pop()
        if (one.node, one.revision) not in found:
            found[one.node, one.revision] = one
            ahead.extend(reversed(one.inputs))
    return [_cause_data(one) for one in found.values()]


def _cause_data(cause: Cause) -> dict[str, Any]:
    return {
        "node": cause.node,
        "kind": cause.kind,
        "revision": cause.revision,
        "is_current": cause.is_current,
        "value": cause.value,
        "set_time": cause.set_time,
        "computation": cause.computation,
        "attempt": cause.attempt,
        "inputs": [{"node": one.node, "revision": one.revision} for one in cause.inputs],
        "waits_for": cause.waits_for,
        "kept_by": cause.kept_by,
    }


def computation_data(computation: Computation) -> dict[str, Any]:
    """A computation, without what only the engine wants to know."""
    return {
        "id": computation.id,
        "node": computation.node,
        "kind": computation.kind,
        "state": computation.state,
        "attempt": computation.attempt,
        "iteration": computation.iteration,
        "computed_with": dict(computation.computed_with),
        "created_at": computation.created_at,
        "due_at": computation.due_at,
        "started_at": computation.started_at,
        "deadline": computation.deadline,
        "completed_at": computation.completed_at,
        "worker": computation.worker,
        "deaths": computation.deaths,
        "error": computation.error,
    }
