"""Conditions: when a node may compute, as data.

One tree has several readers: readiness (`evaluate`, below), a person (`text`), SQL (the store),
diagrams, and the graph's hash. Only `Predicate` is opaque.

Rules. A comparison never holds on an unset node. `provided` holds on a tick only once its time has
come. To decide whether a value may *stay*, a leaf on a tick asks only whether the tick is set, so
that moving or pausing a tick wipes nothing (the `keeping` argument).
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, NoReturn, TypeAlias

from pydantic import Field

from journey_async.core import jsonvalue
from journey_async.core.functions import Function, FunctionField
from journey_async.core.jsonvalue import JSON
from journey_async.core.model import Model
from journey_async.core.values import TICKS, NodeValue
from journey_async.errors import ConditionError, InvalidValueError

ORDERINGS = frozenset({"<", "<=", ">", ">="})
Operator: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">="]


class Condition(Model):
    """The base of all conditions; combine them with `&`, `|` and `~`."""

    def __and__(self, other: "Condition") -> "AllOf":
        return all_of(self, other)

    def __or__(self, other: "Condition") -> "AnyOf":
        return any_of(self, other)

    def __invert__(self) -> "Not":
        return not_(self)

    def __bool__(self) -> NoReturn:
        raise ConditionError(
            f"the condition {text(self)} is data, not True or False; "
            f"combine conditions with &, | and ~, not with and, or, not, if or chained comparisons"
        )


class Leaf(Condition):
    """A condition on one node."""

    node: str


class Provided(Leaf):
    """The node has a value; a tick: and its time has come."""

    kind: Literal["provided"] = "provided"


class IsTrue(Leaf):
    """The node's value is exactly True."""

    kind: Literal["is_true"] = "is_true"


class IsFalse(Leaf):
    """The node's value is exactly False."""

    kind: Literal["is_false"] = "is_false"


class Compare(Leaf):
    """The node's value compared with a constant."""

    kind: Literal["compare"] = "compare"
    operator: Operator
    operand: Any


class In(Leaf):
    """The node's value is one of several constants."""

    kind: Literal["in"] = "in"
    operands: tuple[Any, ...]


class Contains(Leaf):
    """The node's value is a text that contains another."""

    kind: Literal["contains"] = "contains"
    operand: str


class Predicate(Leaf):
    """A function of the upstream NodeValue decides; it is asked for unset nodes too."""

    kind: Literal["predicate"] = "predicate"
    function: FunctionField
    label: str | None = None


class AllOf(Condition):
    """All of the conditions hold; of none: holds."""

    kind: Literal["all_of"] = "all_of"
    conditions: "tuple[AnyCondition, ...]"


class AnyOf(Condition):
    """At least one of the conditions holds; of none: does not hold."""

    kind: Literal["any_of"] = "any_of"
    conditions: "tuple[AnyCondition, ...]"


class Not(Condition):
    """The condition does not hold."""

    kind: Literal["not"] = "not"
    condition: "AnyCondition"


AnyCondition: TypeAlias = Annotated[
    Provided | IsTrue | IsFalse | Compare | In | Contains | Predicate | AllOf | AnyOf | Not,
    Field(discriminator="kind"),
]

for _recursive in (AllOf, AnyOf, Not):
    _recursive.model_rebuild()


# --- building ---------------------------------------------------------------------------------


