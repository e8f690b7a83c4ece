"""What the alarm clock looks at, and what it leaves alone."""

import asyncio
from typing import Any

import pytest

from journey_async import Graph, Journey, compute, input_node
from journey_async.engine import safety_check, scheduler
from tests.support.eventually import eventually
from tests.support.graphs import basic_graph


@pytest.fixture(autouse=True)
def no_safety_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """But the first."""
    monkeypatch.setattr(safety_check, "INTERVAL", 1000.0)


async def has_looked(journey: Journey) -> None:
    """Return when everything has been looked at, and nobody is being woken."""
    journey._engine.scheduler.expect()
    await eventually(journey._engine.scheduler._rests.is_set)


async def test_what_raised_is_left_alone_though_it_took_long(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "UNMOVED_PAUSE", 0.01)  # whatever takes longer takes long
    graph = basic_graph()
    woken, fails, calls = asyncio.Event(), asyncio.Event(), 0

    async def defect(*_: Any, **__: Any) -> Any:
        nonlocal calls
        calls += 1
        woken.set()
        await fails.wait()
        raise RuntimeError("a defect")

    async with Journey(dsn, run_computations=False) as web, Journey(dsn) as worker:
        await web.start_execution(graph, {"x": 1, "y": 2})
        monkeypatch.setattr(worker._engine.scheduler, "_submit", defect)
        await worker.register(graph)
        worker._engine.scheduler.expect()
        await woken.wait()
        await has_looked(worker)
        fails.set()
        await has_looked(worker)
        await has_looked(worker)  # with what was said when it ended
        assert calls == 1


@pytest.mark.hears("is told what was left to others")
async def test_what_is_left_to_those_with_another_graph_costs_no_look(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign, own = basic_graph(), Graph("own", "v1", [input_node("x")])
    async with (
        Journey(dsn, run_computations=False) as web,
        Journey(dsn, graphs=[own]) as worker,
    ):
        await worker._engine.rest()
        store, looks = worker._engine.store, 0
        attention = store.attention

        async def counted(*graphs: Any, **options: Any) -> Any:
            nonlocal looks
            looks += 1
            return await attention(*graphs, **options)

        monkeypatch.setattr(store, "attention", counted)
        for number in range(5):
            await web.start_execution(foreign, {"x": number, "y": 1})
        await worker._engine.hear_all()
        await worker._engine.rest()
        assert looks == 0


@pytest.mark.hears("is told what was left to others")
async def test_what_is_left_on_an_older_definition_is_taken_by_newer_code(dsn: str) -> None:
    old = Graph("g", "v1", [input_node("x"), compute("y", ["x"], lambda x: x)])
    new = Graph("g", "v1", [input_node("x"), compute("y", ["x"], lambda x: x), input_node("z")])
    async with Journey(dsn, graphs=[old], run_computations=False) as web:
        execution = await web.start_execution(old)
        async with Journey(dsn, graphs=[new]) as worker:
            await worker._engine.rest()
            again = await web.start_execution(old, {"x": 2})
            for left in (await web.set_value(execution, "x", 1), again):
                await web.get_value(left, "y", wait_any=True)
