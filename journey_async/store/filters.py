"""Conditions and filters as SQL: fixed fragments put together, every value and name bound.

A filter is a node, an operator, and for most operators an operand. Nothing holds on a node that
is not set, except `is_not_set`. JSON's null is a value like others: a node can be set to it.

| operator                | operand       | holds when the node is set and its value …             |
|-------------------------|---------------|--------------------------------------------------------|
| `eq`, `neq`             | any JSON      | equals it, or doesn't; 1 is 1.0, but not "1" or True   |
| `lt` `lte` `gt` `gte`   | number        | is a number, and less, …                               |
|                         | text          | is a text, and less, …, by code point                  |
| `in`, `not_in`          | list          | equals one of them, or none; `not_in []`: any value    |
| `contains`, `icontains` | text          | is a text with that part, taken literally; the latter: |
|                         |               | upper and lower case alike, beyond ASCII as far as the |
|                         |               | locale of the database knows them                      |
| `list_contains`         | text, number, | is a list with an item that equals it                  |
|                         | bool, None    |                                                        |
| `is_set`                | –             | is anything; a tick that lies ahead is set, too        |
| `is_not_set`            | –             | (holds when the node is not set)                       |
| `is_nil`, `is_not_nil`  | –             | is null, or isn't                                      |

Conditions mean in SQL what `core.evaluation` says: `provided` holds on a tick once its
time has come, and `Not` is the plain negation. What numbers and texts are compared with stands in
the words of the indexes `values_number` and `values_text`, so that they can be used.

The row of the execution is `e`, that of the node's value `v`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

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
    Predicate,
    Provided,
)
from journey_async.core.jsonvalue import JSON
from journey_async.core.model import storable
from journey_async.core.nodes import EXECUTION_ID, LAST_UPDATED_AT
from journey_async.core.values import TICKS
from journey_async.errors import InvalidOptionError, InvalidValueError

MAX_LEAVES = 500  # each is a sub-select; PostgreSQL plans that many in well under a second …
MAX_JOINS = 10  # … if most are not made into joins, for whose order it would take minutes
MAX_DEPTH = 100
INDEXED = 64  # characters of a text that its index holds

COMPARISONS = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
WITHOUT_OPERAND = frozenset({"is_set", "is_not_set", "is_nil", "is_not_nil"})
WITH_OPERAND = frozenset(
    {"eq", "neq", *COMPARISONS, "in", "not_in", "contains", "icontains", "list_contains"}
)

_OPERATOR_OF = {"==": "eq", "!=": "neq", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


@dataclass(frozen=True, slots=True)
class Filter:
    """An operator of the table above on a node; `operand` is as the caller gave it."""

    node: str
    operator: str
    operand: object = None


class Parameters:
    """What a statement binds, in order."""

    def __init__(self, now: datetime) -> None:
        self.values: list[Any] = []
        self.leaves = 0
        self._now = now
        self._now_place: str | None = None

    def bind(self, value: object, kind: str) -> str:
        """The place of a value in the text; `kind` is how it is cast."""
        self.values.append(value)
        return f"${len(self.values)}::{kind}"

    def now(self) -> str:
        """The place of the present time, in unix seconds."""
        if self._now_place is None:
            self._now_place = self.bind(Decimal(repr(self._now.timestamp())), "numeric")
        return self._now_place


@dataclass(frozen=True, slots=True)
class Cell:
    """The expressions that read what a node holds.

    `number` is null unless `is_number`, so is `prefix`, the beginning of a text, unless `is_text`.
    """

    json: str
    is_number: str
    number: str
    is_text: str
    text: str
    prefix: str | None = None


_NUMBER = "(CASE WHEN jsonb_typeof(v.value) = 'number' THEN v.value::numeric END)"
_TEXT = "(v.value #>> '{}') COLLATE \"C\""
_PREFIX = f"(CASE WHEN jsonb_typeof(v.value) = 'string' THEN \"left\"({_TEXT}, {INDEXED}) END)"
STORED = Cell(
    json="v.value",
    is_number=f"{_NUMBER} IS NOT NULL",
    number=_NUMBER,
    is_text=f"{_PREFIX} IS NOT NULL",
    text=_TEXT,
    prefix=_PREFIX,
)

# The system nodes have no rows of their own.
SYSTEM_CELLS = {
    EXECUTION_ID: Cell(
        json="to_jsonb(e.id)",
        is_number="false",
        number="NULL::numeric",
        is_text="true",
        text="e.id",
    ),
    LAST_UPDATED_AT: Cell(
        json="to_jsonb(floor(extract(epoch FROM e.values_at)))",
        is_number="true",
        number="floor(extract(epoch FROM e.values_at))",
        is_text="false",
        text="NULL::text",
    ),
}


_EXISTS_VALUE = 'EXISTS (SELECT FROM :"schema"."values" AS v WHERE v.execution_id = e.id AND'
_TICKS = ", ".join(f"'{kind}'" for kind in sorted(TICKS))

# --- conditions and filters ---------------------------------------------------------------------


def condition_sql(condition: Condition, bound: Parameters, depth: int = 0) -> str:
    """A condition on the execution `e`, true or false and never null.

    Raises InvalidOptionError for a Python predicate and for what cannot be compared or sent.
    """
    if depth > MAX_DEPTH:
        raise InvalidOptionError(f"the condition is nested more than {MAX_DEPTH} levels deep")
    match condition:
        case AllOf(conditions=items):
            return _joined(" AND ", [condition_sql(c, bound, depth + 1) for c in items], "true")
        case AnyOf(conditions=items):
            return _joined(" OR ", [condition_sql(c, bound, depth + 1) for c in items], "false")
        case Not(condition=item):
            return f"(NOT {condition_sql(item, bound, depth + 1)})"
        case Predicate(node=node, function=function):
            raise InvalidOptionError(
                f"the database cannot ask the Python function {function.name} about node {node!r}; "
                f"search with comparisons, such as value({node!r}) == …"
            )
        case Leaf():
            return _leaf_sql(condition, bound)
    raise InvalidOptionError(f"executions cannot be searched by a {type(condition).__name__}")


def _leaf_sql(leaf: Leaf, bound: Parameters) -> str:
    match leaf:
        case Provided(node=node):
            return _where_stored(node, bound, _provided)
        case IsTrue(node=node):
            return filter_sql(Filter(node, "eq", True), bound)
        case IsFalse(node=node):
            return filter_sql(Filter(node, "eq", False), bound)
        case Compare(node=node, operator=operator, operand=operand):
            return filter_sql(Filter(node, _OPERATOR_OF[operator], operand), bound)
        case In(node=node, operands=operands):
            return filter_sql(Filter(node, "in", list(operands)), bound)
        case Contains(node=node, operand=operand):
            return filter_sql(Filter(node, "contains", operand), bound)
    raise InvalidOptionError(f"executions cannot be searched by a {type(leaf).__name__}")


def filter_sql(item: Filter, bound: Parameters) -> str:
    """A filter on the execution `e`, true or false and never null; raises InvalidOptionError."""
    match item.operator:
        case "is_set":
            return _where_stored(item.node, bound, lambda _: "v.set_time IS NOT NULL")
        case "is_not_set":
            return f"(NOT {filter_sql(Filter(item.node, 'is_set'), bound)})"
        case "is_nil":
            return filter_sql(Filter(item.node, "eq", None), bound)
        case "is_not_nil":
            return filter_sql(Filter(item.node, "neq", None), bound)
    operand = _storable_operand(item)
    if item.node in SYSTEM_CELLS:
        _count(bound)
        return f"({_test(SYSTEM_CELLS[item.node], item, operand, bound)})"
    return _where_stored(item.node, bound, lambda bound: _test(STORED, item, operand, bound))


def _where_stored(node: str, bound: Parameters, test: Callable[[Parameters], str]) -> str:
    """There is a value of the node that passes a test."""
    _count(bound)
    if node in SYSTEM_CELLS:
        return "true"  # always set, and the tests that ask for more have cells of their own
    name = bound.bind(checked_name(node), "text")
    rest = f"v.node = {name} AND {test(bound)}"
    return " ".join((_EXISTS_VALUE, rest, ")" if bound.leaves <= MAX_JOINS else ") IS TRUE"))


def checked_name(node: object) -> str:
    """The name of a node, if it can be one; raises InvalidOptionError."""
    if not isinstance(node, str):
        raise InvalidOptionError(f"a node is named by a text, not by a {type(node).__name__}")
    try:
        return storable(node)
    except ValueError as error:
        raise InvalidOptionError(f"the name of a node {error}: {node!r:.80}") from None


def _count(bound: Parameters) -> None:
    bound.leaves += 1
    if bound.leaves > MAX_LEAVES:
        raise InvalidOptionError(f"a search has at most {MAX_LEAVES} conditions and filters")


# --- what is asked of a value -------------------------------------------------------------------


def _provided(bound: Parameters) -> str:
    # to the microsecond, as a time is
    due = f"{STORED.number} > 0 AND round({STORED.number}, 6) <= {bound.now()}"
    return f"v.set_time IS NOT NULL AND (v.kind NOT IN ({_TICKS}) OR ({due}))"


def _test(cell: Cell, item: Filter, operand: JSON, bound: Parameters) -> str:
    match item.operator:
        case "eq":
            return _equals_one_of(cell, [operand], bound)
        case "neq":
            return f"{cell.json} <> {_json(operand, bound)}"
        case "in":
            return _equals_one_of(cell, _list(item, operand), bound)
        case "not_in":
            others = _jsons(_list(item, operand), bound)
            return f"{cell.json} IS NOT NULL AND {cell.json} <> ALL ({others})"
        case "contains":
            part = bound.bind(_text(item, operand), "text")
            return f"{cell.is_text} AND strpos({cell.text}, {part}) > 0"
        case "icontains":
            part = bound.bind(_text(item, operand), "text")
            return f"{cell.is_text} AND {_lower_contains(cell, part)}"
        case "list_contains":
            if isinstance(operand, list | dict):
                raise InvalidOptionError(
                    f"list_contains on node {item.node!r} wants a text, number, bool or None"
                )
            return (
                f"jsonb_typeof({cell.json}) = 'array' AND {cell.json} @> {_json([operand], bound)}"
            )
        case "lt" | "lte" | "gt" | "gte":
            return _compares(cell, item, operand, bound)
    known = ", ".join(sorted(WITH_OPERAND | WITHOUT_OPERAND))
    raise InvalidOptionError(f"there is no operator {item.operator!r:.80}; there are {known}")


def _compares(cell: Cell, item: Filter, operand: JSON, bound: Parameters) -> str:
    sign = COMPARISONS[item.operator]
    if isinstance(operand, str):
        whole = f"{cell.text} {sign} {bound.bind(operand, 'text')}"
        if cell.prefix is None:
            return f"{cell.is_text} AND {whole}"
        # a text is less only if its beginning is not greater
        return f"{cell.prefix} {sign[0]}= {bound.bind(operand[:INDEXED], 'text')} AND {whole}"
    if jsonvalue.is_number(operand):
        number = bound.bind(_decimal(operand), "numeric")
        return _of_number(cell, f"{cell.number} {sign} {number}")
    raise InvalidOptionError(
        f"{item.operator} on node {item.node!r} wants a number or a text: "
        f"a {type(operand).__name__} has no order"
    )


def _equals_one_of(cell: Cell, operands: Sequence[JSON], bound: Parameters) -> str:
    """Numbers and texts by their indexes, the rest by what jsonb takes for equal."""
    numbers = [_decimal(o) for o in operands if jsonvalue.is_number(o)]
    texts = [o for o in operands if isinstance(o, str)]
    others = [o for o in operands if not isinstance(o, str) and not jsonvalue.is_number(o)]
    tests = []
    if numbers:
        tests.append(_of_number(cell, _is_one_of(cell.number, numbers, "numeric", bound)))
    if texts:
        tests.append(_is_one_of_texts(cell, texts, bound))
    if others:
        tests.append(f"{cell.json} = ANY ({_jsons(others, bound)})")
    return tests[0] if len(tests) == 1 else _joined(" OR ", tests, "false")


def _of_number(cell: Cell, test: str) -> str:
    """The test of a number; null where there is none will do, if it stands within EXISTS."""
    return test if cell is STORED else f"{cell.is_number} AND {test}"


def _is_one_of_texts(cell: Cell, texts: Sequence[str], bound: Parameters) -> str:
    if cell.prefix is None:
        return f"{cell.is_text} AND {_is_one_of(cell.text, texts, 'text', bound)}"
    beginnings = list(dict.fromkeys(text[:INDEXED] for text in texts))
    begins = _is_one_of(cell.prefix, beginnings, "text", bound)
    if all(len(text) < INDEXED for text in texts):
        return begins  # which is the whole text then
    # Of a CASE the planner expects half to hold, of an equality one in two hundred: most texts that
    # begin alike are alike.
    return f"{begins} AND CASE WHEN {_is_one_of(cell.text, texts, 'text', bound)} THEN true END"


def _is_one_of(expression: str, operands: Sequence[object], kind: str, bound: Parameters) -> str:
    if len(operands) == 1:
        return f"{expression} = {bound.bind(operands[0], kind)}"
    return f"{expression} = ANY ({bound.bind(operands, f'{kind}[]')})"


def _lower_contains(cell: Cell, part: str) -> str:
    # The collation "C" would leave all but ASCII alone.
    return f'strpos(lower({cell.text} COLLATE "default"), lower({part})) > 0'


# --- operands -----------------------------------------------------------------------------------


def _storable_operand(item: Filter) -> JSON:
    try:
        return jsonvalue.normalise(item.operand)
    except InvalidValueError as error:
        raise InvalidOptionError(f"what node {item.node!r:.80} is compared with {error}") from None


def _list(item: Filter, operand: JSON) -> list[JSON]:
    if isinstance(operand, list):
        return operand
    raise InvalidOptionError(f"{item.operator} on node {item.node!r} wants a list")


def _text(item: Filter, operand: JSON) -> str:
    if isinstance(operand, str):
        return operand
    raise InvalidOptionError(f"{item.operator} on node {item.node!r} wants a text")


def _decimal(number: JSON) -> Decimal:
    assert isinstance(number, int | float)
    return Decimal(number) if isinstance(number, int) else Decimal(repr(number))


def _json(operand: JSON, bound: Parameters) -> str:
    # As text, whatever codecs a caller's pool has.
    return f"{bound.bind(jsonvalue.encode(operand), 'text')}::jsonb"


def _jsons(operands: Sequence[JSON], bound: Parameters) -> str:
    return f"{bound.bind([jsonvalue.encode(o) for o in operands], 'text[]')}::jsonb[]"


# --- putting fragments together -----------------------------------------------------------------


def _joined(joiner: str, parts: Sequence[str], of_none: str) -> str:
    return f"({joiner.join(f'({part})' for part in parts)})" if parts else of_none
