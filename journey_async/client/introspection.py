"""introspect(): everything about one execution, as a text for a person.

What it tells is gathered first (`summarised`), then written (`summary_text`): both are pure, and
done in pieces, for there may be thousands of nodes and computations.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NamedTuple

from journey_async.client import options
from journey_async.client.execution import Execution
from journey_async.client.texts import seconds_between, span, stamp, state_text, value_text
from journey_async.client.trees import reading_of, tree_text
from journey_async.core.graph import Graph
from journey_async.core.nodes import SYSTEM_NAMES, LoopNode, own_copy
from journey_async.core.pieces import Pieces, each
from journey_async.core.state import NOT_SET_STATE, State, shown_state
from journey_async.core.values import Computation, ComputationState, NodeKind, NodeValue
from journey_async.engine.engine import Engine
from journey_async.store.breath import in_turn

MAX_ERROR = 500  # characters of an error that are shown
GONE = "(node not found in current graph definition)"
TREE_INDENT = " " * 7

_COMPLETED = frozenset({ComputationState.SUCCESS, ComputationState.FAILED})


class Outstanding(NamedTuple):
    """A step that runs (then with its computation) or waits."""

    node: str
    running: Computation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What there is to tell about an execution, in the order in which it is told.

    Values that are set: the newest revision first. Computations: the newest completion first.
    Outstanding steps: by name, backwards.
    """

    state: State
    graph: Graph
    now: datetime
    set_values: tuple[NodeValue, ...]
    not_set: tuple[NodeValue, ...]
    completed: tuple[Computation, ...]
    abandoned: tuple[Computation, ...]
    outstanding: tuple[Outstanding, ...]


async def introspect(engine: Engine, execution: Execution | str) -> str:
    """Everything about an execution, archived or not; raises ExecutionNotFound."""
    return await in_turn(summary_text(await summary(engine, execution)))


async def summary(engine: Engine, execution: Execution | str) -> Summary:
    """What `introspect` tells, as data; raises ExecutionNotFound, DatabaseUnavailable."""
    state = await engine.current(options.execution_id(execution))
    graph = await engine.graph_of(state)
    computations = await computations_of(engine, state)
    return await in_turn(summarised(state, graph, computations, engine.clock.now()))


async def computations_of(
    engine: Engine, state: State, node: str | None = None
) -> list[Computation]:
    """All computations of an execution or of a node, oldest first; raises DatabaseUnavailable."""
    return await engine.patiently(lambda: engine.store.computations(state.execution_id, node))


def summarised(
    state: State, graph: Graph, computations: Sequence[Computation], now: datetime
) -> Pieces[Summary]:
    """What there is to tell about a state and all computations of its execution."""
    newest: dict[str, Computation] = {}
    for computation in sorted(computations, key=lambda c: c.number):
        newest[computation.node] = computation
    own = yield from each(lambda v: own_copy(None, v, state.execution_id), state.values.values())
    # Computations may have been read at another time; the values are for the receiver to keep.
    state = state._replace(newest=newest, values=dict(zip(state.values, own, strict=True)))
    values = [state.value_of(node) for node in graph.nodes]
    values += [value for name, value in state.values.items() if name not in graph.by_name]
    yield
    are_set = sorted((v for v in values if v.is_set), key=lambda v: (-v.revision, v.name))
    not_set = sorted((v for v in values if not v.is_set), key=lambda v: v.name)
    yield
    completed = _latest_first(c for c in computations if c.state in _COMPLETED)
    abandoned = _latest_first(c for c in computations if c.state is ComputationState.ABANDONED)
    yield
    outstanding = sorted(_outstanding(state, graph), reverse=True, key=lambda o: o.node)
    return Summary(
        state=state,
        graph=graph,
        now=now,
        set_values=tuple(are_set),
        not_set=tuple(not_set),
        completed=completed,
        abandoned=abandoned,
        outstanding=tuple(outstanding),
    )


def summary_text(summary: Summary) -> Pieces[str]:
    """The text; no newline at its end, unless nothing is outstanding."""
    are_set = "\n".join((yield from each(_set_value, summary.set_values)))
    completed = yield from _entries(summary, summary.completed)
    abandoned = ""
    if summary.abandoned:
        abandoned = yield from _entries(summary, summary.abandoned)
        abandoned = f"\n\n- Abandoned:\n{abandoned}"
    waiting = yield from each(partial(_outstanding_text, summary), summary.outstanding)
    outstanding = "\n".join(waiting)
    return (
        f"{_header(summary)}\n"
        f"\nValues:\n"
        f"- Set:\n{are_set}\n"
        f"\n- Not set:\n{_unset_values(summary)}  \n"
        f"\nComputations:\n"
        f"- Completed:\n{completed}{abandoned}\n"
        f"\n- Outstanding:\n{outstanding}"
    )


# --- gathering --------------------------------------------------------------------------------


def _outstanding(state: State, graph: Graph) -> Iterable[Outstanding]:
    for name in graph.steps:
        match shown_state(state, name):
            case ComputationState.COMPUTING:
                yield Outstanding(name, state.newest[name])
            case shown if shown == NOT_SET_STATE:
                yield Outstanding(name, None)
    for name, computation in state.newest.items():
        if name not in graph.steps and computation.state is ComputationState.COMPUTING:
            yield Outstanding(name, computation)