class ValueOf:
    """`value("x")`: compare it with a constant to get a condition."""

    __slots__ = ("_node",)
    __hash__ = None  # type: ignore[assignment]  # == builds a condition

    def __init__(self, node: str) -> None:
        self._node = _node_name(node)

    def __eq__(self, operand: object) -> Compare:  # type: ignore[override]
        return self._compare("==", operand)

    def __ne__(self, operand: object) -> Compare:  # type: ignore[override]
        return self._compare("!=", operand)

    def __lt__(self, operand: object) -> Compare:
        return self._compare("<", operand)

    def __le__(self, operand: object) -> Compare:
        return self._compare("<=", operand)

    def __gt__(self, operand: object) -> Compare:
        return self._compare(">", operand)

    def __ge__(self, operand: object) -> Compare:
        return self._compare(">=", operand)

    def in_(self, operands: Sequence[object]) -> In:
        """The value is one of `operands`."""
        if isinstance(operands, str) or not isinstance(operands, Sequence):
            raise ConditionError(f"value({self._node!r}).in_() wants a list, not {operands!r}")
        return In(node=self._node, operands=tuple(self._constant(item) for item in operands))

    def contains(self, operand: str) -> Contains:
        """The value is a text that contains `operand`."""
        if not isinstance(operand, str):
            raise ConditionError(f"value({self._node!r}).contains() wants a text, not {operand!r}")
        return Contains(node=self._node, operand=str(self._constant(operand)))

    def __bool__(self) -> NoReturn:
        raise ConditionError(
            f"value({self._node!r}) is data, not True or False; "
            f"compare it with a constant, or use is_true({self._node!r})"
        )

    def __contains__(self, operand: object) -> NoReturn:
        raise ConditionError(
            f"`in value({self._node!r})` means nothing; use value({self._node!r}).contains(…)"
        )

    def __iter__(self) -> Iterator[object]:
        raise ConditionError(f"value({self._node!r}) cannot be iterated; it is a condition's part")

    def _compare(self, operator: Operator, operand: object) -> Compare:
        constant = self._constant(operand)
        if operator in ORDERINGS and not (
            isinstance(constant, str) or jsonvalue.is_number(constant)
        ):
            raise ConditionError(
                f"value({self._node!r}) {operator} {operand!r} has no order; "
                f"compare with a number or a text"
            )
        return Compare(node=self._node, operator=operator, operand=constant)

    def _constant(self, operand: object) -> JSON:
        if isinstance(operand, ValueOf | Condition):
            raise ConditionError(
                f"value({self._node!r}) can be compared with a constant, not with another node"
            )
        try:
            return jsonvalue.normalise(operand)
        except InvalidValueError as error:
            raise ConditionError(f"value({self._node!r}) is compared with what {error}") from None


def value(node: str) -> ValueOf:
    """The value of `node`, to be compared: `value("sum") > 40`."""
    return ValueOf(node)


def provided(node: str) -> Provided:
    """Holds once `node` has a value; for a tick: once its time has come."""
    return Provided(node=_node_name(node))


def is_true(node: str) -> IsTrue:
    """Holds while the value of `node` is exactly True."""
    return IsTrue(node=_node_name(node))


def is_false(node: str) -> IsFalse:
    """Holds while the value of `node` is exactly False."""
    return IsFalse(node=_node_name(node))


def all_of(*conditions: str | Condition) -> AllOf:
    """Holds while all of the conditions hold; a name means `provided(name)`."""
    return AllOf(conditions=_flattened(AllOf, conditions))


def any_of(*conditions: str | Condition) -> AnyOf:
    """Holds while at least one of the conditions holds; a name means `provided(name)`."""
    return AnyOf(conditions=_flattened(AnyOf, conditions))


def not_(condition: str | Condition) -> Not:
    """Holds while the condition does not."""
    return Not(condition=as_condition(condition))


GatedBy: TypeAlias = str | Condition | Sequence[str | Condition]


def unblocked_when(
    gated_by: GatedBy,
    predicate: Callable[[NodeValue], object] | None = None,
    *,
    label: str | None = None,
) -> Condition:
    """A gate that reads aloud.

    `unblocked_when("x", predicate)` holds while `predicate`, given the NodeValue of "x" (also
    while it is unset), returns something true; one that raises counts as not met.
    `unblocked_when(condition)` and `unblocked_when(["x", "y"])` are what they hold.
    """
    if predicate is None:
        return gate(gated_by)
    if not isinstance(gated_by, str):
        raise ConditionError(f"a predicate is about one node, named by a text, not {gated_by!r}")
    if not callable(predicate):
        raise ConditionError(f"the predicate on {gated_by!r} must be a function: {predicate!r}")
    return Predicate(node=_node_name(gated_by), function=Function.of(predicate), label=label)


