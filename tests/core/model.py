"""What a quiet execution should hold, by plain recursive evaluation: no revisions, no queues.

Every computed node has the same kind of function (`picked`): a value out of a small pool, picked
by what was met upstream. The tests that drive the core and this model use the same one.
"""

from collections.abc import Callable, Mapping
from typing import Any
from zlib import crc32

from journey_async.core.conditions import (
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Contains,
    In,
    IsFalse,
    IsTrue,
    Not,
    Provided,
)
from journey_async.core.graph import Graph
from journey_async.core.jsonvalue import JSON, encode, equal
from journey_async.core.nodes import InputNode, Step

POOL: list[Any] = [0, 1, True, False, None, 2, "a", "ab", [1], {"a": True}]


def picked(node: str, met: Mapping[str, Any]) -> Any:
    """What the function of `node` returns for the values that were met; 1 and 1.0 are one."""
    seen: list[JSON] = [[name, _plain(met[name])] for name in sorted(met)]
    return POOL[crc32(encode([node, seen]).encode()) % len(POOL)]


def _plain(value: Any) -> Any:
    whole = isinstance(value, float) and value.is_integer()
    return int(value) if whole else value


def met_values(condition: Condition, values: Mapping[str, Any]) -> dict[str, Any]:
    """The set upstream nodes with a leaf that is met, and their values."""
    return {name: values[name] for name in met_names(condition, values) if name in values}


def met_names(condition: Condition, values: Mapping[str, Any]) -> set[str]:
    """The upstream nodes with a leaf that is met; under a `not`: that does not hold."""
    found: set[str] = set()

    def look(item: Condition, negated: bool) -> None:
        match item:
            case AllOf(conditions=items) | AnyOf(conditions=items):
                for part in items:
                    look(part, negated)
            case Not(condition=part):
                look(part, not negated)
            case _:
                node = getattr(item, "node")  # noqa: B009
                if holds(item, values) is not negated:
                    found.add(node)

    look(condition, False)
    return found


def holds(condition: Condition, values: Mapping[str, Any]) -> bool:
    """Whether a condition holds on values; a node that isn't set isn't there."""
    match condition:
        case AllOf(conditions=items):
            return all(holds(item, values) for item in items)
        case AnyOf(conditions=items):
            return any(holds(item, values) for item in items)
        case Not(condition=item):
            return not holds(item, values)
    node = getattr(condition, "node")  # noqa: B009
    if node not in values:
        return False
    actual = values[node]
    match condition:
        case Provided():
            return True
        case IsTrue():
            return actual is True
        case IsFalse():
            return actual is False
        case In(operands=operands):
            return any(equal(actual, operand) for operand in operands)
        case Contains(operand=part):
            return isinstance(actual, str) and part in actual
        case Compare(operator=operator, operand=operand):
            return _compare(actual, operator, operand)
    raise AssertionError(condition)


def _compare(actual: Any, operator: str, operand: Any) -> bool:
    match operator:
        case "==":
            return equal(actual, operand)
        case "!=":
            return not equal(actual, operand)
    if not (_is_number(actual) and _is_number(operand)) and not (
        isinstance(actual, str) and isinstance(operand, str)
    ):
        return False
    orders: dict[str, Callable[[Any, Any], bool]] = {
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b,
    }
    return orders[operator](actual, operand)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def evaluated(graph: Graph, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all nodes that are set, each computed from those upstream of it."""
    values: dict[str, Any] = {}
    done: set[str] = set()

    def evaluate(name: str) -> None:
        if name in done:
            return
        done.add(name)
        node = graph.by_name[name]
        if isinstance(node, InputNode):
            if name in inputs:
                values[name] = inputs[name]
            return
        assert isinstance(node, Step)
        for upstream in graph.upstream[name]:
            evaluate(upstream)
        if holds(node.gated_by, values):
            values[name] = picked(name, met_values(node.gated_by, values))

    for node in graph.nodes:
        evaluate(node.name)
    return values
