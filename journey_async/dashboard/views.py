"""What the pages show, as data: pure, from what the client tells."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from journey_async.client.diagram import Standing, standing
from journey_async.client.execution import Execution, stored_values
from journey_async.client.explaining import waiting_text
from journey_async.client.flow import FlowAnalytics
from journey_async.client.introspection import Summary
from journey_async.client.texts import seconds_between, span, stamp, state_text
from journey_async.client.trees import reading_of
from journey_async.core.conditions import text as condition_text
from journey_async.core.graph import Graph
from journey_async.core.nodes import SYSTEM_NAMES, MutateNode, Node
from journey_async.core.pieces import Pieces, each
from journey_async.core.state import NOT_SET_STATE, shown_state
from journey_async.core.values import Computation, ComputationState

MAX_VALUE = 20_000  # characters of a value that a page shows
GLANCES, GLANCE = 4, 60  # values in a row of a list, and characters of each
LANE = 24  # height of a computation in the timeline, in its own units
WIDTH = 1000  # of the timeline

Redact = Callable[[str, Any], Any]


@dataclass(frozen=True, slots=True)
class ExecutionRow:
    """An execution, as a row of a list: with the first of its values."""

    id: str
    graph_name: str
    graph_version: str
    revision: int
    updated: str
    is_archived: bool
    values: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node of an execution, as a row of its table."""

    name: str
    kind: str
    state: str
    value: str | None
    metadata: str | None
    revision: int
    set_at: str
    waits_for: str
    can_retry: bool


@dataclass(frozen=True, slots=True)
class ComputationRow:
    """A computation, as a row of its table."""

    id: str
    node: str
    state: str
    state_text: str
    attempt: int
    started: str
    took: str
    inputs: str
    error: str | None
    runs: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """A computation in the timeline: where it begins and how wide it is."""

    label: str
    state: str
    x: float
    y: int
    width: float


@dataclass(frozen=True, slots=True)
class ExecutionView:
    """One execution, as its page shows it."""

    id: str
    graph_name: str
    graph_version: str
    revision: int
    created: str
    updated: str
    archived: str | None
    nodes: list[NodeRow]
    computations: list[ComputationRow]
    bars: list[Bar]
    timeline_height: int
    diagram: str


def execution_row(execution: Execution, redact: Redact | None) -> ExecutionRow:
    """What a list shows of an execution."""
    nodes = (n for n in stored_values(execution) if n.is_set and n.name not in SYSTEM_NAMES)
    return ExecutionRow(
        id=execution.id,
        graph_name=execution.graph_name,
        graph_version=execution.graph_version,
        revision=execution.revision,
        updated=stamp(execution.updated_at),
        is_archived=execution.archived_at is not None,
        values=[(n.name, _glance(n.name, n.value, redact)) for n in islice(nodes, GLANCES)],
    )


def execution_view(summary: Summary, redact: Redact | None) -> Pieces[ExecutionView]:
    """What the page of an execution shows."""
    state, graph = summary.state, summary.graph
    began = _computations(summary)
    computations = yield from each(partial(_computation, summary.now), reversed(began))
    bars = _bars(began, summary.now)
    found = yield from each(partial(_standing, summary), graph.nodes)
    standings = dict(zip(graph.by_name, found, strict=True))
    nodes = yield from each(partial(_node, summary, standings, redact), graph.nodes)
    return ExecutionView(
        id=state.execution_id,
        graph_name=state.graph_name,
        graph_version=state.graph_version,
        revision=state.revision,
        created=stamp(state.created_at),
        updated=stamp(state.updated_at),
        archived=stamp(state.archived_at) if state.archived_at else None,
        nodes=nodes,
        computations=computations,
        bars=bars,
        timeline_height=LANE * len(bars),
        diagram=diagram(graph, standings),
    )


def diagram(graph: Graph, standings: Mapping[str, Standing] | None = None) -> str:
    """Nodes and edges as JSON, for the script that lays them out."""
    nodes = [
        {
            "id": node.name,
            "kind": str(node.kind),
            "state": (standings or {}).get(node.name, Standing.UNSET),
            "gate": condition_text(graph.steps[node.name].gated_by)
            if node.name in graph.steps
            else "",
        }
        for node in graph.nodes
        if node.name not in SYSTEM_NAMES or graph.downstream[node.name]
    ]
    edges = [[above, name, "waits"] for name, up in graph.upstream.items() for above in up]
    for node in graph.nodes:
        if isinstance(node, MutateNode):
            edges += [[node.name, target, "mutates"] for target in node.mutates]
    return json.dumps({"nodes": nodes, "edges": edges}).replace("<", "\\u003c")


