"""What a state says about a node: is it settled, has it failed."""

from datetime import datetime

from journey_async.core.alarm import tick_times, wants_attention
from journey_async.core.commands import Unarchive
from journey_async.core.draft import nobody
from journey_async.core.graph import Graph
from journey_async.core.settle import settle
from journey_async.core.state import State
from journey_async.core.values import TICKS, Computation, has_failed


def failed_computation(graph: Graph, state: State, node: str) -> Computation | None:
    """The last attempt at a node whose attempts are used up; None if there is hope, or success.

    There is hope while a write of a process that could not settle it is yet to be settled, and if
    the inputs have changed since: the next attempt will be the first on them.
    """
    newest = state.newest.get(node)
    if node not in graph.steps or newest is None or not has_failed(newest):
        return None
    return None if _is_outdated(state, newest) or wants_attention(graph, state) else newest


def _is_outdated(state: State, computation: Computation) -> bool:
    """Whether a value that it has seen was changed or cleared since; a tick only moves on."""
    return any(
        value.revision > revision and value.kind not in TICKS
        for node, revision in computation.computed_with.items()
        if (value := state.values.get(node)) is not None
    )


def is_settled(graph: Graph, state: State, node: str, now: datetime) -> bool:
    """Whether nothing of the node, or upstream of it, is stale, queued or running.

    A tick that lies ahead is neither. After a write of a process that could not settle it only
    the inputs are, until another one has.
    """
    if node not in graph.steps:
        return True
    upstream = graph.ancestors(node)
    if _is_active(state, node, upstream) or wants_attention(graph, state):
        return False
    followed = _followed(graph, state, now)
    return followed is state or (
        not _is_active(followed, node, upstream)
        and all(followed.values.get(n) is state.values.get(n) for n in (node, *upstream))
    )


def has_come(graph: Graph, state: State, node: str, now: datetime) -> bool:
    """Whether the time has come of a tick, the node or upstream of it, and nobody has seen to it.

    Whoever does sets the alarm for what comes next, or leaves an event.
    """
    if state.wake_at is None or state.wake_at > now:
        return False
    ticks = graph.ticks & (graph.ancestors(node) | {node})
    since = max(state.wake_at, state.updated_at)
    return any(since <= time <= now for time in tick_times(state, ticks))


def _is_active(state: State, node: str, upstream: frozenset[str]) -> bool:
    """Whether the node, or one upstream of it, is queued or running."""
    if node in state.queued or node in state.computing:
        return True
    return not (upstream.isdisjoint(state.queued) and upstream.isdisjoint(state.computing))


def _followed(graph: Graph, state: State, now: datetime) -> State:
    """The state once everything has followed that is to: of an archived one nothing has yet.

    What is on another definition, or cannot be decided here, is taken as it is.
    """
    if state.archived_at is None or graph.hash != state.graph_hash or graph.is_opaque:
        return state
    return settle(graph, state, Unarchive(), nobody(now)).state


def failed_upstream(graph: Graph, state: State, node: str) -> Computation | None:
    """The used-up attempt at the node itself, or else at one upstream of it."""
    newest = state.newest
    upstream = [n for n in graph.ancestors(node) if n in newest and has_failed(newest[n])]
    for name in (node, *sorted(upstream, key=graph.position.__getitem__)):
        failed = failed_computation(graph, state, name)
        if failed is not None:
            return failed
    return None
