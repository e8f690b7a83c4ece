"""`on_save`: after the commit, once an outcome, and harmless when it fails."""

import asyncio
import logging
from typing import Any

import pytest

from journey_async import (
    Graph,
    Journey,
    PermanentError,
    Retry,
    Saved,
    SaveFailed,
    compute,
    input_node,
)
from tests.support.eventually import eventually


class Calls:
    """Callbacks that write down what they get."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, Any]] = []

    def plain(self, execution_id: str, node: str, result: Any) -> None:
        self.seen.append(("plain", node, result))

    async def on_the_loop(self, execution_id: str, node: str, result: Any) -> None:
        await asyncio.sleep(0)
        self.seen.append(("async", node, result))

    def raising(self, execution_id: str, node: str, result: Any) -> None:
        self.seen.append(("raising", node, result))
        raise RuntimeError("on_save itself")


def breaks(x: int) -> None:
    raise PermanentError("no")


async def test_nodes_and_graphs_are_called_back_once_for_each_outcome(dsn: str) -> None:
    calls = Calls()
    graph = Graph(
        "g",
        "v1",
        [
            input_node("x", on_save=calls.plain),
            compute("y", ["x"], lambda x: x * 2, on_save=calls.on_the_loop),
            compute("z", ["x"], breaks),
        ],
        on_save=calls.on_the_loop,
    )
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await journey.get_value(execution, "y", wait_any=True)
        await journey.set_value(execution, "x", 1)  # nothing changes
        await eventually(lambda: len(calls.seen) == 5)
    assert sorted(calls.seen, key=lambda call: (call[1], call[0])) == [
        ("async", "x", Saved(1, 1)),
        ("plain", "x", Saved(1, 1)),
        ("async", "y", calls.seen[[c[1] for c in calls.seen].index("y")][2]),
        ("async", "y", calls.seen[[c[1] for c in calls.seen].index("y")][2]),
        ("async", "z", SaveFailed("PermanentError: no", "error")),
    ]
    assert {call[2].value for call in calls.seen if call[1] == "y"} == {2}


async def test_only_the_last_failed_attempt_is_an_outcome(dsn: str) -> None:
    calls = Calls()

    async def hangs(x: int) -> None:
        await asyncio.get_running_loop().create_future()

    def fails(x: int) -> None:
        raise ValueError("no")

    twice = Retry(max_attempts=2, initial_delay=0.01)
    graph = Graph(
        "g",
        "v1",
        [
            input_node("x"),
            compute("slow", ["x"], hangs, retry=twice, abandon_after_seconds=0.02),
            compute("wrong", ["x"], fails, retry=twice),
        ],
        on_save=calls.on_the_loop,
    )
    async with Journey(dsn, graphs=[graph]) as journey:
        await journey.start_execution(graph, {"x": 1})
        await eventually(lambda: len(calls.seen) == 3)
    assert [c for c in calls.seen if c[1] == "slow"] == [
        ("async", "slow", SaveFailed("timeout", "timeout"))
    ]
    assert [c for c in calls.seen if c[1] == "wrong"] == [
        ("async", "wrong", SaveFailed("ValueError: no", "error"))
    ]


async def test_what_a_callback_raises_is_logged_and_changes_nothing(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    calls = Calls()
    graph = Graph(
        "g",
        "v1",
        [input_node("x"), compute("y", ["x"], lambda x: x, on_save=calls.raising)],
        on_save=calls.plain,
    )
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        assert await journey.get_value(execution, "y", wait_any=True) == 1
        await eventually(lambda: len(calls.seen) == 3)
        assert {call[:2] for call in calls.seen} == {
            ("plain", "x"),
            ("raising", "y"),
            ("plain", "y"),  # the graph's, although the node's raised
        }
    errors = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert "'y'" in errors[0].getMessage()


async def test_the_value_is_committed_when_the_callback_runs(dsn: str) -> None:
    seen: asyncio.Queue[Any] = asyncio.Queue()
    others: list[Journey] = []

    async def look(execution_id: str, node: str, result: Saved) -> None:
        await seen.put((node, await others[0].get_value(execution_id, node, default="nothing")))

    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], lambda x: x + 1)], on_save=look)
    async with Journey(dsn, run_computations=False) as other, Journey(dsn) as journey:
        others.append(other)
        await journey.start_execution(graph, {"x": 1})
        found = {await seen.get(), await seen.get()}
    assert found == {("x", 1), ("y", 2)}


async def test_closing_waits_for_callbacks_within_the_grace_period(dsn: str) -> None:
    begun = asyncio.Event()
    ended: list[str] = []

    async def slow(execution_id: str, node: str, result: Saved) -> None:
        begun.set()
        for _ in range(100):
            await asyncio.sleep(0)
        ended.append(node)

    graph = Graph("g", "v1", [input_node("x", on_save=slow)])
    async with Journey(dsn, graphs=[graph]) as journey:
        await journey.start_execution(graph, {"x": 1})
        await begun.wait()
    assert ended == ["x"]


async def test_closing_cancels_a_callback_that_takes_too_long(dsn: str) -> None:
    begun = asyncio.Event()
    cancelled: list[str] = []

    async def endless(execution_id: str, node: str, result: Saved) -> None:
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append(node)
            raise

    graph = Graph("g", "v1", [input_node("x", on_save=endless)])
    async with Journey(dsn, graphs=[graph], grace_period=0) as journey:
        await journey.start_execution(graph, {"x": 1})
        await begun.wait()
    assert cancelled == ["x"]


async def test_a_callback_that_closes_its_journey_does_not_wait_for_itself(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    closed = asyncio.Event()

    async def close(execution_id: str, node: str, result: Saved) -> None:
        await journey.close()
        closed.set()

    graph = Graph("g", "v1", [input_node("x", on_save=close)])
    async with Journey(dsn, graphs=[graph]) as journey:
        await journey.start_execution(graph, {"x": 1})
        async with asyncio.timeout(5):  # of the 10 that a callback has to end
            await closed.wait()
    assert not caplog.records


async def test_nor_does_a_function_of_a_node(dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    closed = asyncio.Event()

    async def close(x: int) -> int:
        await journey.close()
        closed.set()
        return x + 1

    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], close)])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        async with asyncio.timeout(5):
            await closed.wait()
    assert not caplog.records
    async with Journey(dsn, graphs=[graph]) as journey:
        assert await journey.get_value(execution, "y") == 2


async def test_what_is_written_while_it_closes_is_called_back_about(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    under_way, closing, released = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(execution_id: str, node: str, result: Saved) -> None:
        await released.wait()
        ended.append(node)

    graph = Graph("g", "v1", [input_node("x", on_save=slow)])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        engine = journey._engine
        apply, finish = engine.store.apply, engine._callbacks.finish

        async def held_up(*args: Any, **kwargs: Any) -> set[str]:
            under_way.set()
            await closing.wait()
            return await apply(*args, **kwargs)

        async def finished(grace: float) -> None:
            if engine._callbacks.tasks.all:
                released.set()  # while it closes, this is waited for
            await finish(grace)
            closing.set()

        monkeypatch.setattr(engine.store, "apply", held_up)
        monkeypatch.setattr(engine._callbacks, "finish", finished)
        write = asyncio.create_task(journey.set_value(execution, "x", 1))
        await under_way.wait()
    assert (await write).revision == 1
    assert ended == ["x"]
