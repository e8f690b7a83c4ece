"""What becomes of types on the way into JSON and back."""

import types
from collections.abc import Collection, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from inspect import isabstract
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin, is_typeddict
from uuid import UUID

from pydantic import BaseModel

from journey_async.core.assignable import assignable, is_opaque, is_union, members_of, plain
from journey_async.core.jsonvalue import (
    ARRAY,
    BOOLEAN,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    kind_of,
)

_JSON = (types.NoneType, str, int, float, list, tuple, dict, Mapping)
_EXACT = {types.NoneType: NULL, bool: BOOLEAN}
_OF_SUBCLASSES: dict[type, set[str]] = {
    int: {NUMBER},
    float: {NUMBER},
    str: {STRING},
    UUID: {STRING},
    **{cls: {STRING, NUMBER} for cls in (date, datetime, time, timedelta, Decimal)},
    Mapping: {OBJECT},
    Collection: {ARRAY},
}


def kinds_of(annotation: Any) -> frozenset[str] | None:
    """The kinds of JSON in which values of a type are stored; None where nobody can tell."""
    if get_origin(annotation) is Annotated and any(map(_converts, get_args(annotation)[1:])):
        return None
    annotation = plain(annotation)
    if isinstance(annotation, NewType):
        return kinds_of(annotation.__supertype__)
    if is_union(annotation):
        of_members = [kinds_of(member) for member in get_args(annotation)]
        known = [kinds for kinds in of_members if kinds is not None]
        return frozenset().union(*known) if len(known) == len(of_members) else None
    if get_origin(annotation) is Literal:
        return _kinds_of_constants(get_args(annotation))
    return _kinds_of_class(get_origin(annotation) or annotation)


def not_json(annotation: Any) -> type | None:
    """The class in a type whose values are surely no JSON; None if there is none, or none is sure.

    A model is one: it is for whoever returns it to say in which form it is to be kept.
    """
    for member in members_of(annotation):
        cls = plain(get_origin(member) or member)
        if cls is Any or not isinstance(cls, type) or is_typeddict(cls) or is_opaque(cls):
            continue
        if getattr(cls, "_is_protocol", False) is True or isabstract(cls):
            continue
        try:
            if not any(issubclass(cls, known) or issubclass(known, cls) for known in _JSON):
                return cls
        except TypeError:  # a class that is not for asking
            continue
    return None


def as_stored(annotation: Any) -> Any:
    """The type as which a plain value comes back: a tuple or a Sequence as a list."""
    annotation = plain(annotation)
    origin, items = get_origin(annotation) or annotation, get_args(annotation)
    if is_union(annotation):
        return Union[tuple(map(as_stored, items))]  # noqa: UP007
    if not isinstance(origin, type) or is_typeddict(origin) or issubclass(origin, str | bytes):
        return annotation
    if issubclass(origin, Mapping):
        inside = (items[0], as_stored(items[1])) if len(items) == 2 else (str, Any)
        return types.GenericAlias(dict, inside)
    if issubclass(origin, Collection) and not is_opaque(origin):
        inside = tuple(as_stored(item) for item in items if item is not Ellipsis) or (Any,)
        return types.GenericAlias(list, (Union[inside],))  # noqa: UP007
    return annotation


def readable(wanted: Any, given: Any) -> bool:
    """Whether what is stored of a `given` can be read as a `wanted`; True where nobody can tell."""
    if assignable(wanted, given) or assignable(wanted, as_stored(given)):
        return True
    if _is_plain_json(wanted):
        return False
    kinds, stored = kinds_of(wanted), kinds_of(given)
    return kinds is None or stored is None or stored <= kinds


def _is_plain_json(annotation: Any) -> bool:
    """Whether values of the type are JSON as they are, so that reading changes nothing."""
    annotation = plain(annotation)
    if is_union(annotation):
        return all(map(_is_plain_json, members_of(annotation)))
    if get_origin(annotation) in (list, dict):
        return all(map(_is_plain_json, get_args(annotation)))
    if get_origin(annotation) is Literal:
        return not any(isinstance(item, Enum) for item in get_args(annotation))
    plain_types = (types.NoneType, bool, int, float, str, list, dict, Any, object)
    return any(annotation is known for known in plain_types)


def _converts(note: Any) -> bool:
    """Whether a note in Annotated may change what a value is: a validator, a serializer."""
    return hasattr(note, "__get_pydantic_core_schema__")


def _kinds_of_constants(items: tuple[Any, ...]) -> frozenset[str] | None:
    values = [item.value if isinstance(item, Enum) else item for item in items]
    if not all(isinstance(value, bool | int | float | str | None) for value in values):
        return None
    return frozenset(map(kind_of, values))


def _kinds_of_class(cls: Any) -> frozenset[str] | None:
    if is_typeddict(cls):
        return frozenset({OBJECT})
    if not isinstance(cls, type) or is_opaque(cls) or issubclass(cls, BaseModel):
        return None
    if cls in _EXACT:
        return frozenset({_EXACT[cls]})
    if issubclass(cls, Enum):
        return _kinds_of_constants(tuple(cls))
    for known, kinds in _OF_SUBCLASSES.items():
        if issubclass(cls, known):
            return frozenset(kinds)
    return None
