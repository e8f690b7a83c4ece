"""The log names the node whose function blocks the event loop."""

import asyncio
import logging
import threading
import time
from typing import Any

import pytest

from journey_async import Graph, Journey, compute, input_node
from journey_async.engine import watchdog

BLOCKS = 0.5  # seconds


def graph_of(f: Any) -> Graph:
    return Graph(
        "g", "v1", [input_node("x"), compute("slow", ["x"], f), compute("y", ["x"], other)]
    )


async def other(x: int) -> int:
    await asyncio.sleep(0)
    return x


async def blocks(x: int) -> int:
    time.sleep(BLOCKS)  # noqa: ASYNC251 - the very thing
    return x


async def blocks_in_a_task_of_its_own(x: int) -> int:
    return await asyncio.create_task(blocks_in_a_task_of_its_own(x - 1) if x else blocks(x))


async def said(dsn: str, graph: Graph, caplog: pytest.LogCaptureFixture) -> list[str]:
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await journey.get_value(execution, "slow", wait_any=True)
        await asyncio.sleep(0)
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.mark.parametrize("function", [blocks, blocks_in_a_task_of_its_own])
async def test_the_node_that_blocks_the_loop_is_named(
    dsn: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, function: Any
) -> None:
    monkeypatch.setattr(watchdog, "BLOCKED_AFTER", 0.1)
    lines = await said(dsn, graph_of(function), caplog)
    [line] = [line for line in lines if "has blocked the event loop" in line]
    if function is blocks:
        assert line.startswith("node 'slow' of EXEC")
    assert "in blocks, " in line
    assert __file__ in line


async def test_a_thread_blocks_nothing(
    dsn: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "BLOCKED_AFTER", 0.1)
    began = threading.Event()

    def waits(x: int) -> int:
        began.wait(BLOCKS)
        return x

    assert not [line for line in await said(dsn, graph_of(waits), caplog) if "blocked" in line]
