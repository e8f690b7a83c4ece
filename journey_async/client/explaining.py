"""Why a node has no value yet, and where its computation stands; all of it is pure."""

from dataclasses import dataclass

from journey_async.client.introspection import inputs_used, iteration_parts
from journey_async.client.texts import NOT_A_STEP, state_text
from journey_async.client.trees import Reading, leaf_line, tree_text
from journey_async.core.conditions import Not, negatable_leaves, text
from journey_async.core.graph import Graph
from journey_async.core.nodes import Step
from journey_async.core.state import NOT_SET_STATE, State, shown_state
from journey_async.core.values import UNSUCCESSFUL, Computation

NO_COMPUTATION = "no computation yet"


@dataclass(frozen=True, slots=True)
class Blocker:
    """A condition that does not hold, on a node, as it was written: `sum > 40`."""

    node: str
    condition: str


def blockers(step: Step, reading: Reading) -> list[Blocker]:
    """The leaves of a step's gate that do not hold, in the order of writing."""
    return [
        Blocker(leaf.node, text(Not(condition=leaf) if negated else leaf))
        for leaf, negated in negatable_leaves(step.gated_by)
        if reading.evaluation.leaf_holds(leaf) is negated
    ]


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
