"""Many writers on one execution, rows that somebody holds, and changes that are refused."""

import asyncio
from typing import Any

import pytest

from journey_async import Graph, Journey, compute, input_node
from journey_async.core.commands import SetValues, Wake
from journey_async.engine.points import Point
from journey_async.engine.requests import Overtaken
from journey_async.errors import DatabaseUnavailable, InvalidValueError
from journey_async.testing import TestJourney, crash_at
from tests.support.eventually import eventually
from tests.support.graphs import one_input
from tests.support.locks import waiting_for_locks

HOLD = "SELECT id FROM journey.executions WHERE id = ANY ($1::text[]) FOR NO KEY UPDATE"
POISON = SetValues({"x": "a\0b"})  # jsonb cannot hold it; callers are refused long before


async def test_no_set_is_lost_among_many_writers(dsn: str) -> None:
    names = [f"x{number}" for number in range(12)]
    graph = Graph("g", "v1", [input_node(name) for name in names])
    async with Journey(dsn) as one, Journey(dsn) as two, Journey(dsn) as three:
        execution = await one.start_execution(graph)

        async def write(journey: Journey, name: str) -> None:
            for number in range(10):
                written = await journey.set_value(execution.id, name, number)
                assert written.values[name].value == number

        journeys = [one, two, three]
        async with asyncio.timeout(60):
            await asyncio.gather(*(write(journeys[i % 3], name) for i, name in enumerate(names)))
        for journey in journeys:
            found = await journey.load(execution.id)
            assert found.revision == 120
            assert {name: found.values[name].value for name in names} == dict.fromkeys(names, 9)
            assert len({found.values[name].revision for name in names}) == 12


async def test_the_same_input_from_many_writers_ends_with_one_of_theirs(dsn: str) -> None:
    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], lambda x: [x])])
    async with (
        Journey(dsn, graphs=[graph]) as one,
        Journey(dsn, graphs=[graph]) as two,
        Journey(dsn, graphs=[graph]) as three,
    ):
        execution = await one.start_execution(graph)
        snapshots = await asyncio.gather(
            *(j.set_value(execution.id, "x", i) for i, j in enumerate([one, two, three] * 10))
        )
        newest = max(snapshots, key=lambda s: s.values["x"].revision)
        assert len({s.values["x"].revision for s in snapshots}) == 30
        x = newest.values["x"].value
        for journey in (one, two, three):
            assert await journey.get_value(execution.id, "y", settled=True) == [x]
            assert (await journey.load(execution.id)).values["x"].value == x


async def test_a_write_waits_for_a_row_that_somebody_holds(dsn: str, connection: Any) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input())
        async with connection.transaction():
            await connection.fetch(HOLD, [execution.id])
            writes = [asyncio.create_task(journey.set_value(execution, "x", i)) for i in range(5)]
            await eventually(lambda: waiting_for_locks(connection))
            assert not any(write.done() for write in writes)
            assert await journey.get_value(execution, "x", default="none yet") == "none yet"
        assert [s.revision for s in await asyncio.gather(*writes)] == [1, 2, 3, 4, 5]


@pytest.mark.direct("wants more connections than the pooler has")
async def test_rows_that_somebody_holds_do_not_hold_up_other_executions(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn) as journey:
        held = [await journey.start_execution(one_input()) for _ in range(20)]
        free = await journey.start_execution(one_input())
        writes = []
        async with connection.transaction():
            await connection.fetch(HOLD, [execution.id for execution in held])
            for execution in held:
                writes.append(asyncio.create_task(journey.set_value(execution, "x", 1)))
                await journey.set_value(free, "x", len(writes))
            for _ in range(100):
                await journey.set_value(free, "x", "still free")
                await journey.set_value(free, "x", "still free of it")
            assert not any(write.done() for write in writes)
        assert {w.revision for w in await asyncio.gather(*writes)} == {1}


@pytest.mark.direct("wants more connections than the pooler has")
async def test_nor_those_that_others_write_as_well(dsn: str, connection: Any) -> None:
    async with Journey(dsn) as journey:
        held = [await journey.start_execution(one_input()) for _ in range(8)]
        contended = await journey.start_execution(one_input())
        contention = journey._engine.committer._flights._contention
        async with connection.transaction():
            await connection.fetch(HOLD, [execution.id for execution in held])
            writes = [asyncio.create_task(journey.set_value(e, "x", 1)) for e in held]
            await eventually(
                lambda: contention.among([e.id for e in held]) == {*(e.id for e in held)}
            )
            contention._contended.add(contended.id)
            async with asyncio.timeout(30):  # those that are held may be waited for
                await journey.set_value(contended, "x", 1)
            assert not any(write.done() for write in writes)
        assert {w.revision for w in await asyncio.gather(*writes)} == {1}


