"""When an execution needs attention without anybody's doing."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from journey_async.core.evaluation import tick_time
from journey_async.core.graph import Graph
from journey_async.core.state import Contents, State


def queue_times(contents: Contents, queued: Iterable[str]) -> list[datetime]:
    """When what is queued of these nodes may be begun."""
    newest = contents.newest
    return [due for node in queued if (due := newest[node].due_at) is not None]


def tick_times(contents: Contents, ticks: Iterable[str]) -> list[datetime]:
    """The times of these ticks, past and to come."""
    return [time for _, time in _timed(contents, ticks)]


def _timed(contents: Contents, ticks: Iterable[str]) -> list[tuple[str, datetime]]:
    values = contents.values
    held = [(name, values[name]) for name in ticks if name in values]
    return [(name, time) for name, value in held if (time := tick_time(value)) is not None]


def next_time(
    contents: Contents, queued: Iterable[str], ticks: Iterable[str], now: datetime
) -> datetime | None:
    """The alarm for these queued nodes, be they due or not yet, and for these ticks to come."""
    ahead = [time for time in tick_times(contents, ticks) if time > now]
    return min([*queue_times(contents, queued), *ahead], default=None)


def is_time_of(
    contents: Contents, time: datetime, queued: Iterable[str], ticks: Iterable[str]
) -> bool:
    """Whether one of these queued nodes may be begun at exactly that time, or a tick is set to it.

    There may be thousands, of which any may be asked about with each command: so the values of
    ticks are compared as they are. Beyond the year 2200, when a float is no longer as exact as a
    time, it may be missed.
    """
    newest, values = contents.newest, contents.values
    if any(newest[node].due_at == time for node in queued):
        return True
    seconds = time.timestamp()
    return any(name in values and values[name].value == seconds for name in ticks)


def ticked(graph: Graph, state: State, now: datetime) -> list[str]:
    """The ticks whose time has come since the newest event."""
    if not graph.ticks or state.wake_at is None or state.wake_at > now:
        return []  # the alarm is set for the next tick at the latest
    since = state.updated_at
    return [name for name, time in _timed(state, graph.ticks) if since < time <= now]


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
    if is_time_of(state, state.wake_at, state.queued, graph.ticks):
        return False
    return state.wake_at not in tick_times(state, graph.ticks)
