"""A function that says that it returns what is no JSON is refused when the graph is built."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any, Literal, NamedTuple

import pytest
from pydantic import BaseModel, EmailStr, JsonValue

from journey_async.core.graph import Graph
from journey_async.core.jsonvalue import normalise
from journey_async.core.loops import Continue, Done
from journey_async.core.nodes import compute, input_node, loop
from journey_async.errors import InvalidNodeError, InvalidValueError


class Colour(Enum):
    RED = "red"


class Word(StrEnum):
    YES = "yes"


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Pair:
    x: int


class Shape(BaseModel):
    x: int


def returning(annotation: Any) -> Any:
    def function(x: int) -> Any:
        return x

    function.__annotations__["return"] = annotation
    return function


NO_JSON: list[tuple[Any, str]] = [
    (Shape, r'its model_dump\(mode="json"\)'),
    (Pair, r"its dataclasses.asdict\(\)"),
    (datetime, r"its isoformat\(\)"),
    (timedelta, r"its total_seconds\(\)"),
    (Colour, "its value"),
    (Decimal, r"its str\(\)"),
    (set[int], r"its sorted\(\)"),
    (Shape | None, "its model_dump"),
    (bytes, "strings, numbers, lists and dicts"),
]


@pytest.mark.parametrize("annotation, advice", NO_JSON)
def test_what_is_surely_no_json_is_refused(annotation: Any, advice: str) -> None:
    steps = (
        compute("y", ["x"], returning(annotation)),
        loop("y", ["x"], returning(annotation), max_iterations=2),
        loop("y", ["x"], returning(Done[annotation] | Continue[int]), max_iterations=2),
    )
    for step in steps:
        with pytest.raises(InvalidNodeError, match=f"let it return {advice}") as refused:
            Graph("g", "v1", [input_node("x"), step])
        assert refused.value.node == "y"


@pytest.mark.parametrize(
    "annotation",
    [
        *(str, int, bool, None, Any, object, Word, Point, JsonValue, EmailStr, Literal["a"]),
        *(list[Shape], dict[str, Any], tuple[int, str], Sequence[int], Mapping[str, int]),
        Iterable[int],
    ],
)
def test_what_may_be_json_is_taken(annotation: Any) -> None:
    Graph("g", "v1", [input_node("x"), compute("y", ["x"], returning(annotation))])


@pytest.mark.parametrize(
    "value, says",
    [
        (Shape(x=1), 'a Shape .* its model_dump(mode="json") is'),
        (Colour.RED, "a Colour .* its value is"),
        (datetime(2026, 1, 1), "a datetime .* its isoformat() is"),  # noqa: DTZ001
        ({1}, "a set .* its sorted() is"),
        (b"", "a bytes is no string, number, bool, None, list or dict$"),
    ],
)
def test_what_is_returned_all_the_same_is_told_what_would_be_json(value: Any, says: str) -> None:
    pattern = says.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(InvalidValueError, match=pattern):
        normalise(value)


def test_what_is_wrapped_may_return_something_else() -> None:
    @functools.wraps(returning(Shape))
    def dumped(x: int) -> Any:
        return {"x": x}

    for call in (dumped, functools.partial(dumped)):
        Graph("g", "v1", [input_node("x"), compute("y", ["x"], call)])
