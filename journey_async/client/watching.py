"""watch(): what happens in an execution, as it happens.

A watcher is a wait that never ends: it is shown every state that this process commits or reads, and
tells what is new in it. It keeps a few states that nobody has asked for yet; who asks late is told
the latest of each node.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from journey_async.client import options
from journey_async.client.execution import Execution, state_of
from journey_async.core import jsonvalue
from journey_async.core.graph import Graph
from journey_async.core.nodes import MutateNode, own_copy
from journey_async.core.reference import NodeName
from journey_async.core.state import State
from journey_async.core.values import (
    UNSUCCESSFUL,
    Computation,
    ComputationState,
    NodeValue,
    failure_of,
    has_failed,
)
from journey_async.engine.engine import Engine
from journey_async.engine.waiters import NOT_YET, lost
from journey_async.errors import InvalidOptionError, StoredTypeError

T = TypeVar("T")

MAX_BEHIND = 16  # states that are kept for a watcher that does not ask


class EventKind(StrEnum):
    """What has happened."""

    SET = "set"
    UNREADABLE = "unreadable"  # set to what is not of the node's type
    CLEARED = "cleared"
    COMPUTING = "computing"
    UNCHANGED = "unchanged"  # was computed, and has the value that it had
    FAILED = "failed"
    ABANDONED = "abandoned"
    ARCHIVED = "archived"
    UNARCHIVED = "unarchived"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in an execution, at one of its revisions.

    `node` is None where it concerns the whole execution. `value` and `metadata` are those that were
    set; `error` is that of an attempt that failed or was abandoned, or says why what was set cannot
    be read. `time` is in UTC, None where it was not recorded.

    `resume_from` is what `since_revision` has to be for whoever stops after this event and wants
    to go on: events that came about together are told again until the last of them was told.
    """

    execution_id: str
    kind: EventKind
    revision: int
    node: str | None = None
    value: Any = None
    metadata: Any = None
    error: str | None = None
    time: datetime | None = None
    resume_from: int = 0


async def watch(
    engine: Engine,
    execution: Execution | str,
    *,
    nodes: Collection[NodeName] | None,
    since_revision: int | None,
) -> AsyncGenerator[Event, None]:
    """The events of an execution; for what they are and what is raised see `Journey.watch`."""
    execution_id = options.execution_id(execution)
    _refuse_bad(nodes, since_revision)
    shown: deque[State] = deque(maxlen=MAX_BEHIND)
    something = asyncio.Event()

    def look(state: State) -> object:
        shown.append(state)
        something.set()
        return NOT_YET

    with engine.waiters.waiting(execution_id, look, ends_on_loss=True) as wait:
        wait.future.add_done_callback(lambda _: something.set())  # the Journey was closed
        current = await engine.current(execution_id)
        graph = await engine.graph_of(current)
        names = None if nodes is None else {graph.node_named(node).name for node in nodes}
        seen, since = _beginning(execution, current, since_revision)
        wait.begin(current)
        while True:
            await something.wait()
            something.clear()
            while shown:
                state = shown.popleft()
                if state.revision < since:
                    raise lost(state)
                if seen is not None and state.version <= seen.version:
                    continue  # read before the last one was written
                graph = await engine.graph_of(state)
                told = news(graph, seen, since, state, names)
                before, since = since, max(since, state.revision)
                for place, event in enumerate(told, 1):
                    yield replace(event, resume_from=since if place == len(told) else before)
                seen = state
            if wait.future.done():
                await wait.future


def _beginning(
    execution: Execution | str, current: State, since_revision: int | None
) -> tuple[State | None, int]:
    """The state from which on there is news (None: unknown), and its revision."""
    if since_revision is not None:  # one that the database has lost tells nothing
        return None, since_revision if since_revision <= current.revision else 0
    known = state_of(execution) or current
    return known, known.revision


def news(
    graph: Graph, seen: State | None, since: int, state: State, nodes: Collection[str] | None
) -> list[Event]:
    """What a state says about later than a revision, in the order of revisions."""
    values = _differing({} if seen is None else seen.values, state.values, nodes)
    computations = _differing({} if seen is None else seen.newest, state.newest, nodes)
    found = [
        *_of_values(graph, seen, since, state, values),
        *_of_computations(seen, since, state, computations),
    ]
    if nodes is None:
        found += _of_the_whole(seen, since, state)
    return sorted(found, key=lambda event: (event.revision, event.node or ""))


def _differing(
    before: Mapping[str, T], now: Mapping[str, T], nodes: Collection[str] | None
) -> dict[str, T]:
    """What is not the same object as before: a state shares with the last one what stays."""
    return {
        name: held
        for name, held in now.items()
        if held is not before.get(name) and (nodes is None or name in nodes)
    }


