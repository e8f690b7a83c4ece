"""How a Journey comes to its database and schema, and is opened once."""

import asyncio

import pytest

from journey_async import ExecutionNotFound, Journey, JourneyError
from journey_async.errors import DatabaseUnavailable, InvalidOptionError
from tests.support.graphs import basic_graph, one_input


async def test_a_journey_must_be_open(dsn: str) -> None:
    journey = Journey(dsn)
    with pytest.raises(JourneyError, match="not open"):
        await journey.start_execution(one_input())
    async with journey:
        execution = await journey.start_execution(one_input())
        with pytest.raises(JourneyError, match="open already"):
            await journey.__aenter__()
    with pytest.raises(JourneyError, match="not open"):
        await journey.load(execution)
    await journey.close()  # once more does no harm


async def test_a_journey_is_opened_once_though_two_begin_to(dsn: str) -> None:
    journey = Journey(dsn)
    first, second = await asyncio.gather(
        journey.__aenter__(), journey.__aenter__(), return_exceptions=True
    )
    assert first is journey
    assert isinstance(second, JourneyError)
    await journey.close()
    async with journey:
        pass


async def test_a_journey_needs_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNEY_DATABASE_URL", raising=False)
    with pytest.raises(InvalidOptionError, match="JOURNEY_DATABASE_URL"):
        await Journey().__aenter__()
    with pytest.raises(DatabaseUnavailable):
        await Journey("postgresql://localhost:1/none").__aenter__()


async def test_the_environment_names_the_database(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNEY_DATABASE_URL", dsn)
    async with Journey() as journey:
        assert (await journey.start_execution(one_input())).revision == 0


@pytest.mark.parametrize("schema", ['we"ird Schema; drop', "ünïcode", "a" * 63, "Public"])
async def test_any_name_can_be_the_schemas(empty_dsn: str, schema: str) -> None:
    async with Journey(empty_dsn, schema=schema) as journey:
        execution = await journey.start_execution(basic_graph(), {"x": 1, "y": 2})
        assert await journey.get_value(execution, "sum", wait_any=True) == 3
        async with Journey(empty_dsn, schema=schema, run_computations=False) as other:
            wait = asyncio.create_task(other.get_value(execution.id, "sum", newer_than=4))
            await journey.set_value(execution, "x", 2)
            assert await wait == 4


async def test_two_schemas_side_by_side_know_nothing_of_each_other(empty_dsn: str) -> None:
    graph = basic_graph(singleton=True)
    async with Journey(empty_dsn, schema="a") as one, Journey(empty_dsn, schema="A") as two:
        execution = await one.find_or_start(graph)
        other = await two.find_or_start(graph)
        assert execution.id != other.id
        with pytest.raises(ExecutionNotFound):
            await two.load(execution)
        with pytest.raises(ExecutionNotFound):
            await two.set_value(execution, "x", 1)
        await one.set_values(execution, {"x": 1, "y": 2})
        assert await one.get_value(execution, "sum", wait_any=True) == 3
        assert (await two.load(other)).revision == 0
