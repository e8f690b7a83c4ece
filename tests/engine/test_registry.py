"""A graph is registered as a whole or not at all, here and in the database."""

import asyncio
import json
from typing import Any

import pytest

from journey_async import Graph, Journey
from journey_async.core import description
from journey_async.core.description import described_graph
from journey_async.errors import DatabaseUnavailable, GraphError
from tests.engine.test_roll_out import NEW, NEWER, NEWEST, OLD
from tests.support.eventually import eventually

CODE = "SELECT graphs FROM journey.workers"


class HeldUp:
    """The next registration is written, and its answer waits."""

    def __init__(self, journey: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written, self.go_on = asyncio.Event(), asyncio.Event()
        store = journey._engine.store
        register = store.register_graph

        async def held_up(*args: Any, **kwargs: Any) -> None:
            monkeypatch.setattr(store, "register_graph", register)
            await register(*args, **kwargs)
            self.written.set()
            await self.go_on.wait()

        monkeypatch.setattr(store, "register_graph", held_up)


async def test_a_definition_is_made_a_graph_if_somebody_needs_it(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For graphs of a thousand nodes that would hold the event loop for long, at each start."""
    described = []

    def counted(definition: Any, types: Any) -> Graph:
        described.append(definition["name"])
        return described_graph(definition, types)

    monkeypatch.setattr(description, "described_graph", counted)
    async with Journey(dsn, graphs=[OLD]) as journey:
        execution = await journey.start_execution(OLD, {"x": 1})
    async with Journey(dsn, graphs=[OLD]) as journey:
        await journey._engine.registry.fetch_again()
        assert await journey.get_value(execution.id, "y", wait_any=True) == 1
        await journey.register(NEW)
        assert await journey.get_value(execution.id, "z", wait_any=True) == 1
    async with Journey(dsn, graphs=[NEWER]) as journey:
        assert await journey.get_value(execution.id, "z") == 1
    assert not described
    async with Journey(dsn) as journey:
        for _ in range(2):
            assert await journey.get_value(execution.id, "z") == 1
    assert described == ["orders"]


async def test_a_former_definition_that_cannot_be_read_is_replaced_like_others(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn, graphs=[OLD]) as journey:
        execution = await journey.start_execution(OLD, {"x": 1})
    await connection.execute(
        """UPDATE journey.graphs SET definition = definition || '{"colour": "red"}'"""
    )
    async with Journey(dsn, run_computations=False) as journey:
        with pytest.raises(GraphError, match="colour"):
            await journey.set_value(execution.id, "x", 2)
    async with Journey(dsn, graphs=[NEW]) as journey:
        assert await journey.get_value(execution.id, "z", wait_any=True) == 1


async def test_a_registration_whose_caller_was_cancelled_is_completed(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Journey(dsn, graphs=[OLD]) as journey:
        execution = await journey.start_execution(OLD, {"x": 1})
        answer = HeldUp(journey, monkeypatch)
        registering = asyncio.create_task(journey.register(NEW))
        await answer.written.wait()
        registering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await registering
        answer.go_on.set()
        await eventually(lambda: journey._engine.registry.registered("orders", "v1") is NEW)
        assert await journey.get_value(execution.id, "z", wait_any=True) == 1


@pytest.mark.parametrize("graphs", [[OLD], []], ids=["with former code", "without"])
async def test_a_registration_that_failed_leaves_no_code_in_the_workers_row(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch, graphs: list[Graph]
) -> None:
    async with Journey(dsn, graphs=graphs, patience=0, lease=1) as journey:
        engine = journey._engine
        register = engine.store.register_graph

        async def losing(*args: Any, **kwargs: Any) -> None:
            await register(*args, **kwargs)
            raise DatabaseUnavailable("the connection was cut")

        async def is_gone() -> bool:
            return NEW.hash not in await connection.fetchval(CODE)

        monkeypatch.setattr(engine.store, "register_graph", losing)
        with pytest.raises(DatabaseUnavailable):
            await journey.register(NEW)
        assert not await is_gone()
        await eventually(is_gone)
        monkeypatch.setattr(engine.store, "register_graph", register)
        execution = await journey.start_execution(NEW, {"x": 1})
        assert await journey.get_value(execution, "z", wait_any=True) == 1
        assert not await is_gone()


async def test_of_two_registered_at_once_the_same_is_newest_here_and_in_the_database(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Journey(dsn, graphs=[OLD]) as journey:
        answer = HeldUp(journey, monkeypatch)
        first = asyncio.create_task(journey.register(NEW))
        await answer.written.wait()
        second = asyncio.create_task(journey.register(NEWER))
        for _ in range(50):  # in which the second would be written, too
            await journey.graphs()
        answer.go_on.set()
        await asyncio.gather(first, second)
        assert await connection.fetchval(NEWEST) == NEWER.hash
        assert journey._engine.registry.registered("orders", "v1") is NEWER
        assert json.loads(journey._engine.registry.own_code()) == {"orders": {"v1": NEWER.hash}}


async def test_who_registers_while_the_journey_is_closed_is_told(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Journey(dsn) as journey:
        answer = HeldUp(journey, monkeypatch)
        registering = asyncio.create_task(journey.register(NEW))
        await answer.written.wait()
    with pytest.raises(DatabaseUnavailable):
        await registering
