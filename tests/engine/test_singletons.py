"""One live execution of a singleton graph, whoever asks for it at once."""

import asyncio
from typing import Any

import pytest

from journey_async import ExecutionArchivedError, Journey, SingletonGraphError
from tests.support.graphs import basic_graph, one_input

COUNT = "SELECT count(*) FROM journey.executions"
LIVE = "SELECT id FROM journey.executions WHERE archived_at IS NULL"
SLOTS = "SELECT execution_id AS id FROM journey.singletons"


async def test_everybody_finds_or_starts_the_same_execution(dsn: str, connection: Any) -> None:
    graph = one_input(singleton=True)
    async with Journey(dsn) as one, Journey(dsn) as two:
        found = await asyncio.gather(
            *(journey.find_or_start(graph) for _ in range(10) for journey in (one, two))
        )
        assert len({execution.id for execution in found}) == 1
        assert await connection.fetchval(COUNT) == 1


async def test_archiving_frees_the_slot(dsn: str) -> None:
    graph = one_input(singleton=True)
    async with Journey(dsn) as journey:
        first = await journey.find_or_start(graph)
        await journey.archive(first)
        second = await journey.find_or_start(graph)
        assert second.id != first.id
        assert (await journey.find_or_start(graph)).id == second.id


async def test_a_taken_slot_cannot_be_taken_back(dsn: str) -> None:
    graph = one_input(singleton=True)
    async with Journey(dsn) as journey:
        first = await journey.find_or_start(graph)
        archived = await journey.archive(first)
        second = await journey.find_or_start(graph)
        with pytest.raises(SingletonGraphError) as raised:
            await journey.unarchive(first)
        assert raised.value.graph_name == graph.name
        assert await journey.load(first, include_archived=True) == archived
        await journey.archive(second)
        assert (await journey.unarchive(first)).archived_at is None
        assert (await journey.find_or_start(graph)).id == first.id


async def test_nor_by_several_who_ask_at_once(dsn: str) -> None:
    graph = one_input(singleton=True)
    async with Journey(dsn) as journey:
        first = await journey.find_or_start(graph)
        await journey.archive(first)
        second = await journey.find_or_start(graph)
        async with asyncio.timeout(20):
            refused = await asyncio.gather(
                *(journey.unarchive(first) for _ in range(3)), return_exceptions=True
            )
        assert [type(error) for error in refused] == [SingletonGraphError] * 3
        await journey.archive(second)
        both = await asyncio.gather(journey.unarchive(first), journey.unarchive(first))
        assert [execution.archived_at for execution in both] == [None, None]


async def test_others_do_not_suffer_from_a_slot_that_is_taken(dsn: str) -> None:
    graph = one_input(singleton=True)
    async with Journey(dsn) as journey:
        first = await journey.find_or_start(graph)
        await journey.archive(first)
        second = await journey.find_or_start(graph)
        results = await asyncio.gather(
            journey.unarchive(first),
            journey.set_value(second, "x", 1),
            journey.start_execution(basic_graph(), {"x": 1}),
            return_exceptions=True,
        )
        assert isinstance(results[0], SingletonGraphError)
        assert not isinstance(results[1], BaseException)
        assert not isinstance(results[2], BaseException)


async def test_a_command_behind_an_unarchiving_gets_its_own_answer(dsn: str) -> None:
    graph = one_input(singleton=True)
    async with Journey(dsn) as journey:
        first = await journey.find_or_start(graph)
        await journey.archive(first)
        await journey.find_or_start(graph)
        results = await asyncio.gather(
            journey.unarchive(first), journey.set_value(first, "x", 1), return_exceptions=True
        )
        assert [type(r) for r in results] == [SingletonGraphError, ExecutionArchivedError]


async def test_archiving_and_unarchiving_can_share_a_write(dsn: str) -> None:
    graph = one_input(singleton=True)
    async with Journey(dsn) as journey:
        execution = await journey.find_or_start(graph)
        archived, unarchived = await asyncio.gather(
            journey.archive(execution), journey.unarchive(execution)
        )
        assert (archived.revision, unarchived.revision) == (1, 2)
        assert (await journey.find_or_start(graph)).id == execution.id


async def test_archiving_and_finding_at_once_end_with_one_live_execution(
    dsn: str, connection: Any
) -> None:
    graph = one_input(singleton=True)
    async with Journey(dsn) as one, Journey(dsn) as two:
        for _ in range(10):
            execution = await one.find_or_start(graph)
            await asyncio.gather(
                one.archive(execution), two.find_or_start(graph), one.find_or_start(graph)
            )
            live = await connection.fetch(LIVE)
            slots = await connection.fetch(SLOTS)
            assert live == slots
            assert len(live) <= 1


async def test_what_is_found_is_alive(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = one_input(singleton=True)
    async with Journey(dsn) as one, Journey(dsn) as two:
        first = await one.find_or_start(graph)
        store = one._engine.store
        singleton = store.singleton

        async def archived_meanwhile(graph_name: str) -> str | None:
            found = await singleton(graph_name)
            await two.archive(first)
            return found

        monkeypatch.setattr(store, "singleton", archived_meanwhile)
        assert (await one.find_or_start(graph)).archived_at is None


async def test_singletons_of_several_graphs_start_together(dsn: str) -> None:
    graphs = [one_input(f"graph {number}", singleton=True) for number in range(10)]
    async with Journey(dsn, graphs=graphs) as one, Journey(dsn, graphs=graphs) as two:
        async with asyncio.timeout(20):
            found = await asyncio.gather(
                *(one.find_or_start(graph) for graph in graphs),
                *(two.find_or_start(graph) for graph in reversed(graphs)),
            )
        assert len({execution.id for execution in found}) == 10
