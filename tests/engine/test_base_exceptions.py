"""What users' code raises stays with what raised it, whatever it is derived from."""

import asyncio
import logging
import threading
from typing import Annotated, Any

import anyio.to_thread
import pytest
from pydantic import AfterValidator

from journey_async import (
    ComputationFailed,
    Graph,
    Journey,
    JourneyError,
    NodeValue,
    Retry,
    Saved,
    compute,
    input_node,
    mutate,
    unblocked_when,
)
from journey_async.engine import callbacks
from tests.support.eventually import eventually
from tests.support.graphs import one_input

ONCE = Retry(max_attempts=1)


class Own(BaseException):
    """What only its author knows."""


RAISED = [asyncio.CancelledError, GeneratorExit, SystemExit, Own]


def raises_at_one(error: type[BaseException]) -> Any:
    def predicate(x: NodeValue) -> bool:
        if x.value == 1:
            raise error
        return x.is_set

    return predicate


@pytest.mark.parametrize("error", RAISED)
async def test_a_predicate_counts_as_not_met_and_everything_else_goes_on(
    dsn: str, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    gate = unblocked_when("x", raises_at_one(error))
    graph = Graph("g", "v1", [input_node("x"), compute("y", gate, lambda x=None: x)])
    other = one_input("other")
    async with (
        Journey(dsn, graphs=[graph]) as worker,
        Journey(dsn, run_computations=False) as web,
    ):
        here = [await worker.start_execution(graph, {"x": 1}) for _ in range(3)]
        there = await web.start_execution(graph)
        for _ in range(3):  # a worker is woken for each, and for those it has left before
            await web.set_value(there, "x", 1)
        for journey in (worker, web):
            innocent = await journey.start_execution(other)
            assert (await journey.set_value(innocent, "x", 1)).revision == 1
        for execution in (*here, there):
            await web.set_value(execution, "x", 2)
            assert await worker.get_value(execution, "y", wait_any=True) == 2
    assert {r.levelname for r in caplog.records} <= {"WARNING"}
    assert "counts as not met" in caplog.text


@pytest.mark.parametrize("error", RAISED)
async def test_a_function_has_failed(dsn: str, error: type[BaseException]) -> None:
    def in_a_thread(x: int) -> None:
        raise error

    async def on_the_loop(x: int) -> None:
        raise error

    steps = [compute(f.__name__, ["x"], f, retry=ONCE) for f in (in_a_thread, on_the_loop)]
    graph = Graph("g", "v1", [input_node("x"), *steps])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        for step in steps:
            with pytest.raises(ComputationFailed):
                await journey.get_value(execution, step.name, wait_any=True)


@pytest.mark.parametrize("error", RAISED)
async def test_a_type_that_raises_fails_the_attempt(dsn: str, error: type[BaseException]) -> None:
    def refuse(value: int) -> int:
        if value == 1:
            raise error
        return value

    picky = input_node("t", type=Annotated[int, AfterValidator(refuse)])
    step = mutate("m", ["x"], lambda x: x, mutates="t", retry=ONCE)
    graph = Graph("g", "v1", [input_node("x"), picky, step])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        with pytest.raises(ComputationFailed):
            await journey.get_value(execution, "m", wait_any=True)


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit, Own])
async def test_what_on_save_raises_is_logged(
    dsn: str, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    def in_a_thread(*_: object) -> None:
        raise error

    async def on_the_loop(*_: object) -> None:
        raise error

    nodes = [input_node("x", on_save=in_a_thread), input_node("y", on_save=on_the_loop)]
    graph = Graph("g", "v1", nodes)
    async with Journey(dsn, graphs=[graph]) as journey:
        await journey.start_execution(graph, {"x": 1, "y": 1})
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert sorted(text.partition(" of ")[2][:8] for text in told) == ["node 'x'", "node 'y'"]


async def test_callbacks_that_hang_keep_no_thread_from_the_application(dsn: str) -> None:
    ends, hanging = threading.Event(), threading.Semaphore(0)

    def hangs(execution_id: str, node: str, result: Saved) -> None:
        hanging.release()
        ends.wait()

    graph = Graph("g", "v1", [input_node("x", on_save=hangs)])
    async with Journey(dsn, graphs=[graph]) as journey:
        try:
            starts = (journey.start_execution(graph, {"x": n}) for n in range(50))
            await asyncio.gather(*starts)
            await eventually(lambda: hanging._value == callbacks.THREADS)
            async with asyncio.timeout(30):
                assert await anyio.to_thread.run_sync(lambda: "free") == "free"
        finally:
            ends.set()


@pytest.mark.parametrize("error", [asyncio.CancelledError, Own])
async def test_a_defect_of_one_batch_is_told_and_the_next_one_is_written(
    dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: type[BaseException],
) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input())
        decider = journey._engine.committer._flights._decider
        decide_all = decider.decide_all

        async def fails_once(*batch: Any) -> Any:
            monkeypatch.setattr(decider, "decide_all", decide_all)
            raise error

        for x in range(3):  # one more than there are flights
            monkeypatch.setattr(decider, "decide_all", fails_once)
            with pytest.raises(JourneyError, match=error.__name__):
                await journey.set_value(execution, "x", x)
        assert (await journey.set_value(execution, "x", 7)).revision == 1
    assert len([r for r in caplog.records if "could not be written" in r.getMessage()]) == 3
