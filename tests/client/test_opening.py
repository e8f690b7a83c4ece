"""How a Journey comes to its database and schema, and is opened once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from journey_async import Execution, ExecutionNotFound, Journey, JourneyError
from journey_async.errors import DatabaseUnavailable, InvalidOptionError
from tests.support.graphs import basic_graph, one_input

UNDER_WAY: dict[str, Callable[[Journey, Execution], Awaitable[Any]]] = {
    "register": lambda j, _: j.register(one_input(), one_input("another")),
    "start_execution": lambda j, _: j.start_execution(one_input()),
    "find_or_start": lambda j, _: j.find_or_start(one_input(singleton=True)),
    "load": lambda j, e: j.load(e),
    "set_value": lambda j, e: j.set_value(e, "x", 1),
    "unset_value": lambda j, e: j.unset_value(e, "x"),
    "retry_computation": lambda j, e: j.retry_computation(e, "sum"),
    "get_value": lambda j, e: j.get_value(e, "sum", wait_any=True),
    "values": lambda j, e: j.values(e),
    "computations": lambda j, e: j.computations(e),
    "history": lambda j, e: j.history(e),
    "why": lambda j, e: j.why(e, "sum"),
    "preview": lambda j, e: j.preview(e, set={"x": 1}),
    "introspect": lambda j, e: j.introspect(e),
    "mermaid": lambda j, e: j.mermaid(e),
    "list_executions": lambda j, _: j.list_executions(),
    "purge": lambda j, _: j.purge(older_than=0, batch_size=1),
}


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


@pytest.mark.parametrize(
    "dsn, here, there",
    [
        ("embedded://data", "embedded:data", "embedded:/data"),
        ("embedded:///var/data", "embedded:var/data", "embedded:/var/data"),
    ],
)
async def test_an_embedded_database_in_one_of_two_folders_is_in_none(
    dsn: str, here: str, there: str
) -> None:
    with pytest.raises(InvalidOptionError) as refused:
        await Journey(dsn).__aenter__()
    assert f"{here!r} for one below this one, {there!r} for one at the root" in str(refused.value)


@pytest.mark.parametrize("verb", UNDER_WAY)
async def test_a_verb_under_way_when_the_journey_is_closed_is_told_so(
    dsn: str, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asyncpg.create_pool(dsn) as pool, Journey(pool=pool, listen_dsn=dsn) as journey:
        execution = await journey.start_execution(basic_graph(), {"x": 1, "y": 2})
        archived = await journey.start_execution(one_input("archived"))
        await journey.archive(archived)
        engine = journey._engine
        has_begun, go_on = asyncio.Event(), asyncio.Event()

        def held_up(look: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
            async def looked(what: Any) -> Any:
                found = await look(what)
                has_begun.set()
                await go_on.wait()
                return found

            return looked

        monkeypatch.setattr(engine, "patiently", held_up(engine.patiently))
        monkeypatch.setattr(engine, "graph_of", held_up(engine.graph_of))
        under_way = asyncio.ensure_future(UNDER_WAY[verb](journey, execution))
        await has_begun.wait()
        await journey.close()
        go_on.set()
        with pytest.raises(DatabaseUnavailable, match="Journey was closed"):
            await under_way


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