def gate(gated_by: GatedBy) -> "AnyCondition":
    """One condition out of what `gated_by` may be: a name, a condition, or a list of both."""
    if isinstance(gated_by, str | Condition):
        return as_condition(gated_by)
    if isinstance(gated_by, Sequence):
        conditions = tuple(as_condition(item) for item in gated_by)
        return conditions[0] if len(conditions) == 1 else AllOf(conditions=conditions)
    raise ConditionError(
        f"a gate is a list of names and conditions, or one condition, not {gated_by!r}"
    )


def as_condition(item: object) -> "AnyCondition":
    """The condition itself, or `provided` of a name."""
    match item:
        case str():
            return provided(item)
        case Provided() | IsTrue() | IsFalse() | Compare() | In() | Contains() | Predicate():
            return item
        case AllOf() | AnyOf() | Not():
            return item
        case ValueOf():
            raise ConditionError(
                f"value({item._node!r}) alone says nothing; compare it, or use provided()"
            )
    raise ConditionError(f"{item!r} is neither a node's name nor a condition")


def _flattened(kind: type[AllOf | AnyOf], items: Sequence[object]) -> tuple["AnyCondition", ...]:
    flat: list[AnyCondition] = []
    for item in map(as_condition, items):
        flat.extend(item.conditions if type(item) is kind else [item])
    return tuple(flat)


def _node_name(node: object) -> str:
    if not isinstance(node, str):
        raise ConditionError(f"a node is named by a text, not by {node!r}")
    return node


# --- reading ----------------------------------------------------------------------------------


def leaves(condition: Condition) -> Iterator[Leaf]:
    """The leaves of a condition, in the order in which they were written."""
    if isinstance(condition, AllOf | AnyOf):
        for item in condition.conditions:
            yield from leaves(item)
    elif isinstance(condition, Not):
        yield from leaves(condition.condition)
    elif isinstance(condition, Leaf):
        yield condition


def surely_set(condition: Condition, *, negated: bool = False) -> frozenset[str]:
    """The nodes that must be set for the condition to hold (`negated`: not to hold)."""
    if isinstance(condition, Not):
        return surely_set(condition.condition, negated=not negated)
    if isinstance(condition, AllOf | AnyOf):
        sets = [surely_set(item, negated=negated) for item in condition.conditions]
        every = isinstance(condition, AllOf) is not negated
        if every:
            return frozenset().union(*sets)
        return frozenset.intersection(*sets) if sets else frozenset()
    if negated or isinstance(condition, Predicate) or not isinstance(condition, Leaf):
        return frozenset()
    return frozenset({condition.node})


