import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from journey_async.core.conditions import provided, value
from journey_async.core.functions import Function
from journey_async.core.gates import unblocked_when
from journey_async.core.nodes import (
    ComputeNode,
    InputNode,
    TickOnceNode,
    TickRecurringNode,
    archive,
    compute,
    historian,
    input_node,
    loop,
    mutate,
    tick_once,
    tick_recurring,
)
from journey_async.core.retry import Retry
from journey_async.core.schedules import cron, every
from journey_async.core.values import NodeKind
from journey_async.errors import GraphError, InvalidNodeError, MutationTargetError


def f() -> int:
    return 1


LONG = "n" * 201


def test_defaults() -> None:
    node = compute("a", ["x"], f)
    assert node.kind is NodeKind.COMPUTE
    assert node.gated_by == provided("x")
    assert (node.retry, node.abandon_after_seconds) == (Retry(), 60)
    assert (node.keep_latest_computations, node.keep_oldest_computations) == (None, 10)
    assert (node.retry.max_attempts, node.retry.initial_delay, node.retry.max_delay) == (3, 1, 60)
    assert historian("h", []).max_entries == 1000
    assert not mutate("m", [], f, mutates="x").update_revision_on_change


def test_a_node_can_be_built_by_keyword() -> None:
    assert ComputeNode(name="a", gated_by=["x"], function=f) == compute("a", ["x"], f)
    assert InputNode(name="x") == input_node("x")


@pytest.mark.parametrize(
    "name", ["n" * 200, "mit Leerzeichen", "日本", "🚨", 'a"b', "a\nb", "a;DROP", " "]
)
def test_any_name_up_to_200_characters(name: str) -> None:
    assert input_node(name).name == name


@pytest.mark.parametrize("name", ["", LONG, "a\0b", "\ud800", 5, None, ["x"]])
@pytest.mark.parametrize(
    "build",
    [
        input_node,
        lambda name: compute(name, [], f),
        lambda name: mutate(name, [], f, mutates="x"),
        lambda name: historian(name, []),
        lambda name: archive(name, []),
        lambda name: tick_once(name, [], f),
        lambda name: tick_recurring(name, [], f),
        lambda name: loop(name, [], f, max_iterations=1),
    ],
)
def test_a_bad_name_is_refused(build: Callable[[Any], object], name: Any) -> None:
    with pytest.raises(InvalidNodeError, match="name"):
        build(name)


def test_a_name_in_bytes_is_refused() -> None:
    with pytest.raises(InvalidNodeError):
        input_node(b"x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"retry": 3},
        {"retry": None},
        {"abandon_after_seconds": 0},
        {"abandon_after_seconds": -1},
        {"abandon_after_seconds": float("nan")},
        {"abandon_after_seconds": float("inf")},
        {"abandon_after_seconds": None},
        {"abandon_after_seconds": 10**10},
        {"on_save": 5},
        {"keep_latest_computations": 0},
        {"keep_latest_computations": -1},
        {"keep_latest_computations": "some"},
        {"keep_latest_computations": 1.5},
        {"keep_oldest_computations": 0},
        {"keep_oldest_computations": None},
        {"max_retries": 3},
        {"function": f},
    ],
)
def test_bad_options_are_refused_and_named(options: dict[str, Any]) -> None:
    option = next(iter(options))
    for build in (historian, archive):
        with pytest.raises(InvalidNodeError, match=option) as caught:
            build("a", [], **options)
        assert caught.value.node == "a"


def test_an_option_that_does_not_exist_is_told_with_those_that_do() -> None:
    with pytest.raises(InvalidNodeError) as caught:
        compute("c", [], f, max_retries=3, kind="loop")
    assert str(caught.value) == (
        "node 'c' was given options that do not exist: kind, max_retries; those of every step are "
        "abandon_after_seconds, keep_latest_computations, keep_oldest_computations, on_save, retry"
    )


@pytest.mark.parametrize(
    "build",
    [
        lambda: loop("l", [], f, max_iterations=0),
        lambda: loop("l", [], f, max_iterations=-1),
        lambda: loop("l", [], f, max_iterations=None),  # type: ignore[arg-type]
        lambda: loop("l", [], f, max_iterations=1.5),  # type: ignore[arg-type]
        lambda: historian("h", [], max_entries=0),
        lambda: historian("h", [], max_entries=-5),
        lambda: mutate("m", [], f, mutates=[]),
        lambda: mutate("m", [], f, mutates=5),  # type: ignore[arg-type]
        lambda: mutate("m", [], f, mutates=["a", 5]),  # type: ignore[list-item]
        lambda: mutate("m", [], f, mutates=[b"a"]),  # type: ignore[list-item]
        lambda: mutate("m", [], f, mutates={"a", "b"}),  # type: ignore[arg-type]
        lambda: mutate("m", [], f, mutates="x", update_revision_on_change="yes"),  # type: ignore[arg-type]
        lambda: mutate("m", [], f, mutates="x", update_revision_on_change=None),  # type: ignore[arg-type]
        lambda: compute("c", [], None),  # type: ignore[arg-type]
        lambda: compute("c", [], 5),  # type: ignore[arg-type]
        lambda: compute("c", [], "f"),  # type: ignore[arg-type]
        lambda: compute("c", [], provided("x")),  # type: ignore[arg-type]
        lambda: compute("c", [], cron("* * * * *")),  # type: ignore[arg-type]
        lambda: tick_once("t", [], every(timedelta(1))),  # type: ignore[arg-type]
        lambda: tick_once("t", [], 60),  # type: ignore[arg-type]
        lambda: tick_recurring("t", [], timedelta(0)),
        lambda: tick_recurring("t", [], timedelta(-1)),
        lambda: input_node("x", gated_by=[]),  # type: ignore[call-arg]
    ],
)
def test_what_a_node_cannot_be_is_refused(build: Callable[[], object]) -> None:
    with pytest.raises((GraphError, TypeError)) as caught:
        build()
    assert isinstance(caught.value, GraphError) or "unexpected keyword" in str(caught.value)


