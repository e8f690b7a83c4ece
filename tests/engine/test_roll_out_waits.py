"""Waits for what is settled, while old and new code come and go."""

import asyncio
from typing import Any

import pytest

from journey_async import Execution, Graph, Journey, compute, input_node
from journey_async.engine import listener
from tests.engine.test_roll_out import NEW, OLD, check
from tests.support.eventually import eventually
from tests.support.waits import waits_in

NEWEST_AGAIN = "UPDATE journey.graphs SET registration = registration + 2 WHERE hash = $1"
HAD_WORKER = "UPDATE journey.graphs SET had_worker = true WHERE hash = $1"


async def settled(journey: Journey) -> str:
    """An execution on the old definition in which nothing is to be done any more."""
    execution = await journey.start_execution(OLD, {"x": 1})
    assert await journey.get_value(execution, "y", settled=True) == 1
    return execution.id


def ahead(dsn: str) -> Journey:
    """A client that is the first to know the new definition, and waits for it to have a worker."""
    return Journey(dsn, graphs=[NEW], run_computations=False)


async def parked(journey: Journey, execution: Execution | str, node: str) -> "asyncio.Task[Any]":
    """A wait for what is settled, once it is registered."""
    wait = asyncio.create_task(journey.get_value(execution, node, settled=True))
    await eventually(lambda: waits_in(journey) == 1)
    return wait


@pytest.mark.parametrize("graphs", [[OLD], []], ids=["with old code", "without code"])
async def test_who_waits_while_new_code_comes_is_told(dsn: str, graphs: list[Graph]) -> None:
    async with Journey(dsn, graphs=graphs, run_computations=False) as client:
        async with Journey(dsn, graphs=[OLD], run_computations=False) as asks:
            execution = await asks.start_execution(OLD, {"x": 1})
        wait = await parked(client, execution.id, "y")
        async with Journey(dsn, graphs=[NEW]):
            assert await wait == 1
            assert await client.get_value(execution, "y", settled=True) == 1


async def test_who_waits_while_old_code_comes_back_is_told(dsn: str) -> None:
    async with Journey(dsn, graphs=[OLD]) as old, ahead(dsn) as client:
        wait = await parked(client, await settled(old), "y")
        async with Journey(dsn, graphs=[OLD]):
            assert await wait == 1


async def test_who_waits_while_old_code_is_reinstated_is_told(dsn: str, connection: Any) -> None:
    async with Journey(dsn, graphs=[OLD]) as old, ahead(dsn) as client:
        wait = await parked(client, await settled(old), "y")
        await connection.execute(HAD_WORKER, NEW.hash)  # which died before it came to this one
        await check(old)
        assert await wait == 1


async def test_who_waits_is_told_of_old_code_though_nobody_was_notified(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "PROBE_INTERVAL", 0.05)
    monkeypatch.setattr(listener, "CHECKED_EVERY", 1)
    async with Journey(dsn, graphs=[OLD]) as old, ahead(dsn) as client:
        wait = await parked(client, await settled(old), "y")
        await connection.execute(NEWEST_AGAIN, OLD.hash)
        assert await wait == 1


async def test_an_answer_that_comes_late_brings_no_older_order_back(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Journey(dsn, graphs=[OLD]) as old, ahead(dsn) as client:
        engine, ask = client._engine, client._engine.store.graphs
        answered, given = asyncio.Event(), asyncio.Event()

        async def is_late(*args: Any) -> Any:
            answer = await ask(*args)
            if len(engine.waiters) == 1 and not answered.is_set():
                answered.set()
                await given.wait()
            return answer

        def knows_the_order() -> bool:
            return OLD.hash in engine.registry.newer_definitions()["orders", "v1"]

        execution = await settled(old)
        monkeypatch.setattr(engine.store, "graphs", is_late)
        wait = await parked(client, execution, "y")
        await answered.wait()
        async with Journey(dsn, graphs=[OLD]):
            await eventually(knows_the_order)
            given.set()
            assert await wait == 1


async def test_what_is_settled_is_judged_by_the_definition_that_holds(dsn: str) -> None:
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def waits(x: int) -> int:
        begun.set()
        await goes_on.wait()
        return x

    steps = [compute("a", ["x"], waits), compute("y", ["a"], lambda a: a + 1)]
    longer = Graph("orders", "v1", [input_node("x"), *steps])
    async with Journey(dsn, graphs=[OLD], run_computations=False) as client:
        execution = await client.start_execution(OLD, {"x": 1})
        wait = await parked(client, execution, "y")
        async with Journey(dsn, graphs=[longer]):
            await begun.wait()
            again = asyncio.create_task(client.get_value(execution, "y", settled=True))
            await client.load(execution.id)  # behind the read of that one
            goes_on.set()
            assert [await wait, await again] == [2, 2]


async def test_an_archived_execution_of_an_older_definition_is_settled(dsn: str) -> None:
    async with Journey(dsn, graphs=[OLD]) as old:
        execution = await old.start_execution(OLD, {"x": 1})
        assert await old.get_value(execution, "y", settled=True) == 1
        await old.archive(execution)
    async with Journey(dsn, graphs=[NEW]) as new:
        assert await new.get_value(execution.id, "y", settled=True) == 1


async def test_who_waits_is_shown_nothing_whose_definition_is_yet_to_be_read(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Journey(dsn, run_computations=False) as client:
        async with Journey(dsn, graphs=[OLD], run_computations=False) as asks:
            execution = await asks.start_execution(OLD, {"x": 1})
        wait = await parked(client, execution.id, "y")
        store, cache = client._engine.store, client._engine.cache
        graphs, go_on = store.graphs, asyncio.Event()

        async def held_up(*args: Any) -> Any:
            await go_on.wait()
            return await graphs(*args)

        monkeypatch.setattr(store, "graphs", held_up)
        async with Journey(dsn, graphs=[NEW]) as worker:
            await worker.get_value(execution.id, "z", settled=True)
            last = await worker._engine.current(execution.id)
            await eventually(lambda: (s := cache.get(execution.id)) and s.version == last.version)
            await client._engine._refresher.check_waits()
            go_on.set()
            assert await wait == 1
