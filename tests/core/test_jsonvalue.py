import json
import math
from collections import OrderedDict
from datetime import date
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from pydantic import BaseModel

from journey_async.core.jsonvalue import (
    MAX_DEPTH,
    MAX_DIGITS,
    copied,
    encode,
    equal,
    is_number,
    normalise,
)
from journey_async.errors import InvalidValueError
from tests.core.strategies import json_values


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Plain(Enum):
    ONE = 1


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [None, True, False, 0, -1, 1.5, "", "🚨", [], {}, [1, [2, {"a": None}]], {"a": {"b": []}}],
)
def test_json_is_taken_as_it_is(value: Any) -> None:
    assert equal(normalise(value), value)
    assert type(normalise(value)) is type(value)


@pytest.mark.parametrize(
    "value, reason",
    [
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        ([1, {"a": math.nan}], "nan"),
        ("a\0b", "u0000"),
        ({"a\0": 1}, "u0000"),
        ("\ud800", "surrogate"),
        ("ok\udfff", "surrogate"),
        ({"\udc00": 1}, "surrogate"),
        ({1: "a"}, "keys of a JSON object are strings"),
        ({None: 1}, "keys"),
        ({("a",): 1}, "keys"),
        ({"a": {True: 1}}, "keys"),
        ({1, 2}, "set"),
        (frozenset(), "frozenset"),
        (b"bytes", "bytes"),
        (bytearray(b""), "bytearray"),
        (1j, "complex"),
        (object(), "object"),
        (print, "builtin"),
        (range(3), "range"),
        (Plain.ONE, "Plain"),
        pytest.param(10**MAX_DIGITS, "digits", id="long"),
        pytest.param(-(10**MAX_DIGITS), "digits", id="long and negative"),
    ],
)
def test_what_is_not_json_is_refused_and_says_why(value: object, reason: str) -> None:
    with pytest.raises(InvalidValueError, match=reason):
        normalise(value)


def test_depth_has_a_limit() -> None:
    assert normalise(nested(MAX_DEPTH)) == nested(MAX_DEPTH)
    for depth in (MAX_DEPTH + 1, 5_000):
        with pytest.raises(InvalidValueError, match="levels deep"):
            normalise(nested(depth))


def test_a_value_that_holds_itself_is_too_deep() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(InvalidValueError, match="levels deep"):
        normalise(circle)


def test_the_largest_number_can_be_written_and_read() -> None:
    largest = 10**MAX_DIGITS - 1
    assert json.loads(encode(normalise(largest))) == largest


def test_tuples_become_lists_and_mappings_dicts() -> None:
    given = OrderedDict(b=(1, 2), a=MappingProxyType({"c": ()}))
    assert normalise(given) == {"a": {"c": []}, "b": [1, 2]}
    assert type(normalise(given)) is dict


def test_subclasses_become_plain() -> None:
    class Text(str):
        __slots__ = ()

    class Number(float):
        pass

    found = normalise([Colour.RED, Level.HIGH, Text("t"), Number(0.5), {Colour.RED: 1}])
    assert found == ["red", 3, "t", 0.5, {"red": 1}]
    assert isinstance(found, list)
    assert [type(item) for item in found] == [str, int, str, float, dict]
    assert isinstance(found[4], dict)
    assert [type(key) for key in found[4]] == [str]


def test_keys_are_in_the_order_of_jsonb() -> None:
    assert list(normalise({"bb": 1, "a": 1, "": 1, "é": 1, "ab": 1})) == ["", "a", "ab", "bb", "é"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value, stored",
    [
        (1e16, "10000000000000000"),
        (1e22, "1" + 22 * "0"),
        (-2.5e300, "-25" + 299 * "0"),
        (-0.0, "0.0"),
    ],
)
def test_numbers_are_written_as_jsonb_gives_them_back(value: float, stored: str) -> None:
    assert encode(normalise(value)) == stored


@pytest.mark.parametrize("value", [0.1, 1e-7, 5e-324, 123456789.123, 1e15, 1.7976931348623157e308])
def test_numbers_keep_their_worth(value: float) -> None:
    assert float(str(normalise(value))) == value


@pytest.mark.parametrize(
    "one, other",
    [
        (1, 1.0),
        (0, -0.0),
        ([1, {"a": 2.0}], [1.0, {"a": 2}]),
        (10**16, 1e16),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ],
)
def test_equal(one: Any, other: Any) -> None:
    assert equal(one, other)
    assert equal(other, one)


@pytest.mark.parametrize(
    "one, other",
    [
        (True, 1),
        (False, 0),
        (False, None),
        (None, 0),
        ("1", 1),
        ([True], [1]),
        ({"a": False}, {"a": 0}),
        ([], {}),
        ([1], [1, 1]),
        ({"a": 1}, {"a": 1, "b": 1}),
        (2**53 + 1, float(2**53)),
    ],
)
def test_not_equal(one: Any, other: Any) -> None:
    assert not equal(one, other)
    assert not equal(other, one)


def test_a_bool_is_no_number() -> None:
    assert is_number(1)
    assert is_number(1.5)
    assert not is_number(True)
    assert not is_number("1")


@given(json_values())
def test_normalising_twice_is_once(value: Any) -> None:
    once = normalise(value)
    assert encode(normalise(once)) == encode(once)
    assert equal(normalise(once), once)


@given(json_values())
def test_what_is_written_is_read_back(value: Any) -> None:
    once = normalise(value)
    assert encode(json.loads(encode(once))) == encode(once)
    assert json.loads(json.dumps(once)) == once


@pytest.mark.parametrize(
    "value, told",
    [
        (date(2026, 1, 1), "a date is no string"),
        (UUID(int=1), "a UUID is no string"),
        ({1}, "a set is no string"),
        (OSError(), "an OSError is no string"),
        ({1: 2}, "has a key that is an int"),
    ],
)
def test_what_is_not_json_is_told_with_what_would_be(value: Any, told: str) -> None:
    with pytest.raises(InvalidValueError, match=told):
        normalise(value)


def test_a_model_is_told_how_to_become_json() -> None:
    class Person(BaseModel):
        name: str

    with pytest.raises(InvalidValueError, match=r"a Person .*; its model_dump\(mode=\"json\"\) is"):
        normalise({"person": Person(name="Ada")})


@given(json_values())
def test_a_copy_is_equal_and_apart(value: Any) -> None:
    once = normalise(value)
    copy = copied(once)
    assert equal(copy, once)
    if isinstance(once, list | dict):
        assert copy is not once


@given(json_values(), json_values())
def test_equality_is_that_of_the_canonical_text_but_for_the_spelling_of_numbers(
    one: Any, other: Any
) -> None:
    assert equal(one, one)
    assert equal(one, other) == equal(other, one)
    if encode(normalise(one)) == encode(normalise(other)):
        assert equal(normalise(one), normalise(other))