def test_a_target_listed_twice_is_named() -> None:
    with pytest.raises(MutationTargetError, match="more than once") as caught:
        mutate("m", [], f, mutates=["a", "b", "a"])
    assert (caught.value.node, caught.value.target) == ("m", "a")


@pytest.mark.parametrize("gate", [5, None, {"x"}, [5], ["x", None], [["x"]]])
def test_a_bad_gate_is_refused(gate: Any) -> None:
    with pytest.raises(GraphError, match="'a'"):
        compute("a", gate, f)


def test_a_bad_gate_names_the_node() -> None:
    with pytest.raises(GraphError, match="total"):
        compute("total", [5], f)  # type: ignore[list-item]


def test_a_value_that_is_compared_with_nothing_is_no_gate() -> None:
    with pytest.raises(GraphError, match=r"node 'total': value\('x'\) alone says nothing"):
        compute("total", value("x"), f)  # type: ignore[arg-type]


def test_a_generator_is_no_function_of_a_step() -> None:
    def several(x: int) -> Iterator[int]:
        yield x

    async def several_later(x: int) -> AsyncIterator[int]:
        yield x

    for generator in several, several_later:
        with pytest.raises(InvalidNodeError, match="node 'total' is a generator"):
            compute("total", ["x"], generator)


def test_a_time_in_place_of_a_function_that_returns_it_is_told_apart() -> None:
    with pytest.raises(InvalidNodeError, match=r"cannot be called: .*; give a function that"):
        tick_once("later", ["x"], timedelta(days=1))  # type: ignore[arg-type]


def test_a_callback_that_cannot_be_called_is_refused() -> None:
    for call in ("oops", lambda outcome: None):
        with pytest.raises(InvalidNodeError, match="must be a function of three"):
            input_node("x", on_save=call)  # type: ignore[arg-type]


def test_annotations_that_only_a_type_checker_can_read_refuse_no_function() -> None:
    names: dict[str, Any] = {}
    source = """
def told(execution_id: Known, node: Known, outcome: Known) -> None: ...
def holds(value: Known) -> Known: ...
"""
    as_text = sys.version_info < (3, 14)  # where an annotation is evaluated with its function
    exec(source.replace("Known", "'Known'") if as_text else source, names)
    input_node("x", on_save=names["told"])
    unblocked_when("x", names["holds"])


def test_a_type_that_is_a_text_is_refused() -> None:
    with pytest.raises(InvalidNodeError):
        input_node("x", type="int")


@pytest.mark.parametrize("no_type", [42, {}, {"a": int}, [int], f, len])
def test_a_bad_type_names_the_node(no_type: object) -> None:
    with pytest.raises(InvalidNodeError, match="type") as caught:
        input_node("x", type=no_type)
    assert caught.value.node == "x"


@pytest.mark.parametrize("number", [True, "3", 3.0])
def test_a_number_is_a_number(number: Any) -> None:
    with pytest.raises(InvalidNodeError):
        loop("l", [], f, max_iterations=number)


@pytest.mark.parametrize(
    "build",
    [
        lambda: TickOnceNode(name="t", gated_by=[]),
        lambda: TickRecurringNode(name="t", gated_by=[]),
        lambda: TickOnceNode(name="t", gated_by=[], function=f, schedule=cron("* * * * *")),
    ],
)
def test_a_tick_has_a_function_or_a_schedule(build: Callable[[], object]) -> None:
    with pytest.raises(InvalidNodeError):
        build()


def test_nodes_are_frozen() -> None:
    with pytest.raises(Exception, match="frozen"):
        input_node("x").name = "y"  # type: ignore[misc]


def test_marker_of_a_mutation() -> None:
    assert mutate("m", [], f, mutates="a").marker == "updated a"
    assert mutate("m", [], f, mutates=["a", "b"]).marker == "updated a, b"


def test_schedules_in_place_of_a_function() -> None:
    assert tick_once("t", [], cron("0 9 * * *")).schedule == cron("0 9 * * *")
    assert tick_recurring("t", [], timedelta(hours=1)).schedule == every(timedelta(hours=1))
    assert tick_recurring("t", [], f).schedule is None


def test_functions_are_known_by_their_names() -> None:
    assert Function.of(f).name.endswith("test_nodes.f")
    assert Function.of(f) == Function(Function.of(f).name)
    assert Function.of(lambda: 1).is_anonymous
    with pytest.raises(GraphError, match="not in this process"):
        Function("elsewhere.f")()
