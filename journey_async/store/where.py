"""Conditions and filters on executions as SQL; what is asked of a value stands in `filters`.

Conditions mean what `core.evaluation` says: `Not` is the plain negation.
"""

from collections.abc import Iterator, Sequence

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
    Predicate,
    Provided,
)
from journey_async.errors import InvalidOptionError
from journey_async.store.filters import (
    STORED,
    SYSTEM_CELLS,
    Filter,
    Parameters,
    checked_name,
    joined,
    value_sql,
)

MAX_JOINS = 10  # sub-selects that may become joins; to order many of them would take minutes
MAX_DEPTH = 100

_OPERATOR_OF = {"==": "eq", "!=": "neq", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


def all_sql(
    conditions: Sequence[Condition], filters: Sequence[Filter], bound: Parameters, depth: int = 0
) -> list[str]:
    """The parts of which all must hold on the execution `e`, each true or false and never null.

    What is asked of one value is asked in one sub-select: so both ends of a range are one scan of
    an index between them, and not two scans that each have one open end. Raises InvalidOptionError
    for a Python predicate and for what cannot be compared or sent.
    """
    parts = list(_parts(conditions, depth))
    asked = [_filter_of(part) for part, _ in parts if isinstance(part, Leaf)] + list(filters)
    by_node: dict[str, list[Filter]] = {}
    alone = []
    for item in asked:
        if item.operator == "is_not_set" or item.node in SYSTEM_CELLS:
            alone.append(item)
        else:
            by_node.setdefault(item.node, []).append(item)
    # What can become a join comes first, for only so many may.
    return [
        *(_exists_sql(node, items, bound) for node, items in by_node.items()),
        *(_filter_sql(item, bound) for item in alone),
        *(_condition_sql(part, bound, at) for part, at in parts if not isinstance(part, Leaf)),
    ]


def _parts(conditions: Sequence[Condition], depth: int) -> Iterator[tuple[Condition, int]]:
    """What all must hold, without the AllOf around it, and how deep it was."""
    for condition in conditions:
        if isinstance(condition, AllOf):
            yield from _parts(condition.conditions, _deeper(depth))
        else:
            yield condition, depth


def _condition_sql(condition: Condition, bound: Parameters, depth: int) -> str:
    match condition:
        case AllOf(conditions=items):
            return joined(" AND ", all_sql(items, (), bound, _deeper(depth)), "true")
        case AnyOf(conditions=items):
            deeper = _deeper(depth)
            return joined(" OR ", [_condition_sql(c, bound, deeper) for c in items], "false")
        case Not(condition=item):
            return f"(NOT {_condition_sql(item, bound, _deeper(depth))})"
        case Leaf():
            return _filter_sql(_filter_of(condition), bound)
    raise InvalidOptionError(f"executions cannot be searched by a {type(condition).__name__}")


def _deeper(depth: int) -> int:
    if depth >= MAX_DEPTH:
        raise InvalidOptionError(f"the condition is nested more than {MAX_DEPTH} levels deep")
    return depth + 1


def _filter_of(leaf: Leaf) -> Filter:
    match leaf:
        case Provided(node=node):
            return Filter(node, "provided")
        case IsTrue(node=node):
            return Filter(node, "eq", True)
        case IsFalse(node=node):
            return Filter(node, "eq", False)
        case Compare(node=node, operator=operator, operand=operand):
            return Filter(node, _OPERATOR_OF[operator], operand)
        case In(node=node, operands=operands):
            return Filter(node, "in", list(operands))
        case Contains(node=node, operand=operand):
            return Filter(node, "contains", operand)
        case Predicate(node=node, function=function):
            raise InvalidOptionError(
                f"the database cannot ask the Python function {function.name} about node {node!r}; "
                f"search with comparisons, such as value({node!r}) == …"
            )
    raise InvalidOptionError(f"executions cannot be searched by a {type(leaf).__name__}")


def _filter_sql(item: Filter, bound: Parameters) -> str:
    if item.operator == "is_not_set":
        return f"(NOT {_filter_sql(Filter(item.node, 'is_set'), bound)})"
    if item.node in SYSTEM_CELLS:
        return f"({value_sql(SYSTEM_CELLS[item.node], item, bound)})"
    return _exists_sql(item.node, [item], bound)


def _exists_sql(node: str, items: Sequence[Filter], bound: Parameters) -> str:
    """There is a value of the node that passes all tests."""
    bound.sub_selects += 1
    name = bound.bind(checked_name(node), "text")
    tests = " AND ".join(f"({value_sql(STORED, item, bound)})" for item in items)
    end = ")" if bound.sub_selects <= MAX_JOINS else ") IS TRUE"
    return (
        f'EXISTS (SELECT FROM :"schema"."values" AS v WHERE v.execution_id = e.id '
        f"AND v.node = {name} AND {tests}{end}"
    )
