"""Whether a value of a type, stored and read again, is what it was."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel


def alike(one: Any, other: Any) -> bool:
    """Whether two values of a type are equal, or of the same class and alike in what they hold.

    Private attributes of models do not count, nor what has no equality of its own; a time in the
    hour that comes twice is the same in both zones; NaN is NaN.
    """
    if _equal(one, other):
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, BaseModel):
        return alike(_held_by_model(one), _held_by_model(other))
    if is_dataclass(one):
        return all(alike(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(alike(v, other[k]) for k, v in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, datetime) and one.tzinfo and other.tzinfo:
        return bool(one.astimezone(UTC) == other.astimezone(UTC))
    return _is_unequal_to_itself(one)


def _held_by_model(model: BaseModel) -> dict[str, Any]:
    held = {name: getattr(model, name) for name in type(model).model_fields}
    return held | (model.model_extra or {})


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # as of an array, which is neither
        return True


def _is_unequal_to_itself(value: Any) -> bool:
    """Once read again: NaN is, and what has no equality of its own."""
    own = any("__eq__" in vars(kind) for kind in type(value).__mro__[:-1])
    return not own or not _equal(value, value)
