"""Conditions: when a node may compute, as data.

One tree has several readers: readiness (`evaluation`), a person (`text`), SQL (the store),
diagrams, and the graph's hash. Only `Predicate` is opaque.
"""

import inspect
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, NoReturn, Self, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from journey_async.core import jsonvalue
from journey_async.core.annotations import takes
from journey_async.core.functions import FunctionField
from journey_async.core.jsonvalue import JSON
from journey_async.core.model import Model, storable
from journey_async.core.reference import NodeName, NodeRef
from journey_async.errors import ConditionError, InvalidValueError

ORDERINGS = frozenset({"<", "<=", ">", ">="})
Operator: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">="]


class Condition(Model):
    """The base of all conditions; combine them with `&`, `|` and `~`."""

    def __and__(self, other: "Condition | NodeName") -> "AllOf":
        return all_of(self, other)

    def __rand__(self, other: "Condition | NodeName") -> "AllOf":
        return all_of(other, self)

    def __or__(self, other: "Condition | NodeName") -> "AnyOf":
        return any_of(self, other)

    def __ror__(self, other: "Condition | NodeName") -> "AnyOf":
        return any_of(other, self)

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

    @model_validator(mode="before")
    @classmethod
    def _comparable(cls, fields: dict[str, Any]) -> dict[str, Any]:
        node, operator = fields.get("node"), fields.get("operator")
        operand = _constant(node, fields.get("operand"))
        if operator in ORDERINGS and not (isinstance(operand, str) or jsonvalue.is_number(operand)):
            raise ConditionError(
                f"value({node!r}) {operator} {operand!r} has no order; "
                f"compare with a number or a text"
            )
        return {**fields, "operand": operand}


class In(Leaf):
    """The node's value is one of several constants."""

    kind: Literal["in"] = "in"
    operands: tuple[Any, ...]

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, fields: dict[str, Any]) -> dict[str, Any]:
        operands = fields.get("operands")
        if isinstance(operands, str) or not isinstance(operands, Sequence):
            raise ConditionError(
                f"value({fields.get('node')!r}).in_() wants a list, not {operands!r}"
            )
        checked = tuple(_constant(fields.get("node"), operand) for operand in operands)
        return {**fields, "operands": checked}


class Contains(Leaf):
    """The node's value is a text that contains another."""

    kind: Literal["contains"] = "contains"
    operand: str

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, fields: dict[str, Any]) -> dict[str, Any]:
        operand = _constant(fields.get("node"), fields.get("operand"))
        if not isinstance(operand, str):
            raise ConditionError(
                f"value({fields.get('node')!r}).contains() wants a text, not {operand!r}"
            )
        return {**fields, "operand": operand}


class Predicate(Leaf):
    """A function of the upstream NodeValue decides; it is asked for unset nodes too."""

    kind: Literal["predicate"] = "predicate"
    function: FunctionField
    label: Annotated[str, Field(strict=True), AfterValidator(storable)] | None = None

    @model_validator(mode="after")
    def _decides_at_once(self) -> Self:
        call = self.function.call
        if call is not None and not takes(call, None):
            raise ConditionError(
                f"the predicate on {self.node!r} must take one argument, the NodeValue; "
                f"{call!r} does not"
            )
        if inspect.iscoroutinefunction(call):
            raise ConditionError(
                f"the predicate on {self.node!r} must be a plain def: conditions are not awaited"
            )
        return self


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

    def __init__(self, node: NodeName) -> None:
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
        return In(node=self._node, operands=operands)

    def contains(self, operand: str) -> Contains:
        """The value is a text that contains `operand`."""
        return Contains(node=self._node, operand=operand)

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
        return Compare(node=self._node, operator=operator, operand=operand)


def _constant(node: object, operand: object) -> JSON:
    """What a node's value is compared with, as JSON."""
    if isinstance(operand, ValueOf | Condition):
        raise ConditionError(
            f"value({node!r}) can be compared with a constant, not with another node"
        )
    try:
        return jsonvalue.normalise(operand)
    except InvalidValueError as error:
        raise ConditionError(
            f"the constant that value({node!r}) is compared with {error}"
        ) from None


def value(node: NodeName) -> ValueOf:
    """The value of `node`, to be compared: `value("sum") > 40`."""
    return ValueOf(node)


def provided(node: NodeName) -> Provided:
    """Holds once `node` has a value; for a tick: once its time has come."""
    return Provided(node=_node_name(node))


def is_true(node: NodeName) -> IsTrue:
    """Holds while the value of `node` is exactly True."""
    return IsTrue(node=_node_name(node))


def is_false(node: NodeName) -> IsFalse:
    """Holds while the value of `node` is exactly False."""
    return IsFalse(node=_node_name(node))


def all_of(*conditions: NodeName | Condition) -> AllOf:
    """Holds while all of the conditions hold; a name means `provided(name)`."""
    return AllOf.model_construct(conditions=_flattened(AllOf, conditions))


def any_of(*conditions: NodeName | Condition) -> AnyOf:
    """Holds while at least one of the conditions holds; a name means `provided(name)`."""
    return AnyOf.model_construct(conditions=_flattened(AnyOf, conditions))


def not_(condition: NodeName | Condition) -> Not:
    """Holds while the condition does not."""
    return Not(condition=as_condition(condition))


def as_condition(item: object) -> "AnyCondition":
    """The condition itself, or `provided` of a name."""
    match item:
        case str() | NodeRef():
            return provided(item)
        case Provided() | IsTrue() | IsFalse() | Compare() | In() | Contains() | Predicate():
            return item
        case AllOf() | AnyOf() | Not():
            return item
        case ValueOf():
            raise ConditionError(
                f"value({item._node!r}) alone says nothing; compare it, or use provided()"
            )
    raise ConditionError(
        f"{item!r} is neither a node's name nor a condition, such as value('x') > 1"
    )


def _flattened(kind: type[AllOf | AnyOf], items: Sequence[object]) -> tuple["AnyCondition", ...]:
    """The conditions, each checked; those that are joined already are not checked once more.

    (A gate may be built by `&` in a loop.)
    """
    flat: list[AnyCondition] = []
    for item in map(as_condition, items):
        flat.extend(item.conditions if type(item) is kind else [item])
    return tuple(flat)


def _node_name(node: object) -> str:
    if isinstance(node, NodeRef):
        return node.name
    if not isinstance(node, str):
        raise ConditionError(f"a node is named by a text, not by {node!r}")
    return node


# --- reading ----------------------------------------------------------------------------------


def leaves(condition: Condition) -> Iterator[Leaf]:
    """The leaves of a condition, in the order in which they were written."""
    return (leaf for leaf, _ in negatable_leaves(condition))


def negatable_leaves(condition: Condition, negated: bool = False) -> Iterator[tuple[Leaf, bool]]:
    """The leaves in the same order, each with whether it is negated."""
    if isinstance(condition, AllOf | AnyOf):
        for item in condition.conditions:
            yield from negatable_leaves(item, negated)
    elif isinstance(condition, Not):
        yield from negatable_leaves(condition.condition, not negated)
    elif isinstance(condition, Leaf):
        yield condition, negated


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
            return caption if is_comparison(condition) else f"{caption}({condition.node})"
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


def is_comparison(leaf: Leaf) -> bool:
    """Whether its text names the node."""
    return isinstance(leaf, Compare | In | Contains)


def _bracketed(condition: Condition, *, alone: bool = False) -> str:
    simple = isinstance(condition, Leaf) and not is_comparison(condition)
    inner = text(condition)
    return inner if alone or simple or isinstance(condition, Not) else f"({inner})"
