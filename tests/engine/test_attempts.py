"""Attempts: how often, how far apart, given up by whom, and never recorded too late."""

import asyncio
import threading
from typing import Any

import pytest

from journey_async import (
    ComputationFailed,
    Graph,
    Journey,
    PermanentError,
    Retry,
    compute,
    input_node,
)
from journey_async.core.commands import Succeed
from journey_async.core.values import ComputationState
from tests.support.eventually import eventually

SOON = Retry(max_attempts=3, initial_delay=0.01)
ONCE = Retry(max_attempts=1)


def graph_of(f: Any, **step: Any) -> Graph:
    return Graph("g", "v1", [input_node("x"), compute("y", ["x"], f, **step)])


async def states_of(journey: Journey, execution: Any) -> list[str]:
    return [c.state.value for c in await journey.computations(execution, "y")]


@pytest.mark.parametrize("error, attempts", [(ValueError, 3), (PermanentError, 1)])
async def test_who_gives_up_says_which_error_was_raised_where(
    dsn: str, caplog: pytest.LogCaptureFixture, error: type[Exception], attempts: int
) -> None:
    def fails(x: int) -> None:
        raise error("s3cr3t")

    caplog.set_level("INFO", "journey_async")
    graph = graph_of(fails, retry=SOON)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        with pytest.raises(ComputationFailed):
            await journey.get_value(execution, "y", wait_any=True)
    told = [record for record in caplog.records if "node 'y'" in record.getMessage()]
    assert [record.levelname for record in told] == ["INFO"] * attempts + ["WARNING"]
    line = fails.__code__.co_firstlineno + 1
    assert (
        told[-1]
        .getMessage()
        .endswith(f"no attempt left: {error.__name__} was raised at {__file__}:{line}")
    )
    assert told[-1].exc_info is None


async def test_a_failed_attempt_is_tried_again_after_a_pause(dsn: str) -> None:
    calls = iter([ValueError("one"), ValueError("two"), None])

    def flaky(x: int) -> int:
        if error := next(calls):
            raise error
        return x

    exact = Retry(max_attempts=3, initial_delay=0.02, factor=3, jitter=False)
    graph = graph_of(flaky, retry=exact)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 7})
        assert await journey.get_value(execution, "y", wait_any=True) == 7
        first, second, third = await journey.computations(execution, "y")
        assert [c.attempt for c in (first, second, third)] == [1, 2, 3]
        assert [c.error for c in (first, second, third)] == [
            "ValueError: one",
            "ValueError: two",
            None,
        ]
        for before, after, pause in [(first, second, 0.02), (second, third, 0.06)]:
            assert before.completed_at is not None
            assert after.started_at is not None
            assert (after.started_at - before.completed_at).total_seconds() >= pause


async def test_attempts_are_counted_since_the_newest_upstream_change(dsn: str) -> None:
    async def breaks_below_five(x: int) -> int:
        if x < 5:
            raise ValueError(str(x))
        return x

    graph = graph_of(breaks_below_five, retry=SOON)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        for x in (1, 2):
            await journey.set_value(execution, "x", x)
            with pytest.raises(ComputationFailed) as raised:
                await journey.get_value(execution, "y", settled=True)
            assert (raised.value.attempts, raised.value.last_error) == (3, f"ValueError: {x}")
        assert await states_of(journey, execution) == ["failed"] * 6
        await journey.set_value(execution, "x", 5)
        assert await journey.get_value(execution, "y", settled=True) == 5


class Hopeless(Exception):
    pass


@pytest.mark.parametrize("error", [PermanentError("never"), Hopeless("never")])
async def test_some_errors_end_the_attempts(dsn: str, error: Exception) -> None:
    def breaks(x: int) -> None:
        raise error

    graph = graph_of(breaks, retry=Retry(max_attempts=9, give_up_on=(Hopeless, KeyError)))
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        with pytest.raises(ComputationFailed) as raised:
            await journey.get_value(execution, "y", wait_any=True)
        assert raised.value.attempts == 1
        assert raised.value.last_error == f"{type(error).__name__}: never"
        execution = await journey.retry_computation(execution, "y")
        with pytest.raises(ComputationFailed) as raised:
            await journey.get_value(execution, "y", settled=True)
        assert raised.value.attempts == 2


async def test_an_async_function_is_cancelled_at_its_deadline(dsn: str) -> None:
    cancelled = asyncio.Event()

    async def hangs(x: int) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()

    graph = graph_of(hangs, abandon_after_seconds=0.05, retry=ONCE)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        with pytest.raises(ComputationFailed) as raised:
            await journey.get_value(execution, "y", wait_any=True)
        assert raised.value.last_error == "timeout"
        await cancelled.wait()
        assert await states_of(journey, execution) == ["abandoned"]
        await eventually(lambda: journey._engine.runner.free == 100)


async def test_a_coroutine_handed_back_by_a_plain_function_is_cancelled_too(dsn: str) -> None:
    running = asyncio.Event()
    cancelled = asyncio.Event()

    async def hangs(x: int) -> None:
        running.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()

    def hands_back(x: int) -> Any:
        return hangs(x)

    graph = graph_of(hands_back, retry=ONCE)
    async with Journey(dsn, graphs=[graph], grace_period=0) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await running.wait()
        await journey.abandon_computation(execution.computations[0].id)
        async with asyncio.timeout(10):
            await cancelled.wait()
        await eventually(lambda: journey._engine.runner.free == 100)


