"""A standby that was behind takes over: what processes remember is ahead of the database."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from journey_async import Graph, Journey, compute, input_node
from journey_async.errors import DatabaseUnavailable, ExecutionNotFound
from journey_async.store.connecting import Connection
from journey_async.store.store import Store
from tests.support.backends import TERMINATE
from tests.support.eventually import eventually
from tests.support.graphs import basic_graph, one_input
from tests.support.standby import behind
from tests.support.waits import waits_in

READ_ONLY = "ALTER DATABASE {} SET default_transaction_read_only = {}"


def cached(journey: Journey, execution_id: str) -> Any:
    state = journey._engine.cache.get(execution_id)
    assert state is not None
    return state


async def test_a_lost_version_is_never_taken_for_the_one_in_its_place(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn) as one, Journey(dsn) as two:
        execution = await one.start_execution(one_input(), {"x": "kept"})
        async with behind(connection):
            await one.set_value(execution, "x", "lost")
            lost = cached(one, execution.id)
        await two.set_value(execution, "x", "in its place")
        assert cached(two, execution.id).revision == lost.revision
        one._engine.cache.put(lost)  # as if it had missed all
        assert await one.get_value(execution, "x") == "in its place"
        one._engine.cache.put(lost)
        await one.set_value(execution, "x", "lost")  # no "same value: nothing changes"
        assert await two.get_value(execution, "x") == "lost"


async def test_what_was_lost_is_remembered_no_longer(dsn: str, connection: Any) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input(), {"x": "kept"})
        async with behind(connection):
            await journey.set_value(execution, "x", "lost")
        assert await journey.get_value(execution, "x") == "kept"
        assert cached(journey, execution.id).revision == 1


async def test_who_waits_for_any_value_gets_the_one_that_is_there(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn) as journey, Journey(dsn) as other:
        execution = await journey.start_execution(basic_graph(), {"x": 1})
        async with behind(connection):
            for x in range(20):
                await other.set_value(execution, "x", x)
            wait = asyncio.create_task(
                journey.get_value(execution.id, "sum", wait_any=True, timeout=None)
            )
            await eventually(lambda: waits_in(journey) == 1)
        await other.set_value(execution, "y", 2)
        async with asyncio.timeout(20):
            assert await wait == 3


async def test_who_waits_for_news_is_told_that_what_he_knew_is_lost(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input(), {"x": "kept"})
        async with behind(connection):
            execution = await journey.set_value(execution, "x", "lost")
            wait = asyncio.create_task(
                journey.get_value(execution, "x", wait_new=True, timeout=None)
            )
            events = journey.watch(execution)
            event = asyncio.ensure_future(anext(events))
            await eventually(lambda: waits_in(journey) == 2)
        async with asyncio.timeout(20), aclosing(events):
            for told in (wait, event):
                with pytest.raises(DatabaseUnavailable, match="is at revision 1 again"):
                    await told


async def test_who_comes_with_a_snapshot_of_what_is_lost_is_told(dsn: str, connection: Any) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input(), {"x": "kept"})
        async with behind(connection):
            execution = await journey.set_value(execution, "x", "lost")
        with pytest.raises(DatabaseUnavailable, match="is at revision 1 again"):
            await journey.get_value(execution, "x", wait_new=True)
        async with aclosing(journey.watch(execution)) as events:
            with pytest.raises(DatabaseUnavailable, match="is at revision 1 again"):
                await anext(events)


async def test_who_waits_for_a_lost_execution_is_told(dsn: str, connection: Any) -> None:
    async with Journey(dsn) as journey:
        await journey.register(one_input())
        async with behind(connection):
            execution = await journey.start_execution(one_input())
            wait = asyncio.create_task(
                journey.get_value(execution, "x", wait_any=True, timeout=None)
            )
            await eventually(lambda: waits_in(journey) == 1)
        with pytest.raises(ExecutionNotFound):
            await asyncio.wait_for(wait, 20)


async def test_who_watches_from_a_lost_revision_is_told_everything(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input(), {"x": 1})
        async with aclosing(journey.watch(execution.id, since_revision=2)) as events:
            event = await anext(events)
            assert (event.node, event.revision, event.resume_from) == ("x", 1, 1)


async def test_a_result_that_was_lost_is_computed_again_at_once(dsn: str, connection: Any) -> None:
    go = asyncio.Event()
    calls = 0

    async def counted(x: int) -> int:
        nonlocal calls
        calls += 1
        await go.wait()
        return x

    step = compute("y", ["x"], counted, abandon_after_seconds=3600)
    graph = Graph("g", "v1", [input_node("x"), step])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await eventually(lambda: calls == 1)
        async with behind(connection):
            go.set()
            assert await journey.get_value(execution.id, "y", wait_any=True) == 1
        await eventually(lambda: calls == 2)
        assert await journey.get_value(execution.id, "y", wait_any=True) == 1
        [computation] = await journey.computations(execution)
        assert (computation.attempt, computation.deaths) == (1, 0)


async def test_what_was_begun_and_is_lost_is_stopped(dsn: str, connection: Any) -> None:
    stopped: list[int] = []

    async def runs(x: int) -> int:
        try:
            await asyncio.sleep(3600 if x == 1 else 0)
        except asyncio.CancelledError:
            stopped.append(x)
            raise
        return x

    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], runs)])
    async with Journey(dsn, graphs=[graph], grace_period=0) as journey:
        execution = await journey.start_execution(graph)
        async with behind(connection):
            await journey.set_value(execution, "x", 1)
            await eventually(lambda: journey._engine.runner.is_busy_with(execution.id))
        await eventually(lambda: stopped == [1])
        await journey.set_value(execution, "x", 2)
        assert await journey.get_value(execution.id, "y", settled=True) == 2


@pytest.mark.hears("who only polls looks where somebody waits, or with its safety check")
async def test_a_definition_that_was_lost_is_put_down_again(dsn: str, connection: Any) -> None:
    async with Journey(dsn) as worker, Journey(dsn, run_computations=False) as web:
        async with behind(connection):
            await worker.register(basic_graph("of the worker"))
            await web.register(basic_graph("of the web"))

        async def both_are_known() -> bool:
            names = await connection.fetch("SELECT name FROM journey.graphs")
            return {row["name"] for row in names} == {"of the worker", "of the web"}

        await eventually(both_are_known)


@pytest.mark.direct("a pooler keeps its sessions for itself")
async def test_a_process_that_came_to_a_standby_goes_on_with_the_primary(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a change of a DNS name: what is connected stays connected to who is read-only."""
    refused = asyncio.Event()
    give_up = Store._give_up

    async def noticed(store: Store, bad: Connection) -> None:
        refused.set()
        await give_up(store, bad)

    monkeypatch.setattr(Store, "_give_up", noticed)
    name = await connection.fetchval("SELECT quote_ident(current_database())")
    async with Journey(dsn, patience=60) as journey:
        execution = await journey.start_execution(one_input(), {"x": 1})
        await connection.execute(READ_ONLY.format(name, "on"))
        await connection.fetch(TERMINATE)
        write = asyncio.create_task(journey.set_value(execution, "x", 2))
        await refused.wait()
        await connection.execute(READ_ONLY.format(name, "off"))
        async with asyncio.timeout(20):
            assert (await write).revision == 2
