"""When an execution needs attention without anybody's doing."""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta

from journey_async.core.evaluation import tick_time
from journey_async.core.graph import Graph
from journey_async.core.state import State
from journey_async.core.values import Computation, NodeValue


def queue_times(newest: Mapping[str, Computation], queued: Iterable[str]) -> list[datetime]:
    """When what is queued may be begun."""
    return [due for node in queued if (due := newest[node].due_at) is not None]


def tick_times(graph: Graph, value_of: Callable[[str], NodeValue]) -> list[datetime]:
    """The times of the ticks, past and to come."""
    return [time for name in graph.ticks if (time := tick_time(value_of(name))) is not None]


def has_ticked(graph: Graph, state: State, now: datetime) -> bool:
    """Whether the time of a tick has come since the newest event."""
    if not graph.ticks or state.wake_at is None or state.wake_at > now:
        return False  # the alarm is set for the next tick at the latest
    times = tick_times(graph, lambda name: state.value_of(graph.by_name[name]))
    return any(state.updated_at < time <= now for time in times)


def attention_time(now: datetime, others: Collection[datetime]) -> datetime:
    """The alarm that is set by a process which cannot settle: the present, or just before it.

    It differs from all `others`, the times of the queue and of the ticks; by that
    `wants_attention` knows it.
    """
    while now in others:
        now -= timedelta.resolution
    return now


def wants_attention(graph: Graph, state: State) -> bool:
    """Whether somebody wrote the execution who could not settle it, and set the alarm instead.

    Its alarm is then for a time that neither its queue nor its ticks explain. That can be told only
    by the definition that it is on: another one has other ticks.
    """
    if state.wake_at is None or state.graph_hash != graph.hash:
        return False
    if any(state.newest[node].due_at == state.wake_at for node in state.queued):
        return False
    values = (state.value_of(graph.by_name[name]) for name in graph.ticks)
    return all(tick_time(value) != state.wake_at for value in values)