def _latest_first(computations: Iterable[Computation]) -> tuple[Computation, ...]:
    def place(computation: Computation) -> tuple[int, str, int]:
        return computation.revision_at_completion or 0, computation.node, computation.number

    return tuple(sorted(computations, key=place, reverse=True))


# --- writing ----------------------------------------------------------------------------------


def _header(summary: Summary) -> str:
    state, now = summary.state, summary.now
    archived = stamp(state.archived_at) if state.archived_at else "not archived"
    total = len(summary.set_values) + len(summary.not_set)
    computations = len(summary.completed) + len(summary.abandoned) + len(summary.outstanding)
    lines = [
        "Execution summary:",
        f"- ID: '{state.execution_id}'",
        f"- Graph: '{state.graph_name}' | '{state.graph_version}'",
        f"- Archived at: {archived}",
        f"- Created at: {_ago(state.created_at, now)}",
        f"- Last updated at: {_ago(state.updated_at, now)}",
        f"- Duration: {seconds_between(state.created_at, state.updated_at):,} seconds",
        f"- Revision: {state.revision}",
        f"- # of Values: {len(summary.set_values)} (set) / {total} (total)",
        f"- # of Computations: {computations}",
    ]
    return "\n".join(lines)


def _ago(time: datetime, now: datetime) -> str:
    return f"{stamp(time)} UTC | {seconds_between(time, now)} seconds ago"


def _set_value(value: NodeValue) -> str:
    shown = value.value if value.name in SYSTEM_NAMES else value_text(value.value)
    verb = "set" if value.kind is NodeKind.INPUT else "computed"
    assert value.set_time is not None
    return (
        f"  - {value.name}: '{shown}' | {value.kind}\n"
        f"    {verb} at {stamp(value.set_time)} | rev: {value.revision}\n"
    )


def _unset_values(summary: Summary) -> str:
    return "\n".join(
        f"  - {value.name}: <unk> | {value.kind}"
        if value.name in summary.graph.by_name
        else f"  - {value.name}: {GONE}"
        for value in summary.not_set
    )


def _entries(summary: Summary, computations: Sequence[Computation]) -> Pieces[str]:
    """Computations that have ended, one blank line between two."""
    return "\n\n".join((yield from each(partial(_entry, summary), computations)))


def _entry(summary: Summary, computation: Computation) -> str:
    revision = computation.revision_at_completion
    parts = [
        f"  - {computation.node} ({computation.id}): {state_text(computation.state)}",
        computation.kind.value,
        *iteration_parts(summary.graph, computation),
        f"rev {'' if revision is None else revision}",
    ]
    lines = [" | ".join(parts)]
    started, completed = computation.started_at, computation.completed_at
    if started is not None and completed is not None:
        took = span(seconds_between(started, completed))
        lines.append(f"    started: {stamp(started)} | completed: {stamp(completed)} ({took})")
    lines.append("    inputs used:")
    lines += inputs_used(summary.graph, computation, TREE_INDENT)
    if computation.error is not None:
        lines.append(f"    error: {value_text(_shortened(computation.error))}")
    return "\n".join(lines)


def iteration_parts(graph: Graph, computation: Computation) -> list[str]:
    """Which iteration of a loop it is, and whether it wanted another one."""
    if computation.iteration is None:
        return []
    loop = graph.steps.get(computation.node)
    most = f" of {loop.max_iterations}" if isinstance(loop, LoopNode) else ""
    parts = [f"iter {computation.iteration}{most}"]
    if computation.disposition is not None:
        parts.append(f"disposition: {computation.disposition}")
    return parts


def inputs_used(graph: Graph, computation: Computation, indent: str) -> list[str]:
    """The inputs in the order in which the gate names them; those it no longer names come last."""
    seen = computation.computed_with
    if not seen:
        return [f"{indent}<none>"]
    declared = [name for name in graph.upstream.get(computation.node, ()) if name in seen]
    names = [*declared, *sorted(seen.keys() - set(declared))]
    return [f"{indent}{name} (rev {seen[name]})" for name in names]


def _shortened(error: str) -> str:
    text = " ".join(error.split())
    return text if len(text) <= MAX_ERROR else f"{text[:MAX_ERROR]}..."


def _outstanding_text(summary: Summary, item: Outstanding) -> str:
    graph, state = summary.graph, summary.state
    step = graph.steps.get(item.node)
    if step is None:
        return f"  - {item.node}: {GONE}"
    shown = NOT_SET_STATE if item.running is None else item.running.state.value
    lines = [f"  - {item.node}: {state_text(shown)} | {step.kind}"]
    if item.running is not None and item.running.started_at is not None:
        started = item.running.started_at
        running = span(seconds_between(started, summary.now))
        lines.append(f"    started: {stamp(started)} | running for {running}")
    reading = reading_of(state, graph, summary.now)
    return "\n".join([*lines, tree_text(step.gated_by, reading, TREE_INDENT)])
