"""Why a node has no value yet, and where its computation stands; all of it is pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from journey_async.client.introspection import inputs_used, iteration_parts
from journey_async.client.texts import NOT_A_STEP, stamp, state_text
from journey_async.client.trees import Reading, leaf_line, reading_of, tree_text
from journey_async.core.conditions import AllOf, Condition, Not, negatable_leaves, text
from journey_async.core.evaluation import tick_time
from journey_async.core.graph import Graph
from journey_async.core.nodes import SYSTEM_NAMES, Step
from journey_async.core.reading import failed_computation, failed_upstream
from journey_async.core.state import NOT_SET_STATE, State, shown_state
from journey_async.core.values import TICKS, UNSUCCESSFUL, Computation, NodeValue, failure_of

NO_COMPUTATION = "no computation yet"
MAX_TOLD = 3  # nodes of a way upstream
MAX_UNMET = 10  # conditions of a gate


@dataclass(frozen=True, slots=True)
class Blocker:
    """A condition that does not hold, on a node, as it was written: `sum > 40`."""

    node: str
    condition: str


def blockers(step: Step, reading: Reading) -> list[Blocker]:
    """The leaves of a gate that keep it from holding, in the order of writing; none if it holds."""
    return [] if reading.evaluation.holds(step.gated_by) else list(_unmet(step, reading))


def _unmet(step: Step, reading: Reading) -> Iterator[Blocker]:
    for leaf, negated in negatable_leaves(step.gated_by):
        if reading.evaluation.leaf_holds(leaf) is negated:
            yield Blocker(leaf.node, text(Not(condition=leaf) if negated else leaf))


def hindrance(state: State, graph: Graph, node: str, now: datetime) -> str:
    """What keeps a node from a value, or from a newer one: in a few words, as an error tells it.

    What the node waits for may wait itself, so some of the way upstream is told. Thousands of waits
    may end at once, and each asks: neither a long way nor a wide gate is looked at as a whole.
    """
    if state.archived_at is not None:
        return "the execution is archived, and nothing of it runs"
    told: list[str] = []
    reading = reading_of(state, graph, now)
    at: str | None = node
    while at is not None and len(told) < MAX_TOLD:
        said, at = _hindrance_of(at, state, graph, reading, now)
        told.append(said)
    return "; ".join(told if at is None else [*told, "…"])


def _hindrance_of(
    node: str, state: State, graph: Graph, reading: Reading, now: datetime
) -> tuple[str, str | None]:
    """That of one node, and the node upstream that is to be asked next."""
    step, newest = graph.steps.get(node), state.newest.get(node)
    if node in SYSTEM_NAMES:
        return f"{node!r} is as it was", None
    if step is None:
        anew = " anew" if node in state.values and state.values[node].is_set else ""
        return f"nobody has set {node!r}{anew}", None
    if node in state.computing:
        return f"{node!r} is being computed", None
    if newest is not None and node in state.queued:
        if newest.due_at is not None and newest.due_at > now:
            return f"{node!r} is to be computed at {stamp(newest.due_at)}", None
        code = f"graph {graph.name!r} version {graph.version!r}"
        return f"{node!r} waits for a worker that has the code of {code} and is free", None
    if (failed := failed_computation(graph, state, node)) is not None:
        return f"{node!r} has failed: {failure_of(failed)}", None
    if (time := _time_ahead(reading.view(node), now)) is not None:
        return f"the time of {node!r} comes at {stamp(time)}", None
    gate = step.gated_by
    if not reading.evaluation.holds(gate):
        parts = gate.conditions if isinstance(gate, AllOf) else [gate]
        unmet = list(islice((p for p in parts if not reading.evaluation.holds(p)), MAX_UNMET + 1))
        told = AllOf(conditions=tuple(unmet[:MAX_UNMET]))
        more = " & …" if len(unmet) > MAX_UNMET else ""
        return f"{node!r} waits for {text(told)}{more}", _to_ask(told, reading, now)
    return _upstream(node, state, graph)


def _to_ask(unmet: Condition, reading: Reading, now: datetime) -> str | None:
    """The first node in unmet conditions that has no value yet, or whose time has not come."""
    for leaf, negated in negatable_leaves(unmet):
        if reading.evaluation.leaf_holds(leaf) is negated:
            value = reading.view(leaf.node)
            if not value.is_set or _time_ahead(value, now) is not None:
                return leaf.node
    return None


def _time_ahead(value: NodeValue, now: datetime) -> datetime | None:
    """The time of a tick, if it is yet to come."""
    time = tick_time(value) if value.kind in TICKS else None
    return time if time is not None and time > now else None


def _upstream(node: str, state: State, graph: Graph) -> tuple[str, str | None]:
    """What keeps a node whose gate holds from a newer value."""
    busy = (state.computing | state.queued) & graph.ancestors(node)
    if busy:
        first = min(busy, key=graph.position.__getitem__)
        return f"{node!r} follows {first!r}", first
    failed = failed_upstream(graph, state, node)
    if failed is not None:
        return f"{node!r} follows {failed.node!r}", failed.node
    if not state.value_of(graph.by_name[node]).is_set:
        return f"a worker is yet to look at {node!r}", None
    return f"nothing has changed for {node!r}", None


def waiting_text(step: Step, reading: Reading) -> str:
    """The leaves of a step's gate, a line each: what holds first, then what does not.

    Ends with a newline exactly when everything holds.
    """
    met: list[str] = []
    unmet: list[str] = []
    for leaf, negated in negatable_leaves(step.gated_by):
        line = leaf_line(leaf, reading, negated=negated)
        (met if reading.evaluation.leaf_holds(leaf) is not negated else unmet).append(line)
    return "".join(f"{line}\n" for line in met) + "\n".join(unmet)


def status_text(
    state: State, graph: Graph, node: str, newest: Computation | None, reading: Reading
) -> str:
    """Where the newest computation of a node stands, and what it waits for or has used."""
    step = graph.steps.get(node)
    if step is None:
        return f"{node}: {NOT_A_STEP}"
    shown = shown_state(state, node)
    if newest is None or shown == NOT_SET_STATE:
        name = NO_COMPUTATION if newest is None else newest.id
        head = f"{node} ({name}): {state_text(NOT_SET_STATE)} | {step.kind}"
        return f"{head}\n{tree_text(step.gated_by, reading, ' ' * 4)}"
    revision = "" if newest.revision_at_completion is None else newest.revision_at_completion
    parts = [state_text(shown), step.kind.value, *iteration_parts(graph, newest), f"rev {revision}"]
    head = f"{node} ({newest.id}): {' | '.join(parts)}"
    if newest.state in UNSUCCESSFUL and not newest.computed_with:
        return f"{head}\n{tree_text(step.gated_by, reading, ' ' * 4)}"
    return "\n".join([head, "inputs used:", *inputs_used(graph, newest, "   ")])
