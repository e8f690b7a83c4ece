import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict

import pytest
from pydantic import AwareDatetime, BaseModel

from journey_async.core.conditions import is_true, not_, provided, value
from journey_async.core.gates import GatedBy, unblocked_when
from journey_async.core.graph import Graph
from journey_async.core.loops import Continue, Done
from journey_async.core.nodes import (
    Node,
    archive,
    compute,
    historian,
    input_node,
    loop,
    mutate,
    tick_once,
    tick_recurring,
)
from journey_async.core.schedules import every
from journey_async.errors import ConditionError, GraphError, MutationTargetError, ParameterError

if TYPE_CHECKING:
    from types import SimpleNamespace as Unknown  # known to the type checker alone


def build(*nodes: Node) -> Graph:
    return Graph("g", "v1", nodes)


def consuming(f: Callable[..., Any], kind: Any, gated_by: GatedBy = ("x",)) -> Graph:
    return build(input_node("x", type=kind), compute("a", gated_by, f))


# --- functions --------------------------------------------------------------------------------


class Shape(TypedDict):
    sides: int


class Sized(Protocol):
    size: int


class Person(BaseModel):
    name: str


def takes_int(x: int) -> int:
    return x


def takes_float(x: float) -> float:
    return x


def takes_in_quotes(x: "int") -> "int":
    return x


def takes_union(x: int | str | None = None) -> Any:
    return x


def takes_moment(x: datetime) -> Any:
    return x


def takes_shape(x: Shape) -> Any:
    return x


def takes_sized(x: Sized) -> Any:
    return x


def takes_unknown(x: "Unknown") -> Any:
    return x


def takes_unknown_besides(x: int, y: "Unknown | None" = None) -> Any:
    return x, y


async def takes_later(x: int) -> int:
    return x


@dataclass
class Taker:
    """An object that can be called; its field of the same name says nothing of the parameter."""

    x: str = ""

    def __call__(self, x: int) -> int:
        return x

    def take(self, x: int) -> int:
        return x

    @classmethod
    def made(cls, x: int) -> int:
        return x

    @staticmethod
    def given(x: int) -> int:
        return x


class Made:
    def __init__(self, x: int) -> None:
        self.x = x


@functools.wraps(takes_int)
def wrapped(*args: Any, **kwargs: Any) -> Any:
    return takes_int(*args, **kwargs)


TAKE_INT: list[Callable[..., Any]] = [
    takes_int,
    takes_in_quotes,
    takes_later,
    takes_unknown_besides,
    Taker(),
    Taker().take,
    Taker.made,
    Taker.given,
    Made,
    wrapped,
    functools.partial(takes_int),
    functools.partial(functools.partial(Taker()), x=1),
]


@pytest.mark.parametrize("f", TAKE_INT)
def test_the_annotations_of_every_kind_of_function_are_checked(f: Callable[..., Any]) -> None:
    consuming(f, int)
    with pytest.raises(ParameterError) as caught:
        consuming(f, str)
    assert (caught.value.node, caught.value.parameter) == ("a", "x")


@pytest.mark.parametrize(
    "f, kind",
    [
        (takes_int, bool),
        (takes_int, Any),
        (takes_float, int),
        (takes_union, int),
        (takes_union, str),
        (takes_union, int | None),
        (takes_moment, AwareDatetime),
        (takes_unknown, int),
        (takes_shape, dict),
        (takes_sized, int),
        (lambda x: x, int),
    ],
)
def test_what_fits_or_cannot_be_judged_is_built(f: Callable[..., Any], kind: Any) -> None:
    consuming(f, kind)


@pytest.mark.parametrize(
    "f, kind", [(takes_int, str), (takes_int, int | str), (takes_union, float), (takes_float, dict)]
)
def test_another_type_is_refused(f: Callable[..., Any], kind: Any) -> None:
    with pytest.raises(ParameterError, match="is of the type"):
        consuming(f, kind)


def test_the_message_names_both_nodes_the_parameter_and_both_types() -> None:
    with pytest.raises(ParameterError) as caught:
        consuming(takes_int, str | None)
    assert str(caught.value) == (
        "the function of node 'a' takes 'x' as int, but the node 'x' is of the type str | None; "
        "make the two agree"
    )


