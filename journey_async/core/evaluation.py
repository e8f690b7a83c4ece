"""Reads conditions against the values of one execution.

Rules. A comparison never holds on an unset node. `provided` holds on a tick only once its time has
come. To decide whether a value may *stay*, a leaf on a tick asks only whether the tick is set, so
that moving or pausing a tick wipes nothing (the `keeping` argument).

Conditions are told apart by `type(…) is`: an isinstance of a pydantic model goes through Python
code when it fails, and there would be fifty of those for each command.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, cast

from journey_async.core import jsonvalue
from journey_async.core.conditions import (
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Contains,
    In,
    IsFalse,
    IsTrue,
    Leaf,
    Not,
    Operator,
    Predicate,
    Provided,
)
from journey_async.core.jsonvalue import JSON
from journey_async.core.nodes import own_copy
from journey_async.core.types import ANY, NodeType
from journey_async.core.values import TICKS, NodeValue

NEED_A_VALUE = (Provided, Compare, IsTrue, IsFalse, In, Contains)
MANY = 10  # conditions, of which a look at whether all are there takes less than to read each


def tick_time(value: NodeValue) -> datetime | None:
    """The time of a tick, to the microsecond; None for one that is not set, or set to no time."""
    seconds = value.value
    if not value.is_set or not jsonvalue.is_number(seconds) or seconds <= 0:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None  # beyond all times


class Evaluation:
    """Reads conditions against the values of one execution at one time.

    `view` gives the NodeValue of any node of the graph; a predicate gets a copy, with the value of
    an input that is in `types` parsed. `failures` collects predicates that raised, or whose value
    is not of its type: they count as not met, and somebody should say so.
    """

    __slots__ = ("_answers", "_execution_id", "_now", "_types", "_view", "failures")

    def __init__(
        self,
        view: Callable[[str], NodeValue],
        now: datetime,
        types: Mapping[str, NodeType] = MappingProxyType({}),
        execution_id: str = "",
    ) -> None:
        self._view = view
        self._now = now
        self._types = types
        self._execution_id = execution_id
        self.failures: list[tuple[Predicate, BaseException]] = []
        # What predicates have said, or raised, of values; these are kept, lest another has the id.
        self._answers: dict[tuple[int, int], tuple[NodeValue, bool, BaseException | None]] = {}

    def holds(self, condition: Condition, *, keeping: bool = False) -> bool:
        """Whether the condition holds; `keeping`: whether a value gated by it may stay."""
        if type(condition) is AllOf:
            items = condition.conditions
            if len(items) >= MANY and self._lacks_one_of(items):
                return False
            return all(self.holds(item, keeping=keeping) for item in items)
        if type(condition) is AnyOf:
            return any(self.holds(item, keeping=keeping) for item in condition.conditions)
        if type(condition) is Not:
            return self._negation_holds(condition.condition, keeping=keeping)
        return self.leaf_holds(cast(Leaf, condition), keeping=keeping)

    def _lacks_one_of(self, conditions: Sequence[Condition]) -> bool:
        """Whether a node is not set that has to be.

        It is looked for from both ends: values mostly come in the order of the graph, and then the
        last one is missing until it comes, however many there are.
        """
        return any(
            type(leaf) in NEED_A_VALUE and self._view(cast(Leaf, leaf).node).set_time is None
            for pair in zip(conditions, reversed(conditions), strict=True)
            for leaf in pair
        )

    def _negation_holds(self, condition: Condition, *, keeping: bool) -> bool:
        """Whether the negation of the condition holds.

        A negated leaf on a tick means the same for staying as for starting: until the tick is due.
        """
        if isinstance(condition, Not):
            return self.holds(condition.condition, keeping=keeping)
        if isinstance(condition, AllOf):
            return any(self._negation_holds(c, keeping=keeping) for c in condition.conditions)
        if isinstance(condition, AnyOf):
            return all(self._negation_holds(c, keeping=keeping) for c in condition.conditions)
        return not self.leaf_holds(cast(Leaf, condition))

    def leaf_holds(self, condition: Leaf, *, keeping: bool = False) -> bool:
        """Whether a leaf holds."""
        return self._holds_on(self._view(condition.node), condition, keeping)

    def _holds_on(self, node: NodeValue, condition: Leaf, keeping: bool) -> bool:
        if type(condition) is Predicate:
            stays = keeping and node.kind in TICKS and node.is_set
            return stays or self._asked(condition, node)
        if node.set_time is None:
            return False
        if node.kind in TICKS and (keeping or type(condition) is Provided):
            return keeping or self._is_due(node)
        return type(condition) is Provided or _value_satisfies(condition, node.value)

    def met(self, condition: Condition) -> dict[str, int]:
        """The upstream nodes whose leaf is met now, each with its value's revision.

        A negated leaf is met while what it negates does not hold.
        """
        found: dict[str, int] = {}
        self._collect(condition, False, found)
        return found

    def _collect(self, condition: Condition, negated: bool, found: dict[str, int]) -> None:
        if type(condition) is AllOf or type(condition) is AnyOf:
            for item in condition.conditions:
                self._collect(item, negated, found)
        elif type(condition) is Not:
            self._collect(condition.condition, not negated, found)
        else:
            leaf = cast(Leaf, condition)
            name = leaf.node
            node = self._view(name)
            if self._holds_on(node, leaf, False) is not negated:
                found[name] = node.revision

    def _is_due(self, node: NodeValue) -> bool:
        time = tick_time(node)
        return time is not None and time <= self._now

    def _asked(self, condition: Predicate, node: NodeValue) -> bool:
        """What a predicate says of a value, which it is asked but once: the value is copied."""
        question = id(condition), id(node)
        if question not in self._answers:
            self._answers[question] = node, *self._answer(condition, node)
        _, holds, error = self._answers[question]
        if error is not None and all(condition is not known for known, _ in self.failures):
            self.failures.append((condition, error))
        return holds

    def _answer(self, condition: Predicate, node: NodeValue) -> tuple[bool, BaseException | None]:
        try:
            read_as = self._types.get(node.name, ANY)
            return bool(condition.function(own_copy(None, node, self._execution_id, read_as))), None
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever it is derived from: nothing waits in a predicate
            return False, error


def _value_satisfies(condition: Leaf, actual: JSON) -> bool:
    if type(condition) is Compare:
        return _compares(actual, condition.operator, condition.operand)
    if type(condition) is IsTrue:
        return actual is True
    if type(condition) is IsFalse:
        return actual is False
    if type(condition) is In:
        return any(jsonvalue.equal(actual, operand) for operand in condition.operands)
    if type(condition) is Contains:
        return isinstance(actual, str) and condition.operand in actual
    raise AssertionError(condition)


def _compares(actual: Any, operator: Operator, operand: Any) -> bool:
    if operator == "==":
        return jsonvalue.equal(actual, operand)
    if operator == "!=":
        return not jsonvalue.equal(actual, operand)
    if not _same_order(actual, operand):
        return False
    match operator:
        case "<":
            return bool(actual < operand)
        case "<=":
            return bool(actual <= operand)
        case ">":
            return bool(actual > operand)
        case ">=":
            return bool(actual >= operand)


def _same_order(actual: JSON, operand: JSON) -> bool:
    if isinstance(operand, str):
        return isinstance(actual, str)
    return jsonvalue.is_number(actual)
