"""How the functions of nodes are called, and what becomes of what they return or raise."""

import asyncio
import contextvars
import functools
import logging
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator

from journey_async import (
    ComputationFailed,
    Context,
    Graph,
    Journey,
    NotSetError,
    Retry,
    compute,
    input_node,
    mutate,
    tick_once,
    unblocked_when,
)
from journey_async.core.change import Begun
from journey_async.core.state import new_state
from journey_async.core.values import Computation, ComputationState, NodeKind, NodeValue
from journey_async.engine.attempts import _Inputs
from tests.support.effort import growth
from tests.support.eventually import eventually

ONCE = Retry(max_attempts=1)


def graph_of(f: Any, **step: Any) -> Graph:
    """`y` is what `f` makes of the input `x`."""
    step = {"retry": ONCE} | step
    return Graph("g", "v1", [input_node("x"), compute("y", ["x"], f, **step)])


async def result_of(dsn: str, f: Any, x: Any = 1, **step: Any) -> Any:
    graph = graph_of(f, **step)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": x})
        return await journey.get_value(execution, "y", wait_any=True)


async def test_an_async_function_runs_on_the_event_loop(dsn: str) -> None:
    async def on_the_loop(x: int) -> list[Any]:
        await asyncio.sleep(0)
        return [x, threading.current_thread() is threading.main_thread()]

    assert await result_of(dsn, on_the_loop) == [1, True]


def test_to_gather_all_values_is_no_more_work_for_nodes_that_are_not_set() -> None:
    def work(size: int) -> Any:
        inputs = [input_node(f"x{n}") for n in range(size)]
        graph = Graph("g", "v1", [*inputs, compute("y", ["x0"], lambda values: 1)])
        now = datetime.now(UTC)
        set_ones = {"x0": NodeValue("x0", NodeKind.INPUT, 1, None, 1, now)}
        state = new_state("E1", graph, now)._replace(values=set_ones)
        computing = Computation("E1", "y", 1, NodeKind.COMPUTE, ComputationState.COMPUTING, {}, now)
        given = _Inputs(graph, graph.steps["y"], Begun(computing, state))
        assert list(given.all_values()) == ["execution_id", "last_updated_at", "x0"]
        return given.all_values

    assert growth(work) < 1.1


async def test_all_values_are_those_of_nodes_that_left_the_graph_as_well(dsn: str) -> None:
    old = Graph("g", "v1", [input_node("x"), input_node("gone"), input_node("unset")])
    new = graph_of(lambda values: (values["x"], values["gone"], "unset" in values))
    async with Journey(dsn, graphs=[old]) as journey:
        execution = await journey.start_execution(old, {"x": 1, "gone": 2, "unset": 3})
        await journey.unset_value(execution, "unset")
    async with Journey(dsn, graphs=[new]) as journey:
        assert await journey.get_value(execution.id, "y", wait_any=True) == [1, 2, False]


async def test_a_plain_function_runs_in_a_thread(dsn: str) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("v", default="none")

    def in_a_thread(x: int) -> list[Any]:
        variable.set("of the function")
        return [x, threading.current_thread() is threading.main_thread()]

    assert await result_of(dsn, in_a_thread) == [1, False]
    assert variable.get() == "none"


class Callable:
    async def __call__(self, x: int) -> int:
        return x + 1


async def add(x: int, more: int) -> int:
    return x + more


FORMS: list[Any] = [
    lambda x: add(x, 1),
    functools.partial(add, more=1),
    Callable(),
    lambda values: values["x"] + 1,
    lambda anything: anything["x"] + 1,
    lambda x, context: x + context.attempt,
    lambda x, /: x + 1,
    lambda *, x: x + 1,
    lambda x, y=1: x + y,
]


async def test_functions_of_every_form(dsn: str) -> None:
    steps = [compute(f"y{i}", ["x"], f, retry=ONCE) for i, f in enumerate(FORMS)]
    graph = Graph("g", "v1", [input_node("x"), *steps])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        for i in range(len(FORMS)):
            assert await journey.get_value(execution, f"y{i}", wait_any=True) == 2


NOT_JSON: list[Any] = [
    {1, 2},
    object(),
    float("nan"),
    b"x",
    {1: 2},
    "\0",
    "\ud800",
    datetime.now(UTC),
]


async def test_a_result_that_is_not_json_fails_the_attempt(dsn: str) -> None:
    steps = [
        compute(f"y{i}", ["x"], functools.partial(lambda x, wrong: wrong, wrong=wrong), retry=ONCE)
        for i, wrong in enumerate(NOT_JSON)
    ]
    graph = Graph("g", "v1", [input_node("x"), *steps])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        for i in range(len(NOT_JSON)):
            with pytest.raises(ComputationFailed, match="the result ") as raised:
                await journey.get_value(execution, f"y{i}", wait_any=True)
            assert raised.value.attempts == 1


