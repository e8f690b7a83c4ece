"""What a step costs at the database, counted in statements."""

import asyncio
from typing import Any

import pytest

from journey_async import Graph, Journey, compute, input_node
from tests.support.eventually import eventually
from tests.support.graphs import basic_graph
from tests.support.statements import Statements
from tests.support.waits import waits_in

APPLY = "apply_changes"


@pytest.mark.direct("counts statements, and a pooler has its own")
async def test_a_start_and_a_set_are_one_statement_each(dsn: str, statements: Statements) -> None:
    graph = basic_graph()
    async with Journey(dsn, graphs=[graph], run_computations=False) as journey:
        await journey.start_execution(graph)
        await statements.reset()
        execution = await journey.start_execution(graph)
        assert await statements.counts() == {APPLY: 1}
        await journey.set_value(execution, "x", 1)
        assert await statements.counts() == {APPLY: 2}
        await journey.set_value(execution.id, "x", 2)
        assert await statements.counts() == {APPLY: 3}


@pytest.mark.direct("counts statements, and a pooler has its own")
async def test_a_read_of_what_is_cached_is_one_small_statement(
    dsn: str, statements: Statements
) -> None:
    async with Journey(dsn, run_computations=False) as journey:
        execution = await journey.start_execution(basic_graph(), {"x": 1})
        await statements.reset()
        assert await journey.get_value(execution, "x") == 1
        assert await statements.counts() == {"read_versions": 1}


@pytest.mark.direct("counts statements, and a pooler has its own")
async def test_a_read_of_what_is_not_is_one_as_well(dsn: str, statements: Statements) -> None:
    graph = basic_graph()
    async with (
        Journey(dsn, graphs=[graph], run_computations=False) as writer,
        Journey(dsn, graphs=[graph], run_computations=False) as reader,
    ):
        await reader.start_execution(graph)  # everything that is asked for once
        execution = await writer.start_execution(graph, {"x": 1})
        for x in (2, 3):
            await writer.set_value(execution, "x", x)
            await reader._engine.hear_all()  # what it had is stale
            await statements.reset()
            assert await reader.get_value(execution.id, "x") == x
            assert await statements.counts() == {"load_executions": 1}


@pytest.mark.direct("counts statements, and a pooler has its own")
async def test_commands_given_together_share_statements(dsn: str, statements: Statements) -> None:
    graph = basic_graph()
    async with Journey(dsn, graphs=[graph], run_computations=False) as journey:
        executions = [await journey.start_execution(graph) for _ in range(5)]
        await statements.reset()
        await asyncio.gather(*(journey.set_value(e, "x", x) for x in range(10) for e in executions))
        counts = await statements.counts()
        assert counts.keys() == {APPLY}
        assert counts[APPLY] <= 2


@pytest.mark.direct("counts statements, and a pooler has its own")
async def test_only_who_has_older_code_asks_who_has_newer(dsn: str, statements: Statements) -> None:
    asked = "reinstate_graph"
    old, new = Graph("g", "v1", [input_node("x")]), Graph("g", "v1", [input_node("y")])
    async with Journey(dsn, graphs=[old]) as one:
        await one._engine.safety_check.check()
        assert asked not in await statements.counts()
        async with Journey(dsn, graphs=[new]) as two:
            await two._engine.safety_check.check()
            assert asked not in await statements.counts()
            await one._engine.safety_check.check()
            assert asked in await statements.counts()


@pytest.mark.direct("counts statements, and a pooler has its own")
async def test_definitions_are_asked_for_once_for_many_executions(
    dsn: str, statements: Statements
) -> None:
    old, new = Graph("g", "v1", [input_node("x")]), Graph("g", "v1", [input_node("y")])
    async with Journey(dsn, graphs=[old], run_computations=False) as journey:
        for _ in range(20):
            await journey.start_execution(old)
        async with Journey(dsn, graphs=[new]) as newer:
            await statements.reset()
            assert len(await newer.list_executions()) == 20
            await newer._engine.evolver.check()
            found = await newer.list_executions()
            assert {execution.graph_hash for execution in found} == {new.hash}
            assert (await statements.counts())["find_graphs"] <= 10


@pytest.mark.direct("counts statements, and a pooler has its own")
async def test_what_is_looked_at_now_and_then_are_all_graphs_at_once(
    dsn: str, statements: Statements
) -> None:
    graphs = [Graph(f"g{n}", "v1", [input_node("x")]) for n in range(7)]
    async with Journey(dsn, graphs=graphs, run_computations=False) as journey:
        await statements.reset()
        await journey._engine.registry.restore()
        assert (await statements.counts())["find_graphs"] == 1


@pytest.mark.direct("counts statements, and a pooler has its own")
async def test_a_definition_that_nobody_here_knows_is_asked_for_once(
    dsn: str, statements: Statements
) -> None:
    graph = basic_graph()
    async with Journey(dsn, graphs=[graph], run_computations=False) as journey:
        started = [await journey.start_execution(graph, {"x": 1}) for _ in range(20)]
    async with Journey(dsn, run_computations=False) as client:
        await statements.reset()
        await asyncio.gather(*(client.get_value(execution.id, "x") for execution in started))
        assert (await statements.counts())["find_graphs"] == 1


async def test_a_definition_is_sent_to_a_process_once(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = Graph("g", "v1", [input_node("x")]), Graph("g", "v1", [input_node("y")])
    async with Journey(dsn, graphs=[old], run_computations=False) as journey:
        execution = await journey.start_execution(old)
        async with Journey(dsn, graphs=[new], run_computations=False) as newer:
            ask, asked, sent = newer._engine.store.graphs, list[str](), list[str]()

            async def noted(*args: Any) -> Any:
                answer = await ask(*args)
                asked.append(args[0])
                sent.extend(
                    graph_hash
                    for definitions in answer.values()
                    for graph_hash, text, _ in definitions
                    if text is not None
                )
                return answer

            monkeypatch.setattr(newer._engine.store, "graphs", noted)
            await newer.values(execution.id)
            await newer._engine.registry.restore()
            assert asked
            assert sent == []


@pytest.mark.direct("counts statements, and a pooler has its own")
async def test_a_computation_is_one_statement(dsn: str, statements: Statements) -> None:
    steps = [compute(f"n{i}", [f"n{i - 1}"], lambda values: 1) for i in range(1, 11)]
    graph = Graph("chain", "v1", [input_node("n0"), *steps])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        wait = asyncio.create_task(journey.get_value(execution, "n10", wait_any=True))
        await eventually(lambda: waits_in(journey) == 1)
        await journey._engine.rest()  # the first safety check, and the read of the wait
        await statements.reset()
        await journey.set_value(execution, "n0", 1)
        assert await wait == 1
        # the set with the first claim, then ten results with what each begins
        assert await statements.counts() == {APPLY: 11}
