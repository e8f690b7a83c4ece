import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cached_property
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    computed_field,
    field_serializer,
)

from journey_async.core.types import ANY, NodeType
from journey_async.errors import InvalidNodeError, InvalidValueError, StoredTypeError


class Person(BaseModel):
    name: str
    born: date | None = None


class Aliased(BaseModel):
    first_name: str = Field(alias="firstName")


class Derived(BaseModel):
    model_config = ConfigDict(extra="forbid")
    side: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def area(self) -> int:
        return self.side**2


@dataclass
class Point:
    x: int
    y: int


class Colour(Enum):
    RED = "red"


def parsed(kind: NodeType, stored: Any) -> Any:
    return kind.parse(stored, node="n", execution_id="EXEC1")


def checked(value: int) -> int:
    return value


@pytest.mark.parametrize(
    "annotation, value, stored",
    [
        (int, 5, 5),
        (float, 5, 5.0),
        (bool, True, True),
        (str, "a", "a"),
        (int | None, None, None),
        (list[int], (1, 2), [1, 2]),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (set[int], {1}, [1]),
        (datetime, datetime(2024, 1, 1, tzinfo=UTC), "2024-01-01T00:00:00Z"),
        (date, date(2024, 1, 1), "2024-01-01"),
        (timedelta, timedelta(seconds=90), "PT1M30S"),
        (Decimal, Decimal("1.50"), "1.50"),
        (UUID, UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Literal["a", "b"], "b", "b"),
        (Colour, Colour.RED, "red"),
        (Person, Person(name="Ann", born=date(2000, 1, 2)), {"name": "Ann", "born": "2000-01-02"}),
        (Point, Point(1, 2), {"x": 1, "y": 2}),
        (bytes, b"abc", "abc"),
    ],
)
def test_a_value_is_stored_as_json_and_comes_back_as_it_was(
    annotation: Any, value: Any, stored: Any
) -> None:
    kind = NodeType.of(annotation)
    assert kind.to_json(value) == stored
    back = parsed(kind, kind.to_json(value))
    assert back == (list(value) if isinstance(value, tuple) else value)


def test_a_model_may_be_given_as_json() -> None:
    assert NodeType.of(Person).to_json({"name": "Ann"}) == {"born": None, "name": "Ann"}


@pytest.mark.parametrize(
    "annotation, value",
    [
        (int, "5"),
        (int, True),
        (int, 1.5),
        (int, None),
        (bool, 1),
        (str, 5),
        (list[int], [1, "2"]),
        (Person, {"nom": "Ann"}),
        (Person, object()),
        (datetime, "yesterday"),
        (Literal["a"], "b"),
        (Annotated[int, Field(gt=0)], 0),
        (float, float("nan")),
        (str, "a\0"),
        (str, "\ud800"),
        (dict[str, Any], {"a": {1, object()}}),
    ],
)
def test_a_value_of_another_type_is_refused(annotation: Any, value: Any) -> None:
    with pytest.raises(InvalidValueError):
        NodeType.of(annotation).to_json(value)


def test_the_reason_names_the_type() -> None:
    with pytest.raises(InvalidValueError, match="is not of the type int: Input should be a valid"):
        NodeType.of(int).to_json("5")


def test_the_reason_says_where_in_the_value() -> None:
    with pytest.raises(InvalidValueError, match=r"1\.name: Field required"):
        NodeType.of(list[Person]).to_json([{"name": "Ada"}, {}])


def test_an_object_that_is_not_what_it_says_is_refused_without_a_warning() -> None:
    with pytest.raises(InvalidValueError, match="x: Input should be a valid integer"):
        NodeType.of(Point).to_json(Point("left", 1))  # type: ignore[arg-type]


class Login(BaseModel):
    user: str
    password: SecretStr


class Renamed(BaseModel):
    total: int = Field(serialization_alias="orderTotal")


class Shortened(BaseModel):
    seen: int
    hidden: int = Field(exclude=True)


class Reformatted(BaseModel):
    day: date

    @field_serializer("day")
    def written(self, day: date) -> str:
        return f"{day:%d.%m.%Y}"


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Login, {"user": "ada", "password": "hunter2"}),
        (Login, Login(user="ada", password=SecretStr("hunter2"))),
        (SecretStr, "hunter2"),
        (Renamed, {"total": 3}),
        (Shortened, {"seen": 1, "hidden": 2}),
        (Reformatted, {"day": "2026-11-28"}),
        (Annotated[int, AfterValidator(lambda number: number + 1)], 1),
    ],
)
def test_what_would_not_come_back_as_it_was_set_is_refused(annotation: Any, value: Any) -> None:
    with pytest.raises(InvalidValueError, match="does not come back as what was set"):
        NodeType.of(annotation).to_json(value)


class Stamped(BaseModel):
    x: int
    y: int = 0
    _made: float = PrivateAttr(default_factory=time.perf_counter)


