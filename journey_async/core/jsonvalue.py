"""JSON values: what may be stored, the form in which the database gives it back, and equality.

jsonb is a value's home, so its rules are the rules: object keys sorted by length and then by bytes,
numbers exact and without exponent, no NaN, no infinity, no `\\u0000`, no lone surrogates.
`normalise` brings a value into that form before anything uses it; a function then sees the same
whether the value was cached or loaded.
"""

import json
from collections.abc import Mapping
from dataclasses import is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import TypeAlias
from uuid import UUID

from journey_async.errors import InvalidValueError

JSON: TypeAlias = "str | int | float | bool | list[JSON] | dict[str, JSON] | None"

NULL, BOOLEAN, NUMBER, STRING = "null", "boolean", "number", "string"
ARRAY, OBJECT = "array", "object"

MAX_DEPTH = 100
MAX_DIGITS = 4300  # CPython converts no longer integers to and from text

_JSON_OF = {
    Enum: "value",
    date: "isoformat()",
    time: "isoformat()",
    timedelta: "total_seconds()",
    Decimal: "str()",
    UUID: "str()",
    set: "sorted()",
    frozenset: "sorted()",
}

_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def normalise(value: object) -> JSON:
    """The value as PostgreSQL would give it back; tuples become lists.

    Raises InvalidValueError for what is not JSON or what jsonb cannot hold.
    """
    return _normalise(value, 0)


def encode(value: JSON) -> str:
    """Compact JSON text of a normalised value."""
    if type(value) is int:  # most are: no need of an encoder
        return str(value)
    return _encoder.encode(value)


def copied(value: JSON) -> JSON:
    """A copy that its receiver may change; what cannot be changed is not copied."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value


def equal(one: JSON, other: JSON) -> bool:
    """Equality of JSON: 1 equals 1.0, True does not equal 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(v, other[k]) for k, v in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


def is_number(value: JSON) -> bool:
    """Whether the value is a JSON number (a bool is not)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def kind_of(value: JSON) -> str:
    """What JSON calls the value: null, boolean, number, string, array or object."""
    match value:
        case None:
            return NULL
        case bool():
            return BOOLEAN
        case int() | float():
            return NUMBER
        case str():
            return STRING
        case list():
            return ARRAY
    return OBJECT


def _normalise(value: object, depth: int) -> JSON:
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return _float(value)
    if depth >= MAX_DEPTH:
        raise InvalidValueError(f"is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, Mapping):
        items = [(_key(key), _normalise(item, depth + 1)) for key, item in value.items()]
        items.sort(key=lambda item: _key_order(item[0]))
        return dict(items)
    if isinstance(value, list | tuple):
        return [_normalise(item, depth + 1) for item in value]
    advice = json_of(type(value))
    raise InvalidValueError(
        f"is not JSON: {_a(value)} is no string, number, bool, None, list or dict"
        f"{'' if advice is None else f'; its {advice} is'}"
    )


def json_of(cls: type) -> str | None:
    """What is JSON of a value of a class that is not, as a person writes it behind "its"."""
    if hasattr(cls, "model_dump"):
        return 'model_dump(mode="json")'
    if is_dataclass(cls):
        return "dataclasses.asdict()"
    for kind, advice in _JSON_OF.items():
        if issubclass(cls, kind):
            return advice
    return None


def _a(value: object) -> str:
    """What it is one of, with its article."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"


def _text(value: str) -> str:
    if "\0" in value:
        raise InvalidValueError("holds the character \\u0000, which jsonb cannot store")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidValueError("holds a lone surrogate, which is no character") from None
    return value if type(value) is str else str.__str__(value)


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise InvalidValueError(
            f"has a key that is {_a(key)}, and keys of a JSON object are strings"
        )
    return _text(key)


def _key_order(key: str) -> tuple[int, bytes]:
    raw = key.encode()
    return len(raw), raw


def _integer(value: int) -> int:
    number = int(value)
    if number.bit_length() > MAX_DIGITS * 3 and abs(number) >= 10**MAX_DIGITS:
        raise InvalidValueError(f"is a number of more than {MAX_DIGITS} digits")
    return number


def _float(value: float) -> float | int:
    number = float(value)
    if not isfinite(number):
        raise InvalidValueError(f"is {number!r}, which JSON does not have")
    text = repr(number)
    if "e+" in text:  # jsonb writes 1e+22 out in full, so it comes back as an integer
        return int(Decimal(text))
    return number if number else 0.0  # numeric knows no negative zero