class Torn(Mapping[str, int]):
    """A mapping that cannot be read."""

    def __getitem__(self, key: str) -> int:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("torn")

    def __len__(self) -> int:
        return 1


async def test_a_result_that_cannot_be_read_fails_the_attempt(dsn: str) -> None:
    with pytest.raises(ComputationFailed, match="cannot be stored: RuntimeError: torn"):
        await result_of(dsn, lambda x: Torn())


def known(rank: str) -> int:
    return {"king": 13}[rank]  # KeyError is nothing that pydantic tells of as a misfit


async def test_a_result_over_which_its_targets_type_stumbles_fails_the_attempt(dsn: str) -> None:
    card = input_node("card", type=Annotated[str, AfterValidator(known)])
    deal = mutate("deal", ["x"], lambda: "joker", mutates="card", retry=ONCE)
    graph = Graph("g", "v1", [input_node("x"), card, deal])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        with pytest.raises(ComputationFailed, match="cannot be stored: KeyError: 'joker'"):
            await journey.get_value(execution, "deal", wait_any=True)


async def test_a_result_that_is_too_large_fails_the_attempt(dsn: str) -> None:
    graph = graph_of(lambda x: "x" * x)
    async with Journey(dsn, graphs=[graph], max_value_bytes=100) as journey:
        execution = await journey.start_execution(graph, {"x": 101})
        with pytest.raises(ComputationFailed, match="max_value_bytes"):
            await journey.get_value(execution, "y", wait_any=True)


class Odd(BaseException):
    """Not an Exception, as those of some test frameworks."""


def raises_odd(x: int) -> None:
    raise Odd("odd")


async def raises_odd_on_the_loop(x: int) -> None:
    raise Odd("odd")


def stops(x: int) -> Any:
    return next(iter([]))


async def cancels_itself(x: int) -> None:
    raise asyncio.CancelledError


class Speechless(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


async def speechless(x: int) -> None:
    raise Speechless


async def test_whatever_a_function_raises_fails_the_attempt(dsn: str) -> None:
    functions = [raises_odd, raises_odd_on_the_loop, stops, cancels_itself, speechless]
    steps = [compute(f"y{i}", ["x"], f, retry=ONCE) for i, f in enumerate(functions)]
    graph = Graph("g", "v1", [input_node("x"), *steps])
    async with Journey(dsn, graphs=[graph], max_concurrency=5, grace_period=0) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        for step in steps:
            with pytest.raises(ComputationFailed):
                await journey.get_value(execution, step.name, wait_any=True, timeout=10)
        assert journey._engine.runner.free == 5


async def test_a_generator_is_no_coroutine_and_no_json(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ComputationFailed, match="the result is not JSON: a generator is"):
        await result_of(dsn, lambda x: (number for number in [x]))
    [told] = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert told.endswith("has no attempt left: what it returned cannot be stored")


async def test_a_mutation_may_return_an_object_of_its_targets_type(dsn: str) -> None:
    graph = Graph(
        "g",
        "v1",
        [
            input_node("due", type=date),
            input_node("noted", type=date),
            mutate("move", ["due"], lambda: date(2026, 1, 2), mutates=["due", "noted"]),
        ],
    )
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"due": date(2026, 1, 1)})
        await journey.get_value(execution, "move", wait_any=True)
        assert await journey.get_value(execution.id, "due") == date(2026, 1, 2)
        assert await journey.get_value(execution.id, "noted") == date(2026, 1, 2)