def test_a_description_is_not_checked() -> None:
    graph = consuming(takes_int, int)
    assert Graph.model_validate(graph.model_dump(mode="json")) == graph


# --- what functions return --------------------------------------------------------------------


def gives_text() -> str:
    return ""


def gives_tuple() -> tuple[int, int]:
    return 1, 2


def gives_maybe() -> int | None:
    return None


def gives_nothing() -> None:
    return None


def gives_later() -> Awaitable[str]:
    raise NotImplementedError


def takes_list(a: list[int]) -> Any:
    return a


def takes_pair(a: tuple[int, int]) -> Any:
    return a


def takes_texts(a: list[str]) -> Any:
    return a


def takes_a(a: int) -> Any:
    return a


def between(give: Callable[..., Any], take: Callable[..., Any], gated_by: GatedBy = ("a",)) -> None:
    build(compute("a", [], give), compute("b", gated_by, take))


def test_what_a_function_returns_is_compared_with_what_the_next_one_takes() -> None:
    with pytest.raises(ParameterError) as caught:
        between(gives_text, takes_a)
    assert str(caught.value) == (
        "the function of node 'b' takes 'a' as int, but the function of node 'a' returns str; "
        "make the two agree"
    )
    with pytest.raises(ParameterError, match="returns str"):
        between(gives_later, takes_a)
    with pytest.raises(ParameterError, match=r"returns int \| None"):
        between(gives_maybe, takes_a)


def test_a_tuple_comes_back_as_a_list() -> None:
    between(gives_tuple, takes_list)
    between(gives_tuple, takes_pair)
    with pytest.raises(ParameterError):
        between(gives_tuple, takes_texts)


def test_a_function_that_returns_nothing_says_nothing() -> None:
    between(gives_nothing, takes_a)


def test_what_a_function_returns_is_not_enforced() -> None:
    graph = build(compute("a", [], gives_text))
    assert graph.types == {}
    assert graph.hash == build(compute("a", [], lambda: 1)).hash


@pytest.mark.parametrize(
    "condition",
    [
        value("a") > 3,
        value("a") != None,  # noqa: E711
        is_true("a"),
        unblocked_when("a", lambda a: a.value is not None),
    ],
)
def test_a_condition_may_let_only_some_of_a_type_through(condition: Any) -> None:
    def gives_some() -> int | bool | None:
        return None

    between(gives_some, takes_a, [provided("a"), condition])
    with pytest.raises(ParameterError):
        between(gives_some, takes_texts, [provided("a"), condition])


def test_nodes_with_values_of_their_own_are_known() -> None:
    class Entry(TypedDict):
        value: Any

    def takes(
        *,
        due: float,
        again: int,
        past: list[Entry],
        put: str,
        gone: int,
        execution_id: str,
        last_updated_at: int,
    ) -> str:
        return ""

    sources = [
        input_node("x"),
        tick_once("due", ["x"], lambda: 0),
        tick_recurring("again", [], every(timedelta(hours=1))),
        historian("past", ["x"]),
        mutate("put", ["x"], lambda: 1, mutates="x"),
        archive("gone", ["due"]),
    ]
    gate = ["due", "again", "past", "put", "gone"]
    build(*sources, compute("a", gate, takes))
    for name in [*gate, "execution_id", "last_updated_at"]:
        taking: dict[str, Any] = {}
        exec(f"def taking({name}: set) -> str: ...", taking)
        with pytest.raises(ParameterError, match=f"takes '{name}' as set, but the .*node '{name}'"):
            build(*sources, compute("a", gate, taking["taking"]))


def test_a_loop_carries_what_continue_was_given_and_ends_with_what_done_was_given() -> None:
    def step(l: int = 0) -> Continue[int] | Done[str]:  # noqa: E741
        return Done("") if l else Continue(1)

    def starts_from_text(l: str = "") -> Continue[int] | Done[str]:  # noqa: E741
        return Done("")

    def bare(l: int = 0) -> Continue | Done:  # noqa: E741
        return Done(l)

    def takes(l: str) -> str:  # noqa: E741
        return l

    def takes_number(l: int) -> int:  # noqa: E741
        return l

    build(loop("l", [], step, max_iterations=2), compute("b", ["l"], takes))
    build(loop("l", [], bare, max_iterations=2), compute("b", ["l"], takes))
    with pytest.raises(ParameterError, match="returns str"):
        build(loop("l", [], step, max_iterations=2), compute("b", ["l"], takes_number))
    with pytest.raises(ParameterError, match="returns int"):
        build(loop("l", [], starts_from_text, max_iterations=2))