def _of_values(
    graph: Graph, seen: State | None, since: int, state: State, values: Mapping[str, NodeValue]
) -> Iterator[Event]:
    if seen is None:
        replaced = _mutated(graph, since, state)
    else:
        replaced = {name for name, now in values.items() if _is_another(graph, seen, now)}
    for name, value in values.items():
        if value.revision > since or name in replaced:
            kind = EventKind.SET if value.is_set else EventKind.CLEARED
            error = None
            try:
                own = own_copy(graph.by_name.get(name), value, state.execution_id)
            except StoredTypeError as misfit:  # which does not end the watch of all others
                kind, error = EventKind.UNREADABLE, str(misfit)
                own = own_copy(None, replace(value, value=None), state.execution_id)
            yield Event(
                execution_id=state.execution_id,
                kind=kind,
                revision=value.revision,
                node=name,
                value=own.value,
                metadata=own.metadata,
                error=error,
                time=value.set_time,
            )


def _mutated(graph: Graph, since: int, state: State) -> set[str]:
    """The nodes that hold what a mutation wrote later than a revision, maybe at one before it.

    They were written with the marker of the mutation, at the same moment.
    """
    times = {name: value.set_time for name, value in state.values.items()}
    mutations = [
        step
        for step in graph.steps.values()
        if isinstance(step, MutateNode)
        and step.name in state.values
        and state.values[step.name].revision > since
    ]
    return {
        target
        for step in mutations
        for target in step.mutates
        if target in times and times[target] == times[step.name]
    }


def _is_another(graph: Graph, seen: State, now: NodeValue) -> bool:
    """Whether the value of a node was written since; a clock that a test owns may stand still."""
    before = seen.values.get(now.name)
    if before is None or before.set_time != now.set_time:
        return True
    return now.name in graph.mutated and not jsonvalue.equal(before.value, now.value)


def _of_computations(
    seen: State | None, since: int, state: State, computations: Mapping[str, Computation]
) -> Iterator[Event]:
    for computation in computations.values():
        if computation.state is ComputationState.COMPUTING:
            yield from _event(computation, since, EventKind.COMPUTING)
        elif computation.state in UNSUCCESSFUL:
            # to be given up is no event of its own: it has the revision of what came before it
            ended = seen is not None and _was_computing(seen, computation)
            kind = EventKind(computation.state.value)
            yield from _event(computation, -1 if ended else since, kind)
        elif has_failed(computation):  # a loop
            told = computation._replace(error=failure_of(computation))
            yield from _event(told, since, EventKind.FAILED)
        elif _kept_its_value(state.values.get(computation.node), computation):
            yield from _event(computation, since, EventKind.UNCHANGED)


def _was_computing(seen: State, computation: Computation) -> bool:
    before = seen.newest.get(computation.node)
    return (
        before is not None
        and before.key == computation.key
        and before.state is ComputationState.COMPUTING
    )


def _kept_its_value(value: NodeValue | None, computation: Computation) -> bool:
    """Whether a success gave what was there already, of an earlier revision."""
    revision = computation.revision_at_completion
    has_ended = computation.state is ComputationState.SUCCESS and computation.disposition is None
    return (
        has_ended
        and revision is not None
        and value is not None
        and value.is_set
        and value.revision < revision
    )


def _event(computation: Computation, since: int, kind: EventKind) -> Iterator[Event]:
    begins = kind is EventKind.COMPUTING
    revision = computation.revision_at_start if begins else computation.revision_at_completion
    if revision is None or revision <= since:
        return
    yield Event(
        execution_id=computation.execution_id,
        kind=kind,
        revision=revision,
        node=computation.node,
        error=computation.error,
        time=computation.completed_at or computation.started_at,
    )


def _of_the_whole(seen: State | None, since: int, state: State) -> Iterator[Event]:
    is_archived = state.archived_at is not None
    was_archived = seen is not None and seen.archived_at is not None
    if state.revision > since and is_archived is not was_archived:
        yield Event(
            execution_id=state.execution_id,
            kind=EventKind.ARCHIVED if is_archived else EventKind.UNARCHIVED,
            revision=state.revision,
            time=state.archived_at,
        )


def _refuse_bad(nodes: Collection[NodeName] | None, since_revision: int | None) -> None:
    if nodes is not None and (isinstance(nodes, str) or not isinstance(nodes, Collection)):
        raise InvalidOptionError(f"nodes must be a list of names, not {options.shown(nodes)}")
    if since_revision is not None and not (
        options.is_whole(since_revision) and since_revision >= 0
    ):
        given = options.shown(since_revision)
        raise InvalidOptionError(f"since_revision must be a revision, not {given}")
