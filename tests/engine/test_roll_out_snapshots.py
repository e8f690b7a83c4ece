"""Snapshots and waits of one definition, of executions that have moved on to another one."""

import asyncio
from datetime import UTC, datetime

import pytest

from journey_async import Graph, Journey, compute, input_node
from journey_async.errors import InvalidValueError, UnknownNodeError
from tests.support.eventually import eventually
from tests.support.outages import unavailable
from tests.support.waits import waits_in

tax = compute("tax", ["price"], lambda price: 1)
total = compute("total", ["price"], lambda price: f"{price}!")
OLD = Graph("orders", "v1", [input_node("price", type=int), tax])
NEW = Graph("orders", "v1", [input_node("price", type=str), tax, total])


@pytest.mark.parametrize("computes", [True, False], ids=["a worker", "a client"])
async def test_old_code_takes_by_an_old_snapshot_what_the_new_definition_has(
    dsn: str, computes: bool
) -> None:
    async with Journey(dsn, graphs=[OLD], run_computations=computes) as old:
        before = await old.start_execution(OLD, {"price": 1})
        async with Journey(dsn, graphs=[NEW]) as new:
            await new.set_value(before, "price", "2")
            assert await new.get_value(before, "total", settled=True) == "2!"
            assert await old.get_value(before, "total") == "2!"
            assert await old.get_value(before, "price") == "2"
            await old.set_value(before, "price", "3")
            assert await old.get_value(before, "total", settled=True) == "3!"
            with pytest.raises(InvalidValueError):
                await old.set_value(before, "price", 4)


async def test_a_wait_that_began_before_reads_by_the_new_definition(dsn: str) -> None:
    async with Journey(dsn, graphs=[OLD], run_computations=False) as old:
        execution = await old.start_execution(OLD, {"price": 1})
        waits = [
            asyncio.create_task(old.get_value(execution, "price", wait_new=True)),
            asyncio.create_task(old.get_value(execution.id, "price", newer_than=1)),
        ]
        await eventually(lambda: waits_in(old) == 2)
        async with Journey(dsn, graphs=[NEW]) as new:
            await new.set_value(execution, "price", "2")
            assert await asyncio.gather(*waits) == ["2", "2"]


async def test_who_waits_for_a_node_that_leaves_the_graph_is_told(dsn: str) -> None:
    without_tax = Graph("orders", "v1", [input_node("price", type=int)])
    async with Journey(dsn, graphs=[OLD], run_computations=False) as old:
        execution = await old.start_execution(OLD)
        wait = asyncio.create_task(old.get_value(execution, "tax", wait_any=True))
        await eventually(lambda: waits_in(old) == 1)
        async with Journey(dsn, graphs=[without_tax]) as new:
            await new.set_value(execution, "price", 1)
            with pytest.raises(UnknownNodeError):
                await wait


async def test_an_old_snapshot_shows_nothing_that_has_left_the_graph(dsn: str) -> None:
    async with Journey(dsn, graphs=[NEW]) as new:
        execution = await new.start_execution(NEW, {"price": "1"})
        before = await new.load(await settled(new, execution.id))
        async with Journey(dsn, graphs=[OLD]) as old:  # it is back, and comes last
            await old.set_value(before, "price", 5)
            assert await old.get_value(before, "tax", settled=True) == 1
            for given in (before, before.id):
                with pytest.raises(UnknownNodeError):
                    await new.get_value(given, "total")


async def settled(journey: Journey, execution_id: str) -> str:
    assert await journey.get_value(execution_id, "total", settled=True) == "1!"
    return execution_id


async def test_old_code_reads_by_its_own_types_what_has_not_changed(dsn: str) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    old_graph = Graph("visits", "v1", [input_node("at", type=datetime)])
    new_graph = Graph("visits", "v1", [*old_graph.nodes, input_node("guests", type=int)])
    async with Journey(dsn, graphs=[old_graph], run_computations=False) as old:
        before = await old.start_execution(old_graph, {"at": at})
        async with Journey(dsn, graphs=[new_graph]) as new:
            await new.set_value(before, "guests", 2)
            for given in (before, before.id):
                assert await old.get_value(given, "at") == at
                with pytest.raises(InvalidValueError):
                    await old.set_value(given, "at", "some day")


async def test_a_reference_of_old_code_goes_around_no_type(dsn: str) -> None:
    old_graph = Graph("visits", "v1", [input_node("guests")])
    new_graph = Graph("visits", "v1", [input_node("guests", type=int)])
    async with Journey(dsn, graphs=[old_graph], run_computations=False) as old:
        before = await old.start_execution(old_graph)
        async with Journey(dsn, graphs=[new_graph]) as new:
            await new.set_value(before, "guests", 2)
            with pytest.raises(InvalidValueError):
                await old.set_value(before, old_graph.node("guests", str), "two")


async def test_bad_calls_end_at_once_in_an_outage_too(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Journey(dsn, graphs=[OLD], patience=1000) as journey:
        execution = await journey.start_execution(OLD)
        for read in ("versions", "load"):
            monkeypatch.setattr(journey._engine.store, read, unavailable)
        async with asyncio.timeout(30):
            with pytest.raises(InvalidValueError):
                await journey.set_value(execution, "price", "much")
            with pytest.raises(UnknownNodeError):
                await journey.get_value(execution, "nothing")