def shown_value(node: str, value: Any, redact: Redact | None) -> str:
    """A value as JSON, over several lines, cut where it is very long."""
    shown = value if redact is None else redact(node, value)
    text = json.dumps(shown, ensure_ascii=False, indent=2)
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}… ({len(text)} characters)"


def _glance(node: str, value: Any, redact: Redact | None) -> str:
    shown = value if redact is None else redact(node, value)
    # Without indentation, which would be written, item by item, by the slow one of two encoders.
    text = " ".join(json.dumps(shown, ensure_ascii=False).split())
    return text if len(text) <= GLANCE else f"{text[: GLANCE - 1]}…"


def funnel_bars(analytics: FlowAnalytics) -> list[dict[str, Any]]:
    """The bars of a funnel, the node most often reached first."""
    return [
        {
            "node": node.node_name,
            "count": node.reached_count,
            "percent": node.reached_percentage,
            "ends": node.flow_ends_here_count,
            "ends_percent": node.flow_ends_here_percentage_of_all,
        }
        for node in analytics.node_stats.nodes
    ]


# --- one execution ----------------------------------------------------------------------------


def _standing(summary: Summary, node: Node) -> Standing:
    return standing(summary.state, summary.graph, node, summary.now)


def _node(
    summary: Summary, standings: Mapping[str, Standing], redact: Redact | None, node: Node
) -> NodeRow:
    state = summary.state
    value = state.value_of(node)
    step = summary.graph.steps.get(node.name)
    shown = None if step is None else shown_state(state, node.name)
    waits_for = ""
    if step is not None and shown == NOT_SET_STATE:
        reading = reading_of(state, summary.graph, summary.now)
        waits_for = waiting_text(step, reading).rstrip("\n")
    return NodeRow(
        name=node.name,
        kind=str(node.kind),
        state=standings[node.name],
        value=shown_value(node.name, value.value, redact) if value.is_set else None,
        metadata=_metadata(node.name, value.metadata, redact),
        revision=value.revision,
        set_at=stamp(value.set_time) if value.set_time else "",
        waits_for=waits_for,
        can_retry=shown in ("failed", "abandoned"),
    )


def _metadata(node: str, metadata: Any, redact: Redact | None) -> str | None:
    return None if metadata is None else shown_value(node, metadata, redact)


def _computations(summary: Summary) -> list[Computation]:
    """All that have begun, in the order of their beginning."""
    running = [o.running for o in summary.outstanding if o.running is not None]
    found: Iterable[Computation] = (*summary.completed, *summary.abandoned, *running)
    return sorted(found, key=lambda c: (c.started_at or c.created_at, c.node, c.number))


def _computation(now: datetime, computation: Computation) -> ComputationRow:
    started = computation.started_at
    runs = computation.state is ComputationState.COMPUTING
    ended = computation.completed_at or (now if runs else None)
    inputs = ", ".join(f"{name} (rev {seen})" for name, seen in computation.computed_with.items())
    return ComputationRow(
        id=computation.id,
        node=computation.node,
        state=str(computation.state),
        state_text=state_text(computation.state),
        attempt=computation.attempt,
        started=stamp(started) if started else "",
        took=span(seconds_between(started, ended)) if started and ended else "",
        inputs=inputs,
        error=computation.error,
        runs=runs,
    )


def _bars(computations: list[Computation], now: datetime) -> list[Bar]:
    begun = [(c, c.started_at) for c in computations if c.started_at is not None]
    if not begun:
        return []
    first = min(started for _, started in begun)
    last = max([c.completed_at or now for c, _ in begun])
    scale = WIDTH / max((last - first).total_seconds(), 0.001)
    return [
        Bar(
            label=c.node,
            state=str(c.state),
            x=round((started - first).total_seconds() * scale, 1),
            y=LANE * place,
            width=round(max(((c.completed_at or now) - started).total_seconds() * scale, 3), 1),
        )
        for place, (c, started) in enumerate(begun)
    ]
