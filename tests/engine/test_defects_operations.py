"""Faults of the Elixir original in deployments and operation; docs/defects-of-the-original.md."""

import asyncio
from typing import Any

import pytest

from journey_async import (
    Execution,
    Graph,
    Journey,
    archive,
    compute,
    input_node,
    tick_once,
)
from journey_async.errors import GraphConflictError, GraphError, GraphNotRegisteredError
from tests.support.eventually import eventually
from tests.support.graphs import one_input

HASHES = "SELECT DISTINCT graph_hash FROM journey.executions"


def graph_of(*names: str, **options: Any) -> Graph:
    """An input `x`, and steps that take it."""
    steps = [compute(name, ["x"], lambda x: x) for name in names]
    return Graph("g", "v1", [input_node("x"), *steps], **options)


# --- a graph that changes under its name and version ------------------------------------------


async def test_a_node_that_is_added_runs_in_idle_executions(dsn: str) -> None:  # B47
    async with Journey(dsn, graphs=[graph_of()]) as old:
        executions = [await old.start_execution(graph_of(), {"x": x}) for x in range(3)]
    async with Journey(dsn, graphs=[graph_of("y")]) as new:

        async def all_have_it() -> bool:
            found = [(await new.load(e.id)).values["y"] for e in executions]
            return [v.value for v in found if v.is_set] == [0, 1, 2]

        await eventually(all_have_it)


async def test_two_definitions_side_by_side_do_not_take_turns(  # B47
    dsn: str, connection: Any
) -> None:
    before, after = graph_of("y"), graph_of("y", "z")
    async with Journey(dsn, graphs=[before]) as old:
        executions = [await old.start_execution(before, {"x": 0}) for _ in range(5)]
        async with Journey(dsn, graphs=[after]) as new:
            for x in range(1, 6):
                for execution in executions:
                    await asyncio.gather(
                        new.set_value(execution, "x", -x),
                        old.set_value(execution.id, "x", -x - 100),
                    )
                    await old.set_value(execution.id, "x", x)
                    assert await new.get_value(execution.id, "z", settled=True) == x
                    assert await old.get_value(execution.id, "y", settled=True) == x
                    assert (await old.load(execution.id)).graph_hash == after.hash
            assert [row["graph_hash"] for row in await connection.fetch(HASHES)] == [after.hash]


async def test_a_node_may_not_change_its_kind_while_executions_have_the_old(  # B47
    dsn: str,
) -> None:
    other_kind = Graph("g", "v1", [input_node("x"), tick_once("y", ["x"], lambda x: x)])
    async with Journey(dsn, graphs=[graph_of("y")]) as old:
        execution = await old.start_execution(graph_of("y"), {"x": 1})
        with pytest.raises(GraphConflictError):
            await old.register(other_kind)
        with pytest.raises(GraphConflictError):
            await Journey(dsn, graphs=[other_kind]).__aenter__()
        await old.set_value(execution, "x", 2)
        assert await old.get_value(execution, "y", settled=True) == 2


async def test_nor_while_an_archived_execution_with_the_old_kind_may_come_back(  # B47
    dsn: str,
) -> None:
    other_kind = Graph("g", "v1", [input_node("x"), tick_once("y", ["x"], lambda x: 10**9)])
    async with Journey(dsn, graphs=[graph_of("y")]) as old:
        execution = await old.start_execution(graph_of("y"), {"x": 1})
        await old.get_value(execution, "y", wait_any=True)
        await old.archive(execution)
    try:
        async with Journey(dsn, graphs=[other_kind]) as new:
            await new.unarchive(execution)
            assert await new.get_value(execution.id, "y", settled=True) == 10**9
    except GraphConflictError:
        pass  # refusing one or the other would be as good


async def test_an_archived_execution_can_be_loaded_though_the_graph_has_changed(  # B34
    dsn: str,
) -> None:
    async with Journey(dsn, graphs=[graph_of()]) as old:
        execution = await old.start_execution(graph_of(), {"x": 1})
        archived = await old.archive(execution)
    async with Journey(dsn, graphs=[graph_of("y")]) as new:
        for _ in range(2):
            found = await new.load(execution.id, include_archived=True)
            assert (found.id, found.archived_at) == (execution.id, archived.archived_at)
            assert found.values["x"].value == 1
        carried_on = await new.unarchive(execution.id)
        assert await new.get_value(carried_on, "y", wait_any=True) == 1


