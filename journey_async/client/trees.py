"""A condition as a tree of lines, each leaf with a sign whether it holds.

    and
     ├─ ✅ name | provided | rev 1
     └─ 🛑 not(sum > 40)

The sign is that of the leaf as it is written, negation included. A leaf whose predicate has its
code elsewhere, or raised, says so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from journey_async.core.conditions import (
    AllOf,
    AnyOf,
    Condition,
    Leaf,
    Not,
    Predicate,
    is_comparison,
    leaf_text,
)
from journey_async.core.evaluation import Evaluation
from journey_async.core.graph import Graph
from journey_async.core.state import State
from journey_async.core.values import NodeValue

HOLDS, DOES_NOT_HOLD, UNKNOWN = "✅", "🛑", "❓"


@dataclass(frozen=True, slots=True)
class Reading:
    """What conditions are read against: the evaluation, and the values that it sees."""

    evaluation: Evaluation
    view: Callable[[str], NodeValue]


def reading_of(state: State, graph: Graph, now: datetime) -> Reading:
    """Reads conditions against a state."""

    def view(name: str) -> NodeValue:
        return state.value_of(graph.by_name[name])

    return Reading(Evaluation(view, now, graph.types, state.execution_id), view)


def tree_text(condition: Condition, reading: Reading, indent: str = "") -> str:
    """The lines of a condition, each behind `indent`, without a newline at the end."""
    while isinstance(condition, AllOf) and len(condition.conditions) == 1:
        condition = condition.conditions[0]
    return "\n".join(_lines(condition, reading, indent, indent))


def leaf_line(leaf: Leaf, reading: Reading, *, negated: bool = False) -> str:
    """One line: the sign, the condition, and the revision of the value by which it holds."""
    raised_before = len(reading.evaluation.failures)
    holds = reading.evaluation.leaf_holds(leaf) is not negated
    raised = reading.evaluation.failures[raised_before:]
    compares = is_comparison(leaf)
    subject = leaf_text(leaf) if compares else leaf.node
    parts = [f"not({subject})" if negated else subject]
    if not compares:
        parts.append(leaf_text(leaf))
    if isinstance(leaf, Predicate) and leaf.function.call is None:
        return f"{UNKNOWN} {' | '.join(parts)} | its code is not here"
    value = reading.view(leaf.node)
    if holds and value.is_set:
        parts.append(f"rev {value.revision}")
    parts += [f"raised {type(error).__name__}: {error}" for _, error in raised]
    return f"{HOLDS if holds else DOES_NOT_HOLD} {' | '.join(parts)}"


def _lines(condition: Condition, reading: Reading, first: str, rest: str) -> list[str]:
    """The lines of a condition: one behind `first`, what hangs below it behind `rest`."""
    match condition:
        case Leaf():
            return [first + leaf_line(condition, reading)]
        case Not(condition=Leaf() as leaf):
            return [first + leaf_line(leaf, reading, negated=True)]
        case Not(condition=Not(condition=item)):
            return _lines(item, reading, first, rest)
        case Not(condition=item):
            return [f"{first}not", *_branches((item,), reading, rest)]
        case AllOf(conditions=()):
            return [f"{first}{HOLDS} always"]
        case AnyOf(conditions=()):
            return [f"{first}{DOES_NOT_HOLD} never"]
        case AllOf(conditions=items):
            return [f"{first}and", *_branches(items, reading, rest)]
        case AnyOf(conditions=items):
            return [f"{first}or", *_branches(items, reading, rest)]
    raise AssertionError(condition)


def _branches(items: tuple[Condition, ...], reading: Reading, indent: str) -> list[str]:
    lines = []
    for place, item in enumerate(items, start=1):
        last = place == len(items)
        branch, below = (" └─ ", "    ") if last else (" ├─ ", " │  ")
        lines += _lines(item, reading, indent + branch, indent + below)
    return lines