@dataclass(eq=False)
class WithoutEquality:
    x: int
    y: int = 0


class Remembering(BaseModel):
    x: int

    @cached_property
    def doubled(self) -> int:
        return 2 * self.x


@dataclass
class Plain:
    x: int


@dataclass
class Richer(Plain):
    y: int


def test_an_object_of_a_richer_class_is_not_stored_as_a_plain_one() -> None:
    with pytest.raises(InvalidValueError, match="does not come back as what was set"):
        NodeType.of(Plain).to_json(Richer(1, 2))


def test_what_an_object_remembers_beside_its_fields_does_not_count() -> None:
    value = Remembering(x=1)
    assert value.doubled == 2
    assert NodeType.of(Remembering).to_json(value) == {"x": 1}


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Stamped, {"x": 1}),
        (list[WithoutEquality], [{"x": 1}]),
        (datetime, datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))),
        (datetime, datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)),
    ],
)
def test_what_comes_back_is_told_by_what_is_in_it(annotation: Any, value: Any) -> None:
    """Not by an equality that it may lack."""
    NodeType.of(annotation).to_json(value)


def test_what_pydantic_does_not_know_is_told_in_one_line() -> None:
    with pytest.raises(InvalidNodeError) as refused:
        NodeType.of(type("Unknown", (), {}))
    assert "\n" not in str(refused.value)


def test_what_is_stored_and_does_not_fit_is_told_by_its_kind_alone() -> None:
    with pytest.raises(StoredTypeError) as caught:
        parsed(NodeType.of(dict[str, int]), {"secret": "five", "other": None, "third": []})
    assert str(caught.value) == (
        "node 'n' of execution 'EXEC1' holds a JSON object that does not fit the type "
        "dict[str, int] (int_type); set another value, or declare a type that takes what is stored"
    )
    assert (caught.value.node, caught.value.execution_id) == ("n", "EXEC1")
    assert (caught.value.stored, caught.value.declared) == ("object", "dict[str, int]")
    assert caught.value.reasons == ("int_type",)


def test_any_takes_json_and_gives_a_copy() -> None:
    stored = ANY.to_json({"a": [1]})
    given = parsed(ANY, stored)
    given["a"].append(2)
    assert stored == {"a": [1]}


@pytest.mark.parametrize("annotation", [42, object()])
def test_what_is_no_type_is_refused(annotation: Any) -> None:
    with pytest.raises(InvalidNodeError, match="pydantic"):
        NodeType.of(annotation)


def test_what_is_not_defined_yet_is_told_when_it_is_wanted() -> None:
    kind = NodeType.of(list["NotDefined"])  # type: ignore[name-defined]  # noqa: F821
    for use in (lambda: kind.to_json([1]), lambda: parsed(kind, [1])):
        with pytest.raises(InvalidNodeError, match=r"pydantic knows: .*NotDefined"):
            use()


def test_types_are_equal_by_name() -> None:
    assert NodeType.of(list[int]) == NodeType("list[int]")
    assert NodeType.of(Person).name.endswith("test_types.Person")
    assert {NodeType.of(int), NodeType("int")} == {NodeType("int")}


def test_a_model_with_aliases_comes_back() -> None:
    kind = NodeType.of(Aliased)
    assert parsed(kind, kind.to_json({"firstName": "Ann"})) == Aliased(firstName="Ann")


@pytest.mark.parametrize(
    "annotation, stored",
    [
        (Aliased, {"firstName": "Mario"}),
        (Derived, {"side": 2}),
        (Annotated[int, AfterValidator(checked)], 1),
        (datetime, "2024-01-01T00:00:00Z"),
        (Decimal, "1.50"),
        (set[int], [1]),
        (Any, {"a": [1]}),
    ],
)
def test_what_was_parsed_can_be_dumped_as_it_is_stored(annotation: Any, stored: Any) -> None:
    node_type = NodeType.of(annotation) if annotation is not Any else ANY
    assert node_type.dump(parsed(node_type, stored)) == stored
    assert node_type.dump(stored) == stored  # read where the type is not known


def test_a_model_with_a_computed_field_comes_back() -> None:
    kind = NodeType.of(Derived)
    assert parsed(kind, kind.to_json(Derived(side=2))) == Derived(side=2)


def test_the_name_of_a_type_is_the_same_in_every_process() -> None:
    assert "0x" not in NodeType.of(Annotated[int, AfterValidator(checked)]).name


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _ in range(3000):
        deep = [deep]
    return deep


@pytest.mark.parametrize(
    "annotation, value", [(list, _circle()), (list, _deep()), (bytes, b"\xff")]
)
def test_a_typed_value_that_cannot_be_json_is_refused(annotation: Any, value: Any) -> None:
    with pytest.raises(InvalidValueError):
        NodeType.of(annotation).to_json(value)