async def test_a_refused_change_takes_no_innocent_one_along(dsn: str) -> None:
    async with Journey(dsn) as journey:
        executions = [await journey.start_execution(one_input()) for _ in range(5)]
        submit = journey._engine.submit
        results = await asyncio.gather(
            *(submit(e.id, SetValues({"x": "good"})) for e in executions[:2]),
            submit(executions[2].id, POISON),
            *(submit(e.id, SetValues({"x": "good"})) for e in executions[3:]),
            return_exceptions=True,
        )
        assert isinstance(results[2], InvalidValueError)
        assert [type(r).__name__ for r in results].count("Answer") == 4
        values = [await journey.get_value(e, "x", default="none") for e in executions]
        assert values == ["good", "good", "none", "good", "good"]


async def test_nor_those_that_share_its_execution(dsn: str) -> None:
    graph = Graph("g", "v1", [input_node("x"), input_node("y"), compute("z", ["y"], lambda y: y)])
    async with Journey(dsn, graphs=[graph], max_concurrency=3) as journey:
        execution = await journey.start_execution(graph)
        submit = journey._engine.submit
        results = await asyncio.gather(
            submit(execution.id, SetValues({"y": 1})),
            submit(execution.id, POISON),
            submit(execution.id, SetValues({"y": 2})),
            return_exceptions=True,
        )
        names = [type(result).__name__ for result in results]
        assert names == ["Answer", "InvalidValueError", "Answer"]
        assert await journey.get_value(execution, "z", settled=True) == 2
        assert (await journey.load(execution)).values["y"].revision < 5
        assert journey._engine.runner.free == 3


async def test_a_refused_change_under_the_lock_takes_no_innocent_one_along(
    dsn: str, connection: Any
) -> None:
    graph = Graph("g", "v1", [input_node("x"), input_node("z"), compute("y", ["z"], lambda z: z)])
    async with Journey(dsn, graphs=[graph], max_concurrency=5) as journey:
        held = await journey.start_execution(graph)
        others = [await journey.start_execution(graph) for _ in range(4)]
        submit = journey._engine.submit
        async with connection.transaction():
            await connection.fetch(HOLD, [held.id])
            poisoned = asyncio.create_task(submit(held.id, POISON))
            shared = asyncio.create_task(submit(held.id, SetValues({"z": "good"})))
            writes = [asyncio.create_task(journey.set_value(e, "z", 1)) for e in others]
            await eventually(lambda: waiting_for_locks(connection))
            assert not poisoned.done()
        results = await asyncio.gather(poisoned, shared, *writes, return_exceptions=True)
        assert isinstance(results[0], InvalidValueError)
        assert [r for r in results[1:] if isinstance(r, BaseException)] == []
        for execution in others:
            assert await journey.get_value(execution, "y", settled=True) == 1
        assert await journey.get_value(held, "y", settled=True) == "good"
        await eventually(lambda: journey._engine.runner.free == 5)


async def test_who_only_wakes_an_execution_leaves_it_to_who_was_faster(dsn: str) -> None:
    async with Journey(dsn) as journey, Journey(dsn, run_computations=False) as faster:
        execution = await journey.start_execution(one_input(), {"x": 1})
        cache, committer = journey._engine.cache, journey._engine.committer
        before = cache.get(execution.id)
        assert before is not None
        await faster.set_value(execution, "x", 2)
        await journey._engine.hear_all()
        cache.put(before)  # as if it had not heard of it yet
        with pytest.raises(Overtaken):
            await committer.submit(execution.id, Wake(), yields=True)
        cache.put(before)
        answer = await committer.submit(execution.id, Wake())
        assert answer.state.values["x"].value == 2


@pytest.mark.direct("has one connection in its pool")
async def test_the_only_connection_is_enough_for_a_row_lock(dsn: str, connection: Any) -> None:
    """Also where what is locked is on another definition than the code that is here."""
    old = one_input("g")
    new = Graph("g", "v1", [input_node("x"), input_node("y")])
    async with (
        Journey(dsn, graphs=[old], pool_size=1) as journey,
        Journey(dsn, graphs=[new], run_computations=False) as other,
    ):
        execution = await other.start_execution(new)
        async with connection.transaction():
            await connection.fetch(HOLD, [execution.id])
            write = asyncio.create_task(journey.set_value(execution.id, "x", 1))
            await eventually(lambda: waiting_for_locks(connection))
        async with asyncio.timeout(30):
            assert (await write).values["x"].value == 1


async def test_a_write_that_was_about_to_wait_for_a_row_when_its_journey_died_is_refused(
    dsn: str,
) -> None:
    async with TestJourney(dsn) as journey:
        contended, other = [await journey.start_execution(one_input()) for _ in range(2)]
        journey._engine.committer._flights._contention._contended.add(contended.id)
        crash_at(journey, Point.BEFORE_COMMIT)
        writes = (journey.set_value(execution, "x", 1) for execution in (contended, other))
        async with asyncio.timeout(10):
            refused = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(error) for error in refused] == [DatabaseUnavailable] * 2
