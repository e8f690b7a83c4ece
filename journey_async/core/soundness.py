"""What no graph may have: two nodes of a name, edges that lead nowhere, circles."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from journey_async.core.nodes import SYSTEM_NAMES, MutateNode, Node
from journey_async.core.paths import Adjacency, cycle_in
from journey_async.errors import (
    CircularDependencyError,
    DuplicateNodeError,
    MutationTargetError,
    UnknownUpstreamError,
    listed,
)


def refuse_duplicates(graph: str, nodes: Sequence[Node]) -> None:
    """Raises DuplicateNodeError."""
    seen: set[str] = set()
    for node in nodes:
        if node.name in seen:
            raise DuplicateNodeError(node.name, graph, of_itself=node.name in SYSTEM_NAMES)
        seen.add(node.name)


def refuse_unknown_upstream(nodes: Mapping[str, Node], upstream: Adjacency) -> None:
    """Raises UnknownUpstreamError for a gate that names what is no node."""
    for name, gating in upstream.items():
        missing = [node for node in gating if node not in nodes]
        if missing:
            raise UnknownUpstreamError(name, missing, list(nodes))


def refuse_bad_targets(nodes: Mapping[str, Node]) -> None:
    """Raises MutationTargetError for what a mutate node cannot write."""
    for node in nodes.values():
        if not isinstance(node, MutateNode):
            continue
        for target in node.mutates:
            if target == node.name:
                why = "a node cannot mutate itself; compute gives a node its own value"
            elif target not in nodes:
                why = f"the graph has no such node; its nodes are {listed(list(nodes))}"
            elif target in SYSTEM_NAMES:
                why = "system nodes are read-only; name other nodes of the graph"
            else:
                continue
            raise MutationTargetError(node.name, target, why)


def refuse_cycles(graph: str, nodes: Mapping[str, Node], upstream: Adjacency) -> None:
    """Raises CircularDependencyError; MutationTargetError where a mutation closes the circle."""
    if cycle := cycle_in(nodes, upstream):
        raise CircularDependencyError(cycle, graph)
    writers = {name: list(gating) for name, gating in upstream.items()}
    for node in nodes.values():
        if isinstance(node, MutateNode) and node.update_revision_on_change:
            for target in node.mutates:
                writers.setdefault(target, []).append(node.name)
    if cycle := cycle_in(nodes, writers):
        target, writer = next(
            (node, follows_from)
            for node, follows_from in pairwise(cycle)
            if follows_from not in upstream.get(node, ())  # it writes the node, then
        )
        raise MutationTargetError(
            writer,
            target,
            f"with update_revision_on_change it would run again and again, "
            f"by way of {' → '.join(cycle)}",
        )