async def test_a_function_that_swallows_its_cancellation_is_fenced(dsn: str) -> None:
    async def stubborn(x: int) -> str:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            return "late"
        return "never"

    graph = graph_of(stubborn, abandon_after_seconds=0.05, retry=ONCE)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        with pytest.raises(ComputationFailed):
            await journey.get_value(execution, "y", wait_any=True)
        await eventually(lambda: journey._engine.runner.free == 100)
        with pytest.raises(ComputationFailed):
            await journey.get_value(execution, "y")


async def test_a_thread_is_abandoned_at_its_deadline(dsn: str) -> None:
    release = threading.Event()

    def slow(x: int) -> str:
        release.wait(30)
        return "late"

    graph = graph_of(slow, abandon_after_seconds=0.05, retry=ONCE)
    async with Journey(dsn, graphs=[graph], max_concurrency=1) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        with pytest.raises(ComputationFailed, match="timeout"):
            await journey.get_value(execution, "y", wait_any=True)
        assert journey._engine.runner.free == 0  # the thread still runs
        release.set()
        await eventually(lambda: journey._engine.runner.free == 1)
        assert await states_of(journey, execution) == ["abandoned"]


async def test_the_late_result_of_a_thread_is_dropped(dsn: str) -> None:
    release = threading.Event()
    calls: list[int] = []

    def slow_at_first(x: int) -> str:
        calls.append(x)
        if len(calls) == 1:
            release.wait(30)
            return "late"
        return "in time"

    graph = graph_of(slow_at_first, retry=SOON)
    async with Journey(dsn, graphs=[graph], max_concurrency=2) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await eventually(lambda: len(calls) == 1)
        await journey.abandon_computation(execution.computations[0].id)
        assert await journey.get_value(execution, "y", wait_any=True) == "in time"
        revision = (await journey.load(execution)).revision
        release.set()
        await eventually(lambda: journey._engine.runner.free == 2)
        assert await journey.get_value(execution, "y") == "in time"
        assert (await journey.load(execution)).revision == revision
        assert await states_of(journey, execution) == ["abandoned", "success"]


async def test_a_result_with_another_token_is_dropped(dsn: str) -> None:
    running = asyncio.Event()
    release = asyncio.Event()

    async def waits(x: int) -> int:
        running.set()
        await release.wait()
        return x

    graph = graph_of(waits)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await running.wait()
        [computation] = execution.computations
        assert computation.token is not None
        forged = Succeed(computation.key, computation.token + 1, "forged")
        answer = await journey._engine.submit(execution.id, forged)
        assert not answer.change.written
        release.set()
        assert await journey.get_value(execution, "y", wait_any=True) == 1


async def test_what_an_operator_abandons_is_fenced(dsn: str) -> None:
    running = asyncio.Event()
    release = asyncio.Event()

    async def waits(x: int) -> int:
        running.set()
        await release.wait()
        return x

    graph = graph_of(waits, retry=ONCE)
    async with Journey(dsn, graphs=[graph]) as journey, Journey(dsn) as operator:
        execution = await journey.start_execution(graph, {"x": 1})
        await running.wait()
        [computation] = await operator.computations(execution.id)
        abandoned = await operator.abandon_computation(computation.id)
        assert abandoned.state is ComputationState.ABANDONED
        with pytest.raises(ComputationFailed):
            await journey.get_value(execution, "y", wait_any=True)
        release.set()
        await eventually(lambda: journey._engine.runner.free == 100)
        assert await states_of(operator, execution) == ["abandoned"]


async def test_a_function_stops_when_another_process_abandons_its_attempt(dsn: str) -> None:
    running = asyncio.Event()
    cancelled = asyncio.Event()

    async def hangs(x: int) -> None:
        running.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()

    graph = graph_of(hangs, retry=ONCE)
    async with Journey(dsn, graphs=[graph], grace_period=0) as journey, Journey(dsn) as operator:
        execution = await journey.start_execution(graph, {"x": 1})
        await running.wait()
        await operator.abandon_computation(execution.computations[0].id)
        async with asyncio.timeout(30):
            await cancelled.wait()


async def test_a_result_on_old_inputs_is_followed_by_one_on_the_new(dsn: str) -> None:
    running = asyncio.Event()
    release = asyncio.Event()
    seen: list[int] = []

    async def waits(x: int) -> int:
        seen.append(x)
        running.set()
        await release.wait()
        return x

    graph = graph_of(waits)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await running.wait()
        for x in (2, 3, 4):
            await journey.set_value(execution, "x", x)
        release.set()
        assert await journey.get_value(execution, "y", settled=True) == 4
        assert seen == [1, 4]


async def test_a_result_after_archiving_is_recorded_and_nothing_follows(dsn: str) -> None:
    running = asyncio.Event()
    release = asyncio.Event()

    async def waits(x: int) -> int:
        running.set()
        await release.wait()
        return x

    graph = Graph(
        "g",
        "v1",
        [input_node("x"), compute("y", ["x"], waits), compute("z", ["y"], lambda y: y + 1)],
    )
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await running.wait()
        await journey.archive(execution)
        release.set()
        assert await journey.get_value(execution, "y", wait_any=True) == 1
        assert await journey.computations(execution, "z") == []
        await journey.unarchive(execution)
        assert await journey.get_value(execution, "z", wait_any=True) == 2
