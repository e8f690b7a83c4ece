"""The event loop goes on while something long is decided."""

import asyncio
from typing import Any

import pytest

from journey_async import Graph, Journey, compute, input_node
from journey_async.core.pieces import Pieces
from journey_async.core.values import NodeValue
from journey_async.store import breath, rows
from journey_async.store.breath import in_turn

STEPS = 300


def wide(f: Any) -> Graph:
    return Graph(
        "wide", "v1", [input_node("x"), *(compute(f"y{n}", ["x"], f) for n in range(STEPS))]
    )


async def test_others_have_their_turn_between_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breath, "HELD", -1.0)  # any time is long
    turns: list[str] = []

    def work() -> Pieces[str]:
        for _ in range(3):
            turns.append("work")
            yield
        return "done"

    async def other() -> None:
        for _ in range(3):
            turns.append("other")
            await asyncio.sleep(0)

    others = asyncio.create_task(other())
    assert await in_turn(work()) == "done"
    await others
    assert turns == ["work", "other"] * 3


async def test_what_is_short_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breath, "HELD", 1000.0)
    turns: list[str] = []

    def work() -> Pieces[None]:
        yield

    asyncio.get_running_loop().call_soon(turns.append, "other")
    await in_turn(work())
    assert turns == []


async def test_what_is_decided_meanwhile_finds_the_places_taken(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breath, "HELD", -1.0)
    free = asyncio.Event()

    async def waits(x: int) -> int:
        await free.wait()
        return x

    graph = wide(waits)
    async with Journey(dsn, graphs=[graph], max_concurrency=5) as journey:
        one, other = [await journey.start_execution(graph) for _ in range(2)]
        first = asyncio.create_task(journey.set_value(one, "x", 1))
        for _ in range(8):  # of the loop's turns; deciding it takes at least forty
            await asyncio.sleep(0)
        assert journey._engine.committer._flights._flying == 1
        await journey.set_value(other, "x", 2)
        await first
        assert len(journey._engine.runner.attempts()) == 5
        free.set()
        for number, execution in enumerate([one, other], 1):
            assert await journey.get_value(execution, f"y{STEPS - 1}", settled=True) == number
            values = (await journey.load(execution)).values
            assert {values[f"y{n}"].value for n in range(STEPS)} == {number}


async def test_others_have_their_turn_while_executions_are_read(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be it one of many nodes, or many of few."""
    monkeypatch.setattr(breath, "HELD", -1.0)
    turn, turns, read = 0, set[int](), rows._value

    def noted(fields: Any) -> NodeValue:
        turns.add(turn)
        return read(fields)

    async def other() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(rows, "_value", noted)
    others = asyncio.create_task(other())
    for executions, inputs in (1, 300), (20, 1):
        names = [f"x{n}" for n in range(inputs)]
        graph = Graph(f"of {inputs}", "v1", [*map(input_node, names)])
        async with Journey(dsn, run_computations=False) as journey:
            for _ in range(executions):
                await journey.start_execution(graph, dict.fromkeys(names, 1))
        async with Journey(dsn, run_computations=False) as client:
            turns.clear()
            found = await client.list_executions(graph_name=graph.name)
            assert len(turns) > 15
            turns.clear()
            await asyncio.gather(*(client.load(execution.id) for execution in found))
            assert len(turns) > 15
    others.cancel()
