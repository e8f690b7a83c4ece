"""Whether a value of one type may be given where another is wanted, as a type checker would say.

A refusal is certain, an acceptance is not: what cannot be judged (a Protocol, a class that tells
pydantic what it stands for, a type variable) is accepted. Containers of values are read, not
written, so `list[int]` may be given for `list[float]`.
"""

import types
from collections.abc import Collection, Mapping
from enum import Enum
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Literal,
    NewType,
    Union,
    get_args,
    get_origin,
    is_typeddict,
)

from pydantic import BaseModel, JsonValue

CONTAINERS = frozenset({"builtins", "collections", "collections.abc", "typing"})


def assignable(wanted: Any, given: Any) -> bool:
    """Whether a `given` can be passed where a `wanted` is expected; True where nobody can tell."""
    wanted, given = plain(wanted), plain(given)
    if wanted is Any or wanted is object or given is Any or wanted == given:
        return True
    if isinstance(given, NewType):
        return assignable(wanted, given.__supertype__)
    if is_union(given):
        return all(assignable(wanted, member) for member in get_args(given))
    if is_union(wanted):
        return any(assignable(member, given) for member in get_args(wanted))
    if get_origin(given) is Literal:
        return all(_takes_literal(wanted, item) for item in get_args(given))
    if get_origin(wanted) is Literal:
        return _lists_all(get_args(wanted), given)
    if isinstance(wanted, NewType):
        return not isinstance(_parts(given)[0], type) or is_opaque(given)
    return _takes_class(wanted, given)


def overlaps(one: Any, other: Any) -> bool:
    """Whether some values may be of both types; True where nobody can tell."""
    return any(
        assignable(a, b) or assignable(b, a) for a in members_of(one) for b in members_of(other)
    )


def plain(annotation: Any) -> Any:
    """The type itself, without what surrounds or names it.

    Any for any JSON, for one that is only named, and for one that contains itself.
    """
    if annotation is None:
        return types.NoneType
    if isinstance(annotation, str | ForwardRef):
        return Any
    if get_origin(annotation) is Annotated:
        return plain(get_args(annotation)[0])
    if _is_alias(annotation):
        if annotation is JsonValue:
            return Any
        try:
            return Any if _contains_itself(annotation) else plain(annotation.__value__)
        except NameError:
            return Any
    return annotation


def _is_alias(annotation: Any) -> bool:
    return type(annotation).__name__ == "TypeAliasType"  # `type Name = …`, here or in an extension


def _contains_itself(alias: Any) -> bool:
    """Whether a type is made of itself, like a tree of lists, which has no end."""
    seen: list[Any] = []
    ahead = [alias.__value__]
    while ahead:
        item = ahead.pop()
        if item is alias:
            return True
        if not _is_alias(item):
            ahead.extend(get_args(item))
        elif all(item is not other for other in seen):
            seen.append(item)
            ahead.append(item.__value__)
    return False


def members_of(annotation: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type."""
    annotation = plain(annotation)
    return get_args(annotation) if is_union(annotation) else (annotation,)


def is_union(annotation: Any) -> bool:
    """Whether the type is `A | B`, `Union[A, B]` or `Optional[A]`."""
    return get_origin(annotation) in (Union, types.UnionType)


def is_opaque(annotation: Any) -> bool:
    """Whether only pydantic knows what values of the class will be: `AwareDatetime`, `EmailStr`."""
    return hasattr(annotation, "__get_pydantic_core_schema__") and not (
        isinstance(annotation, type) and issubclass(annotation, BaseModel)
    )


def _takes_class(wanted: Any, given: Any) -> bool:
    (outer, wanted_items), (inner, given_items) = _parts(wanted), _parts(given)
    if not (isinstance(outer, type) and isinstance(inner, type)):
        return True
    if is_opaque(outer) or is_opaque(inner) or getattr(outer, "_is_protocol", False) is True:
        return True
    if is_typeddict(outer):
        return issubclass(inner, Mapping) or is_typeddict(inner)
    if is_typeddict(inner):
        return _takes_class(wanted, dict[str, Any])
    if outer is float and issubclass(inner, int):
        return True
    if outer is complex and issubclass(inner, int | float):
        return True
    try:
        fits = issubclass(inner, outer)
    except TypeError:  # a class that is not for asking
        return True
    return fits and _items_fit(outer, wanted_items, inner, given_items)


def _items_fit(outer: type, wanted: Any, inner: type, given: Any) -> bool:
    """Whether what is in a container, or what a generic class is made for, fits as well."""
    if not wanted or not given:
        return True
    if inner is tuple:
        return _tuple_fits(outer, wanted, given)
    if len(wanted) != len(given):
        return True
    if _is_container(outer) and _is_container(inner):
        alike = outer is inner or issubclass(inner, Mapping) is issubclass(outer, Mapping)
        return not alike or all(map(assignable, wanted, given))
    if outer is not inner:
        return True
    return all(map(overlaps, wanted, given))  # a class of others: who knows its variance


def _tuple_fits(outer: type, wanted: Any, given: Any) -> bool:
    items = [item for item in given if item is not Ellipsis]
    if outer is not tuple or Ellipsis in wanted:
        return len(wanted) > 2 or all(assignable(wanted[0], item) for item in items)
    if Ellipsis in given:  # of any length
        return True
    return len(wanted) == len(given) and all(map(assignable, wanted, given))


def _is_container(cls: type) -> bool:
    return cls.__module__ in CONTAINERS and issubclass(cls, Collection)


def _takes_literal(wanted: Any, item: Any) -> bool:
    if get_origin(wanted) is Literal:
        return any(item == other and type(item) is type(other) for other in get_args(wanted))
    return assignable(wanted, type(item))


def _lists_all(items: tuple[Any, ...], given: Any) -> bool:
    """Whether literals name each value of a type; only of a few types does anybody know."""
    if given is types.NoneType:
        return None in items
    if given is bool:
        return {True, False} <= {item for item in items if isinstance(item, bool)}
    is_enum = isinstance(given, type) and issubclass(given, Enum)
    return is_enum or not isinstance(_parts(given)[0], type) or is_opaque(given)


def _parts(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """The class, and what it is made for: `list[int]`, `Box[int]` of a generic model."""
    made = getattr(annotation, "__pydantic_generic_metadata__", None)
    if made and made["origin"]:
        return made["origin"], made["args"]
    return get_origin(annotation) or annotation, get_args(annotation)
