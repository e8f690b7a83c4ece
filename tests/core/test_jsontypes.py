import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal, NewType, TypedDict

import pytest
from pydantic import AfterValidator, BaseModel, Field, Json, PlainSerializer, PositiveInt

from journey_async.core.jsontypes import as_stored, kinds_of, readable
from journey_async.core.jsonvalue import kind_of

UserId = NewType("UserId", int)


class Person(BaseModel):
    name: str


class Shape(TypedDict):
    sides: int


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Mixed(Enum):
    ONE = 1
    NAME = "name"


@pytest.mark.parametrize(
    "value, kind",
    [
        (None, "null"),
        (True, "boolean"),
        (1, "number"),
        (1.5, "number"),
        ("", "string"),
        ([], "array"),
        ({}, "object"),
    ],
)
def test_the_kind_of_a_value(value: Any, kind: str) -> None:
    assert kind_of(value) == kind


@pytest.mark.parametrize(
    "annotation, kinds",
    [
        (None, {"null"}),
        (bool, {"boolean"}),
        (int, {"number"}),
        (float | None, {"number", "null"}),
        (str, {"string"}),
        (uuid.UUID, {"string"}),
        (PositiveInt, {"number"}),
        (UserId, {"number"}),
        (Literal["a", 1, None], {"string", "number", "null"}),
        (Colour, {"string"}),
        (Level, {"number"}),
        (Mixed, {"number", "string"}),
        (list[int], {"array"}),
        (set[int], {"array"}),
        (tuple[int, ...], {"array"}),
        (Mapping[str, int], {"object"}),
        (Shape, {"object"}),
        (date, {"string", "number"}),
        (Decimal, {"string", "number"}),
    ],
)
def test_the_kinds_in_which_a_type_is_stored(annotation: Any, kinds: set[str]) -> None:
    assert set(kinds_of(annotation) or ()) == kinds


@pytest.mark.parametrize(
    "annotation",
    [
        Any,
        object,
        Person,
        int | Person,
        Json[list[int]],
        Annotated[int, PlainSerializer(str)],
        Annotated[int, AfterValidator(str)],
    ],
)
def test_of_some_types_nobody_can_tell(annotation: Any) -> None:
    assert kinds_of(annotation) is None


@pytest.mark.parametrize(
    "annotation, stored",
    [
        (int, int),
        (str, str),
        (tuple[int, str], list[int | str]),
        (tuple[int, ...], list[int]),
        (tuple, list[Any]),
        (Sequence[tuple[int, int]], list[list[int]]),
        (Mapping[str, tuple[int, ...]], dict[str, list[int]]),
        (Mapping, dict[str, Any]),
        (tuple[int, ...] | None, list[int] | None),
        (Shape, Shape),
    ],
)
def test_as_what_a_plain_value_comes_back(annotation: Any, stored: Any) -> None:
    assert as_stored(annotation) == stored


@pytest.mark.parametrize(
    "wanted, given, expected",
    [
        (int, int, True),
        (float, int, True),
        (int, float, False),
        (int, int | None, False),
        (list[int], tuple[int, ...], True),
        (tuple[int, int], list[int], True),
        (list[int], list[str], False),
        (Person, dict[str, Any], True),
        (Shape, dict[str, Any], True),
        (date, str, True),
        (date, list[str], False),
        (list[date], list[str], True),
        (Colour, str, True),
        (Colour, int, False),
        (uuid.UUID, int, False),
        (Annotated[int, Field(gt=0)], str, False),
        (Any, str, True),
    ],
)
def test_what_is_stored_of_one_type_can_be_read_as_another(
    wanted: Any, given: Any, expected: bool
) -> None:
    assert readable(wanted, given) is expected


def test_a_point_in_time_may_be_a_number() -> None:
    assert readable(datetime, int)