# --- the mapping of all values ----------------------------------------------------------------


def test_a_misspelt_node_is_not_taken_for_the_mapping_of_all_values() -> None:
    def f(nmae: str) -> str:
        return nmae

    with pytest.raises(ParameterError, match="'nmae' names no node and gets the dict of all"):
        build(input_node("name"), compute("a", ["name"], f))


def test_values_may_be_any_mapping() -> None:
    def f(values: Mapping[str, Any], x: int) -> int:
        return len(values)

    def g(everything: dict[str, int | str]) -> int:
        return len(everything)

    def h(values: list[int], x: int) -> int:
        return len(values)

    consuming(f, int)
    consuming(g, int)
    with pytest.raises(ParameterError, match="takes 'values' as"):
        consuming(h, int)


# --- targets ----------------------------------------------------------------------------------


def writing(f: Callable[..., Any], kind: Any) -> Graph:
    return build(input_node("x", type=kind), mutate("m", [], f, mutates="x"))


def gives_dict() -> dict[str, Any]:
    return {}


def test_a_mutation_must_fit_its_typed_target() -> None:
    writing(gives_text, str)
    writing(gives_text, Any)
    writing(gives_text, datetime)  # as JSON
    writing(gives_dict, Person)
    writing(gives_tuple, list[int])
    writing(lambda: 5, str)
    with pytest.raises(MutationTargetError) as caught:
        writing(gives_text, int)
    assert str(caught.value) == (
        "mutate node 'm' cannot write 'x': its function returns str, but the node 'x' is of the "
        "type int; make the two agree"
    )
    with pytest.raises(MutationTargetError):
        writing(gives_maybe, int)


def test_a_mutation_may_redact_what_was_computed() -> None:
    def gives_number() -> int:
        return 1

    build(
        compute("score", [], gives_number),
        mutate("redact", ["score"], gives_text, mutates="score"),
        compute("b", value("score") == "<redacted>", lambda: 1),
    )


# --- conditions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, condition",
    [
        (str, value("x") > 3),
        (int, value("x") > "3"),
        (int, value("x") == "3"),
        (int, value("x") == True),  # noqa: E712
        (int | None, value("x").contains("a")),
        (int, value("x").in_(["a", None])),
        (int, is_true("x")),
        (Literal["a", "b"], value("x") == 1),
        (int, not_(value("x") == "a")),
        (int, (value("x") > 1) | (value("x") == "a")),
    ],
)
def test_a_comparison_that_can_never_hold_is_refused(kind: Any, condition: Any) -> None:
    with pytest.raises(ConditionError, match=r"'a' is gated by .* which never holds: node 'x'"):
        consuming(lambda: 1, kind, condition)


@pytest.mark.parametrize(
    "kind, condition",
    [
        (str, value("x") > "a"),
        (int, value("x") > 1.5),
        (int, value("x") != "a"),
        (int | None, value("x") == None),  # noqa: E711
        (int | str, value("x").contains("a")),
        (int, value("x").in_(["a", 1])),
        (bool, is_true("x")),
        (datetime, value("x") > "2024-01-01"),
        (Person, value("x") == {"name": "Ada"}),
        (Any, value("x") > 3),
        (str, unblocked_when("x", lambda x: x.value == 3)),
    ],
)
def test_a_comparison_that_can_hold_is_built(kind: Any, condition: Any) -> None:
    consuming(lambda: 1, kind, condition)


def test_the_message_of_a_comparison_says_what_would_do() -> None:
    with pytest.raises(GraphError) as caught:
        consuming(lambda: 1, int | None, value("x") == "a")
    assert str(caught.value) == (
        "node 'a' is gated by `x == \"a\"`, which never holds: node 'x' is of the type "
        "int | None, stored as null or number, and that takes string"
    )