class Evaluation:
    """Reads conditions against the values of one execution at one time.

    `view` gives the NodeValue of any node of the graph. `failures` collects predicates that
    raised: they count as not met, and somebody should say so.
    """

    __slots__ = ("_now", "_view", "failures")

    def __init__(self, view: Callable[[str], NodeValue], now: datetime) -> None:
        self._view = view
        self._now = now
        self.failures: list[tuple[Predicate, Exception]] = []

    def holds(self, condition: Condition, *, keeping: bool = False) -> bool:
        """Whether the condition holds; `keeping`: whether a value gated by it may stay."""
        if isinstance(condition, AllOf):
            return all(self.holds(item, keeping=keeping) for item in condition.conditions)
        if isinstance(condition, AnyOf):
            return any(self.holds(item, keeping=keeping) for item in condition.conditions)
        if isinstance(condition, Not):
            return self._negation_holds(condition.condition, keeping=keeping)
        return self.leaf_holds(condition, keeping=keeping)

    def _negation_holds(self, condition: Condition, *, keeping: bool) -> bool:
        """Whether the negation of the condition holds.

        A negated leaf on a tick means the same for staying as for starting: until the tick is due.
        (In the original it starts while the tick lies ahead and may not stay: it runs for ever.)
        """
        if isinstance(condition, Not):
            return self.holds(condition.condition, keeping=keeping)
        if isinstance(condition, AllOf):
            return any(self._negation_holds(c, keeping=keeping) for c in condition.conditions)
        if isinstance(condition, AnyOf):
            return all(self._negation_holds(c, keeping=keeping) for c in condition.conditions)
        return not self.leaf_holds(condition)

    def leaf_holds(self, condition: Condition, *, keeping: bool = False) -> bool:
        """Whether a leaf holds."""
        assert isinstance(condition, Leaf)
        node = self._view(condition.node)
        if isinstance(condition, Predicate):
            if keeping and node.kind in TICKS:
                return node.is_set
            return self._asked(condition, node)
        if not node.is_set:
            return False
        if node.kind in TICKS and (keeping or isinstance(condition, Provided)):
            return keeping or self._is_due(node)
        return _value_satisfies(condition, node.value)

    def met(self, condition: Condition) -> dict[str, int]:
        """The upstream nodes whose leaf is met now, each with its value's revision.

        A negated leaf is met while what it negates does not hold.
        """
        found: dict[str, int] = {}
        self._collect(condition, False, found)
        return found

    def _collect(self, condition: Condition, negated: bool, found: dict[str, int]) -> None:
        if isinstance(condition, AllOf | AnyOf):
            for item in condition.conditions:
                self._collect(item, negated, found)
        elif isinstance(condition, Not):
            self._collect(condition.condition, not negated, found)
        elif isinstance(condition, Leaf) and self.leaf_holds(condition) is not negated:
            found[condition.node] = self._view(condition.node).revision

    def _is_due(self, node: NodeValue) -> bool:
        return jsonvalue.is_number(node.value) and 0 < node.value <= self._now.timestamp()

    def _asked(self, condition: Predicate, node: NodeValue) -> bool:
        try:
            return bool(condition.function(node))
        except Exception as error:
            self.failures.append((condition, error))
            return False


def _value_satisfies(condition: Leaf, actual: JSON) -> bool:
    match condition:
        case Provided():
            return True
        case IsTrue():
            return actual is True
        case IsFalse():
            return actual is False
        case Compare(operator=operator, operand=operand):
            return _compares(actual, operator, operand)
        case In(operands=operands):
            return any(jsonvalue.equal(actual, operand) for operand in operands)
        case Contains(operand=part):
            return isinstance(actual, str) and part in actual
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


# --- printing ---------------------------------------------------------------------------------


def text(condition: Condition) -> str:
    """The condition as a person would write it: `provided(x) & (sum > 40)`."""
    match condition:
        case AllOf(conditions=items) | AnyOf(conditions=items):
            if not items:
                return "always" if isinstance(condition, AllOf) else "never"
            joiner = " & " if isinstance(condition, AllOf) else " | "
            return joiner.join(_bracketed(item, alone=len(items) == 1) for item in items)
        case Not(condition=item):
            return f"~{_bracketed(item)}"
        case Leaf():
            caption = leaf_text(condition)
            return caption if _is_comparison(condition) else f"{caption}({condition.node})"
    raise AssertionError(condition)


def leaf_text(leaf: Leaf) -> str:
    """A leaf without its node where the name of a function says enough, else the comparison."""
    match leaf:
        case Compare(node=node, operator=operator, operand=operand):
            return f"{node} {operator} {jsonvalue.encode(operand)}"
        case In(node=node, operands=operands):
            return f"{node} in {jsonvalue.encode(list(operands))}"
        case Contains(node=node, operand=operand):
            return f"{node} contains {jsonvalue.encode(operand)}"
        case Predicate(function=function, label=label):
            return label or function.short_name
        case Provided() | IsTrue() | IsFalse():
            return leaf.kind
    raise AssertionError(leaf)


def _is_comparison(leaf: Leaf) -> bool:
    return isinstance(leaf, Compare | In | Contains)


def _bracketed(condition: Condition, *, alone: bool = False) -> str:
    simple = isinstance(condition, Leaf) and not _is_comparison(condition)
    inner = text(condition)
    return inner if alone or simple or isinstance(condition, Not) else f"({inner})"