@pytest.mark.parametrize(
    "becomes, refusal",
    [
        # as a later release might write it
        (
            """UPDATE journey.graphs SET definition = definition || '{"colour": "red"}' """,
            GraphError,
        ),
        ("DELETE FROM journey.graphs", GraphNotRegisteredError),
    ],
    ids=["unreadable", "lost"],
)
async def test_a_definition_that_cannot_be_read_harms_no_other_execution(  # B18
    dsn: str, connection: Any, becomes: str, refusal: type[Exception]
) -> None:
    bad = Graph("bad", "v1", [input_node("x")])
    async with Journey(dsn, run_computations=False) as journey:
        unreadable = await journey.start_execution(bad)
        executions = [await journey.start_execution(one_input()) for _ in range(3)]
    await connection.execute(f"{becomes} WHERE name = 'bad'")
    async with Journey(dsn, graphs=[one_input()], run_computations=False) as journey:
        refused, *kept = await asyncio.gather(
            *(journey.archive(e.id) for e in [unreadable, *executions]), return_exceptions=True
        )
        assert isinstance(refused, refusal)
        for one in kept:
            if isinstance(one, BaseException):
                raise one
        # nor is the rest of a batch refused, if it may have been written without an answer
        one = await journey.unarchive(executions[0].id)
        setting = asyncio.create_task(journey.set_value(one, "x", 1))
        await asyncio.sleep(0)  # it waits for the next batch
        journey._engine.committer.take_in([unreadable.id])
        await setting
        with pytest.raises(refusal):
            await journey.archive(unreadable.id)


async def test_work_begun_by_a_lost_answer_harms_nobody_once_the_graph_has_changed(  # B17, B18
    dsn: str, connection: Any
) -> None:
    began = asyncio.Event()

    async def hangs(x: int) -> None:
        began.set()
        await asyncio.Event().wait()

    nodes = [input_node("x"), compute("y", ["x"], hangs)]
    before, after = Graph("g", "v1", nodes), Graph("g", "v1", [*nodes, input_node("z")])
    async with Journey(dsn, graphs=[before], grace_period=0) as old:
        execution = await old.start_execution(before, {"x": 1})
        innocent = await old.start_execution(one_input())
        await began.wait()
        async with Journey(dsn, graphs=[after], grace_period=0) as new:
            await new.set_value(execution.id, "z", 1)
            # a begin of the old process of which it has not heard, as its connection was lost
            await connection.execute("UPDATE journey.computations SET token = token - 1")
            await connection.execute("UPDATE journey.executions SET version = version + 1")
            old._engine.committer._loader.mark_uncertain(execution.id)
            written = await asyncio.gather(
                old.set_value(execution.id, "x", 2),
                old.set_value(innocent, "x", 3),
                return_exceptions=True,
            )
            assert [type(one) for one in written] == [Execution, Execution]


# --- singletons, archiving --------------------------------------------------------------------


async def test_a_singleton_stays_one_however_it_is_archived_and_carried_on(  # B25
    dsn: str, connection: Any
) -> None:
    graph = one_input(singleton=True)
    async with Journey(dsn) as one, Journey(dsn) as two:
        first = await one.find_or_start(graph)
        await one.archive(first)
        await asyncio.gather(
            *(journey.find_or_start(graph) for journey in (one, two) for _ in range(5)),
            one.unarchive(first),
            two.unarchive(first),
            return_exceptions=True,
        )
        live = await connection.fetch("SELECT id FROM journey.executions WHERE archived_at IS NULL")
        assert len(live) == 1
        assert {(await journey.find_or_start(graph)).id for journey in (one, two)} == {
            live[0]["id"]
        }


async def test_what_archived_itself_can_be_carried_on(dsn: str) -> None:  # B57, B6
    graph = Graph(
        "g",
        "v1",
        [
            input_node("x"),
            archive("end", ["x"]),
            compute("after", ["end"], lambda end: end > 0),
        ],
    )
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        assert execution.archived_at is not None
        assert not execution.values["after"].is_set
        assert [c.node for c in execution.computations] == ["end"]
        carried_on = await journey.unarchive(execution)
        assert carried_on.archived_at is None
        assert await journey.get_value(execution, "after", wait_any=True) is True
        assert (await journey.load(execution)).archived_at is None
