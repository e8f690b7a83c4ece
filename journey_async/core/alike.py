"""Whether a value of a type, stored and read again, is what it was."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel


def alike(one: Any, other: Any) -> bool:
    """Whether two values of a type hold the same: by what is in them, whatever `==` makes of that.

    Private attributes of models do not count, nor what has no equality of its own; a time in the
    hour that comes twice is the same in both zones; NaN is NaN.
    """
    if isinstance(one, BaseModel) and isinstance(other, BaseModel):
        return alike(_content(one), _content(other))
    if is_dataclass(one) and is_dataclass(other):
        return all(alike(getattr(one, f.name), getattr(other, f.name, None)) for f in fields(one))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(alike(v, other[k]) for k, v in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, datetime) and isinstance(other, datetime) and one.tzinfo and other.tzinfo:
        return one.astimezone(UTC) == other.astimezone(UTC)
    return _equal(one, other) or (type(one) is type(other) and _is_unequal_to_itself(one))


def _content(model: BaseModel) -> dict[str, Any]:
    return {"": type(model), **model.__dict__, **(model.model_extra or {})}


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # as of an array, which is neither
        return True


def _is_unequal_to_itself(value: Any) -> bool:
    """Once read again: NaN is, and what has no equality of its own."""
    own = any("__eq__" in vars(kind) for kind in type(value).__mro__[:-1])
    return not own or not _equal(value, value)
