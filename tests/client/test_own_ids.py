"""Starting an execution under an id of one's own, which can be repeated."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import Any

import pytest

from journey_async import (
    Context,
    Execution,
    Graph,
    Journey,
    SingletonGraphError,
    compute,
    input_node,
)
from journey_async.core.commands import Wake
from journey_async.errors import DatabaseUnavailable, ExecutionNotFound, InvalidOptionError
from tests.support.outages import unavailable

GRAPH = Graph("orders", "v1", [input_node("x"), compute("y", ["x"], lambda x: x + 1)])


async def test_the_same_start_again_gives_the_execution_as_it_is_by_now(dsn: str) -> None:
    async with Journey(dsn, graphs=[GRAPH]) as journey:
        first = await journey.start_execution(GRAPH, {"x": 1}, execution_id="order-17")
        assert first.id == "order-17"
        assert await journey.get_value(first, "y", wait_any=True) == 2
        again = await journey.start_execution(GRAPH, {"x": 5}, execution_id="order-17")
        assert (again.id, again.values["x"].value, again.values["y"].value) == ("order-17", 1, 2)
        assert again.revision == (await journey.load("order-17")).revision
    async with Journey(dsn, graphs=[GRAPH]) as elsewhere:
        again = await elsewhere.start_execution(GRAPH, {"x": 5}, execution_id="order-17")
        assert again.values["x"].value == 1
        assert len(await elsewhere.computations("order-17")) == 1
        assert await elsewhere.count_executions() == 1


async def test_of_many_who_start_it_at_once_one_does(dsn: str) -> None:
    runs: Counter[int] = Counter()

    def counted(x: int) -> int:
        runs[x] += 1
        return x

    graph = Graph("orders", "v1", [input_node("x"), compute("y", ["x"], counted)])
    async with AsyncExitStack() as stack:
        journeys = [await stack.enter_async_context(Journey(dsn, graphs=[graph])) for _ in range(3)]
        started = await asyncio.gather(
            *(
                journey.start_execution(graph, {"x": n}, execution_id=f"order-{order}")
                for n, journey in enumerate(journeys * 2)
                for order in range(5)
            )
        )
        ids = {execution.id for execution in started}
        assert ids == {f"order-{order}" for order in range(5)}
        for execution_id in ids:
            same = {e.values["x"].value for e in started if e.id == execution_id}
            y = await journeys[0].get_value(execution_id, "y", settled=True)
            assert same == {y}
        assert runs.total() == 5


async def test_one_that_was_archived_stays_so_and_another_version_finds_it(dsn: str) -> None:
    newer = Graph("orders", "v2", [input_node("x"), input_node("z")])
    async with Journey(dsn, graphs=[GRAPH]) as journey:
        await journey.start_execution(GRAPH, execution_id="order-17")
        found = await journey.start_execution(newer, {"z": 1}, execution_id="order-17")
        assert (found.graph_version, "z" in found.values) == ("v1", False)
        await journey.archive("order-17")
        archived = await journey.start_execution(GRAPH, {"x": 1}, execution_id="order-17")
        assert archived.archived_at is not None
        assert not archived.values["x"].is_set


async def test_an_id_that_another_graph_has_is_refused(dsn: str) -> None:
    other = Graph("invoices", "v1", [input_node("x")])
    async with Journey(dsn) as journey:
        before = await journey.start_execution(GRAPH, execution_id="number_17")
        with pytest.raises(InvalidOptionError, match=r"of graph 'orders' already; give one of"):
            await journey.start_execution(other, {"x": 1}, execution_id="number_17")
        assert await journey.load("number_17") == before


@pytest.mark.parametrize("bad", ["", "a b", "a:b", "a/b", "é", "a" * 81, "-a", 17, b"a"])
async def test_an_id_that_is_none_is_refused(dsn: str, bad: Any) -> None:
    async with Journey(dsn) as journey:
        with pytest.raises(InvalidOptionError, match="execution_id must be"):
            await journey.start_execution(GRAPH, execution_id=bad)
        assert await journey.graphs() == []


async def test_a_singleton_has_no_id_of_ones_own(dsn: str) -> None:
    graph = Graph("settings", "v1", [input_node("x")], singleton=True)
    async with Journey(dsn) as journey:
        with pytest.raises(SingletonGraphError):
            await journey.start_execution(graph, execution_id="settings")


async def test_what_is_asked_before_it_is_started_is_refused_and_the_start_is_not(dsn: str) -> None:
    async with Journey(dsn, graphs=[GRAPH]) as journey:
        refused, started = await asyncio.gather(
            journey.archive("order-17"),
            journey.start_execution(GRAPH, {"x": 1}, execution_id="order-17"),
            return_exceptions=True,
        )
        assert isinstance(refused, ExecutionNotFound)
        assert isinstance(started, Execution)
        assert await journey.get_value(started, "y", wait_any=True) == 2


async def test_a_start_is_repeated_after_an_outage(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Journey(dsn, graphs=[GRAPH], patience=0.05) as journey:
        with monkeypatch.context() as outage:
            outage.setattr(journey._engine.store, "apply", unavailable)
            for _ in range(3):
                with pytest.raises(DatabaseUnavailable):
                    await journey.start_execution(GRAPH, {"x": 1}, execution_id="order-17")
        started = await again(
            lambda: journey.start_execution(GRAPH, {"x": 1}, execution_id="order-17")
        )
        assert await journey.get_value(started, "y", wait_any=True) == 2


async def test_an_id_that_was_contended_and_purged_can_be_given_again(dsn: str) -> None:
    keys: list[str] = []

    def noted(x: int, context: Context) -> int:
        keys.append(context.idempotency_key)
        return x

    graph = Graph("orders", "v1", [input_node("x"), compute("y", ["x"], noted)])
    async with Journey(dsn, graphs=[graph]) as journey:
        for x in (10, 9999):
            execution = await journey.start_execution(graph, {"x": x}, execution_id="order-17")
            assert await journey.get_value(execution, "y", wait_any=True) == x
            await journey.archive(execution)
            assert await journey.purge(older_than=timedelta(0)) == 1
            journey._engine.committer._flights._contention._contended.add("order-17")
    assert len(set(keys)) == 2


async def test_an_id_that_is_given_again_while_somebody_waits_for_its_row_is_no_singleton(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Journey(dsn, graphs=[GRAPH]) as journey, Journey(dsn, graphs=[GRAPH]) as other:
        flights, load = journey._engine.committer._flights, journey._engine.store.load
        flights._contention._contended.add("order-17")

        async def meanwhile(*arguments: Any, **options: Any) -> Any:
            monkeypatch.undo()
            execution = await other.start_execution(GRAPH, {"x": 1}, execution_id="order-17")
            await other.get_value(execution, "y", settled=True)
            return await load(*arguments, **options)

        monkeypatch.setattr(journey._engine.store, "load", meanwhile)
        with pytest.raises(ExecutionNotFound):
            await journey._engine.committer.submit("order-17", Wake())
        monkeypatch.undo()
        started = await journey.start_execution(GRAPH, {"x": 5}, execution_id="order-17")
        assert started.id == "order-17"


async def again(start: Callable[[], Awaitable[Execution]]) -> Execution:
    """Until the pause after the outage is over."""
    async with asyncio.timeout(30):
        while True:
            with suppress(DatabaseUnavailable):
                return await start()
