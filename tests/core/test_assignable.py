from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, Generic, Literal, NewType, Protocol, TypedDict, TypeVar, Union

import pytest
from pydantic import AwareDatetime, BaseModel, EmailStr, Field, JsonValue, PositiveInt
from typing_extensions import TypeAliasType as Named

from journey_async.core.assignable import assignable, overlaps
from journey_async.core.jsontypes import as_stored

T = TypeVar("T")
UserId = NewType("UserId", int)
OrderId = NewType("OrderId", int)
Alias = Named("Alias", int | str)


class Animal: ...


class Dog(Animal): ...


class Shape(TypedDict):
    sides: int


class Sized(Protocol):
    size: int


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int


class Person(BaseModel):
    name: str


class Box(BaseModel, Generic[T]):
    item: T


class Cell(Generic[T]): ...


@pytest.mark.parametrize(
    "wanted, given",
    [
        # the same, a subclass, anything
        (int, int),
        (Animal, Dog),
        (date, datetime),
        (Any, int),
        (object, int),
        (int, Any),
        (Person, Person),
        (Point, Point),
        # as Python's typing has it
        (int, bool),
        (float, int),
        (complex, float),
        (float | None, int | None),
        # unions
        (int | str, int),
        (int | str | None, str | int),
        (Union[int, None], None),  # noqa: UP007
        (int, Literal[1, 2] | bool),
        (list[int] | str, list[bool]),
        # literals
        (str, Literal["a", "b"]),
        (Literal["a", "b", "c"], Literal["b", "a"]),
        (Literal[True, False], bool),
        (Literal["a"] | None, None),
        (Literal[Colour.RED], Colour),
        # names for types
        (int, UserId),
        (UserId, UserId),
        (int, Annotated[int, Field(gt=0)]),
        (Annotated[int, "a note"], PositiveInt),
        (int | str | None, Alias),
        (Alias, int),
        # containers
        (list, list[int]),
        (list[int], list),
        (list[float], list[int]),
        (Sequence[float], list[int]),
        (Iterable[str], dict[str, int]),
        (Sequence[int], tuple[int, ...]),
        (tuple[float, ...], tuple[int, int]),
        (tuple[int, str], tuple[bool, str]),
        (tuple[int, int], tuple[int, ...]),
        (Mapping[str, object], dict[str, int]),
        (dict[str, list[float | None]], dict[str, list[int]]),
        (list[Any], list[int]),
        (dict[str, Any], Shape),
        (Mapping[str, Any], Shape),
        (Box[int], Box[int]),
        (Box, Box[int]),
        (Box[int], Box),
        (Box[float], Box[int]),
        (Cell[float], Cell[int]),
        # nobody can tell
        (Shape, dict[str, int]),
        (Sized, int),
        (T, int),
        (int, T),
        (Callable[[int], str], Callable[[str], str]),
        ("Unknown", int),
        (int, JsonValue),
        (JsonValue, Person),
        (datetime, AwareDatetime),
        (AwareDatetime, datetime),
        (str, EmailStr),
    ],
)
def test_what_fits_or_cannot_be_judged_is_accepted(wanted: Any, given: Any) -> None:
    assert assignable(wanted, given)


@pytest.mark.parametrize(
    "wanted, given",
    [
        (int, str),
        (int, float),
        (bool, int),
        (str, None),
        (Dog, Animal),
        (datetime, date),
        (Person, dict),
        (dict, Person),
        (Point, Person),
        (int, int | None),
        (int | str, int | float),
        (int, Literal["a"]),
        (Literal["a", "b"], Literal["a", "c"]),
        (Literal[1], Literal[True]),
        (Literal["a"], str),
        (Literal[True], bool),
        (UserId, int),
        (UserId, OrderId),
        (str, UserId),
        (str, Annotated[int, Field(gt=0)]),
        (int, Alias),
        (list[int], list[str]),
        (list[int], dict[str, int]),
        (list[int], tuple[int, ...]),
        (Sequence[int], list[int | None]),
        (tuple[int, str], tuple[str, int]),
        (tuple[int, int], tuple[int, int, int]),
        (Sequence[int], tuple[int, str]),
        (Mapping[str, int], dict[str, str]),
        (dict[int, str], dict[str, str]),
        (Shape, int),
        (Shape, list[int]),
        (list, Shape),
        (Box[str], Box[int]),
        (Cell[str], Cell[int]),
    ],
)
def test_what_surely_does_not_fit_is_refused(wanted: Any, given: Any) -> None:
    assert not assignable(wanted, given)


@pytest.mark.parametrize(
    "one, other, expected",
    [
        (int, int | None, True),
        (Literal["a"], str, True),
        (Dog, Animal, True),
        (int, str | None, False),
        (int | str, float | str, True),
    ],
)
def test_types_overlap_if_some_values_may_be_of_both(one: Any, other: Any, expected: bool) -> None:
    assert overlaps(one, other) is expected


class TypeAliasType:
    """As `type Name = …` makes it where Python has it."""

    __value__: Any = int


def test_a_type_that_contains_itself_is_accepted() -> None:
    tree, other, forest = TypeAliasType(), TypeAliasType(), TypeAliasType()
    tree.__value__ = int | list[tree] | dict[str, tree]  # type: ignore[valid-type]
    other.__value__ = str | list[other] | dict[str, other]  # type: ignore[valid-type]
    forest.__value__ = list[tree]  # type: ignore[valid-type]
    for wanted, given in [(tree, other), (forest, list[other]), (int, tree)]:  # type: ignore[valid-type]
        assert assignable(wanted, given)
        assert as_stored(given)
    assert not assignable(forest, int)
