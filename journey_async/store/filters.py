"""What is asked of a value, as SQL: fixed fragments put together, every value and name bound.

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

Conditions (see `where`) have one more, `provided`: the node is set and, if it is a tick, its time
has come. What numbers and texts are compared with stands in the words of the indexes
`values_number` and `values_text`, so that they can be used.

The row of the execution is `e`, that of the node's value `v`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from journey_async.core import jsonvalue
from journey_async.core.jsonvalue import JSON
from journey_async.core.model import storable
from journey_async.core.nodes import EXECUTION_ID, LAST_UPDATED_AT
from journey_async.core.reference import NodeRef, name_of
from journey_async.core.values import TICKS
from journey_async.errors import InvalidOptionError, InvalidValueError

MAX_LEAVES = 500  # each may be a sub-select; PostgreSQL plans that many in well under a second
INDEXED = 64  # characters of a text that its index holds

COMPARISONS = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
WITHOUT_OPERAND = frozenset({"is_set", "is_not_set", "is_nil", "is_not_nil"})
WITH_OPERAND = frozenset(
    {"eq", "neq", *COMPARISONS, "in", "not_in", "contains", "icontains", "list_contains"}
)


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
        self.sub_selects = 0
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


_TICKS = ", ".join(f"'{kind}'" for kind in sorted(TICKS))


def checked_name(node: object) -> str:
    """The name of a node, if it can be one; raises InvalidOptionError."""
    if not isinstance(node, str | NodeRef):
        raise InvalidOptionError(f"a node is named by a text, not by a {type(node).__name__}")
    name = name_of(node)
    try:
        return storable(name)
    except ValueError as error:
        raise InvalidOptionError(f"the name of a node {error}: {name!r:.80}") from None


def _count(bound: Parameters) -> None:
    bound.leaves += 1
    if bound.leaves > MAX_LEAVES:
        raise InvalidOptionError(f"a search has at most {MAX_LEAVES} conditions and filters")


# --- what is asked of a value -------------------------------------------------------------------


def _provided(bound: Parameters) -> str:
    # to the microsecond, as a time is
    due = f"{STORED.number} > 0 AND round({STORED.number}, 6) <= {bound.now()}"
    return f"v.set_time IS NOT NULL AND (v.kind NOT IN ({_TICKS}) OR ({due}))"


def value_sql(cell: Cell, item: Filter, bound: Parameters) -> str:
    """A test of a value, true where it passes; raises InvalidOptionError."""
    _count(bound)
    operand = _storable_operand(item)  # None where there is none: is_nil means eq None
    is_always_set = cell is not STORED
    match item.operator:
        case "is_set":
            return "true" if is_always_set else "v.set_time IS NOT NULL"
        case "provided":
            return "true" if is_always_set else _provided(bound)
        case "eq" | "is_nil":
            return _equals_one_of(cell, [operand], bound)
        case "neq" | "is_not_nil":
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
    return tests[0] if len(tests) == 1 else joined(" OR ", tests, "false")


def _of_number(cell: Cell, test: str) -> str:
    """The test of a number.

    Within EXISTS it may be null where there is none, which counts as false; elsewhere it may not.
    """
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


def joined(joiner: str, parts: Sequence[str], of_none: str) -> str:
    """The parts with a word in between; `of_none` if there is none."""
    return f"({joiner.join(f'({part})' for part in parts)})" if parts else of_none
