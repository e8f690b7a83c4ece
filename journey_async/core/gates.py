"""Gates: the condition under which a step may compute, out of what may be written for it."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from journey_async.core.conditions import (
    AllOf,
    AnyCondition,
    AnyOf,
    Condition,
    Leaf,
    Not,
    Predicate,
    ValueOf,
    as_condition,
)
from journey_async.core.functions import Function
from journey_async.core.reference import NodeName, NodeRef, name_of
from journey_async.core.values import NodeValue
from journey_async.errors import ConditionError

MAX_NESTING = 64  # levels of a condition; pydantic serialises little more than twice as many

GatedBy: TypeAlias = NodeName | Condition | Sequence[NodeName | Condition]


def unblocked_when(
    gated_by: GatedBy,
    predicate: Callable[[NodeValue], object] | None = None,
    label: str | None = None,
) -> Condition:
    """A gate that reads aloud.

    `unblocked_when("x", predicate)` holds while `predicate`, given the NodeValue of "x" (also
    while it is unset), returns something true; one that raises counts as not met.
    `unblocked_when(condition)` is that condition, `unblocked_when(["x", "y"])` all of them.
    """
    if predicate is None:
        if label is not None:
            raise ConditionError(f"the label {label!r} wants a predicate, which it is the name of")
        return gate(gated_by)
    if not isinstance(gated_by, str | NodeRef):
        raise ConditionError(f"a predicate is about one node, named by a text, not {gated_by!r}")
    node = name_of(gated_by)
    if not callable(predicate):
        raise ConditionError(f"the predicate on {node!r} must be a function: {predicate!r}")
    return Predicate(node=node, function=Function.of(predicate), label=label)


def gate(gated_by: GatedBy) -> AnyCondition:
    """One condition out of what `gated_by` may be: a name, a condition, or a list of both."""
    condition = _gate(gated_by)
    refuse_deep(condition)
    return condition


def refuse_deep(condition: Condition | Mapping[str, object]) -> None:
    """Raises ConditionError for a condition, or the description of one, that is nested too deep."""
    level: list[object] = [condition]
    for _ in range(MAX_NESTING):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise ConditionError(f"a condition is nested more than {MAX_NESTING} levels deep")


def _gate(gated_by: GatedBy) -> AnyCondition:
    if isinstance(gated_by, str | NodeRef | Condition | ValueOf):
        return as_condition(gated_by)
    if isinstance(gated_by, Sequence):
        conditions = tuple(as_condition(item) for item in gated_by)
        return conditions[0] if len(conditions) == 1 else AllOf(conditions=conditions)
    raise ConditionError(
        f"a gate is a list of names and conditions, or one condition, not {gated_by!r}"
    )


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


def _inside(condition: object) -> Sequence[object]:
    match condition:
        case AllOf(conditions=inner) | AnyOf(conditions=inner):
            return inner
        case Not(condition=negated) | {"condition": negated}:
            return (negated,)
        case {"conditions": [*described]}:
            return described
        case _:
            return ()