@pytest.mark.parametrize(
    "long_ago",
    [
        datetime(1958, 7, 9, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        timedelta(days=-30_000),
    ],
    ids=str,
)
async def test_a_tick_before_1970_is_due_at_once_as_any_that_has_passed(
    dsn: str, long_ago: datetime | timedelta
) -> None:
    of_age = tick_once("of_age", ["x"], lambda: long_ago)
    graph = Graph("g", "v1", [input_node("x"), of_age, compute("y", ["of_age"], lambda: "grown")])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        assert await journey.get_value(execution, "y", wait_any=True) == "grown"


async def test_an_error_is_kept_with_its_type_and_cut(dsn: str) -> None:
    def breaks(x: int) -> None:
        raise RuntimeError("e\0" * 2000)

    with pytest.raises(ComputationFailed) as raised:
        await result_of(dsn, breaks)
    assert raised.value.last_error is not None
    assert raised.value.last_error.startswith("RuntimeError: e")
    assert len(raised.value.last_error) <= 1000


async def test_functions_get_values_of_their_own(dsn: str) -> None:
    def spoils(x: Any, values: Mapping[str, Any], context: Context) -> str:
        for spoiled in (x, values["x"], context.upstream["x"].value):
            spoiled["list"].append("spoiled")
        context.upstream["x"].metadata.append("spoiled")
        return "done"

    graph = graph_of(spoils)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        given: dict[str, Any] = {"list": []}
        execution = await journey.set_value(execution, "x", given, metadata=["mine"])
        given["list"].append("spoiled")
        execution.values["x"].value["list"].append("spoiled")
        (await journey.get_value(execution, "x"))["list"].append("spoiled")
        assert await journey.get_value(execution, "y", wait_any=True) == "done"
        node = await journey.get_node(execution, "x")
        assert (node.value, node.metadata) == ({"list": []}, ["mine"])


async def test_on_save_gets_a_value_of_its_own(dsn: str) -> None:
    spoiled = asyncio.Event()

    async def spoil(execution_id: str, node: str, result: Any) -> None:
        result.value.append("spoiled")
        spoiled.set()

    graph = graph_of(lambda x: [x], on_save=spoil)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await spoiled.wait()
        assert await journey.get_value(execution, "y", wait_any=True) == [1]


async def test_a_predicate_that_raises_is_logged_once_and_not_met(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    def is_large(x: NodeValue) -> bool:
        return bool(x.value > 10)  # raises while x is not set

    graph = Graph(
        "g", "v1", [input_node("x"), compute("y", unblocked_when("x", is_large), lambda x=0: x)]
    )
    async with Journey(dsn, graphs=[graph]) as journey:
        executions = [await journey.start_execution(graph) for _ in range(3)]
        for execution in executions:
            with pytest.raises(NotSetError):
                await journey.get_value(execution, "y", settled=True)
            await journey.set_value(execution, "x", "text")
        [logged] = [r for r in caplog.records if "predicate" in r.getMessage()]
        assert logged.levelno == logging.WARNING
        assert "is_large" in logged.getMessage()
        await journey.set_value(executions[0], "x", 11)
        assert await journey.get_value(executions[0], "y", wait_any=True) == 11


async def test_the_context_tells_about_the_call(dsn: str) -> None:
    contexts: list[Context] = []

    async def look(x: int, context: Context) -> int:
        contexts.append(context)
        return await context.journey.get_value(context.execution_id, "x") + x  # type: ignore[no-any-return]

    graph = graph_of(look, abandon_after_seconds=30)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        await journey.set_value(execution, "x", 4, metadata="m")
        assert await journey.get_value(execution, "y", wait_any=True) == 8
        [context] = contexts
        assert context.journey is journey
        assert (context.graph_name, context.graph_version) == ("g", "v1")
        assert (context.node_name, context.attempt, context.iteration) == ("y", 1, None)
        assert context.execution_id == execution.id
        upstream = context.upstream["x"]
        assert (upstream.value, upstream.metadata, upstream.revision) == (4, "m", 1)
        assert timedelta(0) < context.deadline - datetime.now(UTC) < timedelta(seconds=31)


async def test_the_idempotency_key_is_the_same_for_the_same_inputs(dsn: str) -> None:
    keys: list[tuple[int, int, str]] = []

    def flaky(x: int, context: Context) -> int:
        keys.append((x, context.attempt, context.idempotency_key))
        if context.attempt < 3:
            raise ValueError("again")
        return x

    graph = graph_of(flaky, retry=Retry(max_attempts=3, initial_delay=0.01))
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await journey.get_value(execution, "y", wait_any=True)
        for x in (2, 1):
            await journey.set_value(execution, "x", x)
            assert await journey.get_value(execution, "y", settled=True) == x
        other = await journey.start_execution(graph, {"x": 1})
        await journey.get_value(other, "y", wait_any=True)
    assert [(x, attempt) for x, attempt, _ in keys] == [
        (x, attempt) for x in (1, 2, 1, 1) for attempt in (1, 2, 3)
    ]
    assert [keys[i][2] for i in (0, 3, 6, 9)] == [keys[i][2] for i in (2, 5, 8, 11)]
    assert len({key for _, _, key in keys}) == 4


async def test_a_slow_thread_does_not_hold_up_the_event_loop(dsn: str) -> None:
    release = threading.Event()
    graph = graph_of(lambda x: release.wait(30))
    async with Journey(dsn, graphs=[graph]) as journey:
        slow = await journey.start_execution(graph, {"x": 1})
        other = await journey.start_execution(graph)
        await eventually(lambda: journey._engine.runner.free == 99)
        await journey.set_value(other, "x", 2)
        release.set()
        for execution in (slow, other):
            assert await journey.get_value(execution, "y", wait_any=True) is True
