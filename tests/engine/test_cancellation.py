"""A verb that is cancelled anywhere has happened or has not, and leaves nothing behind."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from journey_async import Execution, Graph, Journey, Retry, compute, input_node
from tests.support.eventually import eventually
from tests.support.graphs import basic_graph, one_input

STEPS = range(61)


async def cancelled_after(steps: int, work: Awaitable[Any]) -> Any:
    """The result, if it came within so many steps of the event loop; else None."""
    task = asyncio.ensure_future(work)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return None


async def at_rest(journey: Journey) -> None:
    """What was under way has ended, and every connection is back in the pool."""
    engine = journey._engine
    lending = engine.store._lending
    async with asyncio.timeout(10):
        await engine.committer.rest()
    await eventually(lambda: lending.lent == 0)
    assert len(engine.waiters) == 0
    assert engine.committer.is_at_rest


async def test_setting_has_happened_or_not(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input())
        tasks = len(asyncio.all_tasks())
        sets = 0
        for steps in STEPS:
            before = await journey.load(execution)
            answer = await cancelled_after(steps, journey.set_value(execution, "x", steps))
            await at_rest(journey)
            after = await journey.load(execution)
            happened = after.revision - before.revision
            assert happened in (0, 1)
            assert after.values["x"].value == (steps if happened else before.values["x"].value)
            assert answer is None or happened
            sets += happened
        async with Journey(dsn, run_computations=False) as other:
            assert (await other.load(execution.id)).revision == sets
        assert len(asyncio.all_tasks()) <= tasks + 1


async def test_starting_has_happened_or_not(dsn: str, connection: Any) -> None:
    graph = basic_graph()
    async with Journey(dsn, graphs=[graph], max_concurrency=3) as journey:
        for steps in STEPS:
            known = {e.id for e in await journey.list_executions(limit=1000)}
            values = {"x": steps, "y": 1}
            answer = await cancelled_after(steps, journey.start_execution(graph, values))
            await at_rest(journey)
            started = [e for e in await journey.list_executions(limit=1000) if e.id not in known]
            assert len(started) <= 1
            assert answer is None or [answer.id] == [e.id for e in started]
            for execution in started:
                assert await journey.get_value(execution, "sum", settled=True) == steps + 1
        await eventually(lambda: journey._engine.runner.free == 3)
        query = "SELECT count(*) FROM journey.computations WHERE state <> 'success'"

        async def all_have_ended() -> bool:
            return not await connection.fetchval(query)

        await eventually(all_have_ended)


READS: list[Callable[[Journey, Execution], Awaitable[Any]]] = [
    lambda journey, e: journey.load(e),
    lambda journey, e: journey.get_value(e, "x", wait_any=True),
    lambda journey, e: journey.get_value(e, "sum", wait_any=True, timeout=5, default=None),
    lambda journey, e: journey.history(e),
    lambda journey, e: journey.list_executions(),
]


@pytest.mark.parametrize("read", READS)
async def test_reading_leaves_nothing_behind(
    dsn: str, read: Callable[[Journey, Execution], Awaitable[Any]]
) -> None:
    async with Journey(dsn, graphs=[basic_graph()]) as journey:
        execution = await journey.start_execution(basic_graph(), {"x": 1})
        for steps in STEPS:
            reads = [cancelled_after(steps, read(journey, execution)) for _ in range(3)]
            await asyncio.gather(*reads)
            await at_rest(journey)
        assert (await journey.load(execution)).values["x"].value == 1


async def test_readers_who_gave_up_are_forgotten_while_the_database_hangs(dsn: str) -> None:
    blocker: Any = await asyncpg.connect(dsn)
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input(), {"x": 1})
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE journey.executions IN ACCESS EXCLUSIVE MODE")
            first = asyncio.create_task(journey.load(execution))
            for _ in range(20):
                await cancelled_after(3, journey.load(execution))
            asked = journey._engine._reader._asked
            assert sum(map(len, asked.values())) <= 1
        assert (await first).values["x"].value == 1
    await blocker.close()


async def test_one_of_many_is_cancelled_and_the_others_go_on(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input())
        for steps in STEPS:
            many = [
                asyncio.create_task(journey.set_value(execution, "x", [steps, number]))
                for number in range(5)
            ]
            await cancelled_after(steps, many[2])
            others = await asyncio.gather(*many[:2], *many[3:])
            for number, snapshot in zip((0, 1, 3, 4), others, strict=True):
                assert snapshot.values["x"].value == [steps, number]
            await at_rest(journey)


async def test_archiving_and_singletons_have_happened_or_not(dsn: str, connection: Any) -> None:
    graph = one_input(singleton=True)
    live = "SELECT id FROM journey.executions WHERE archived_at IS NULL"
    slots = "SELECT execution_id AS id FROM journey.singletons"
    async with Journey(dsn) as journey:
        for steps in STEPS:
            await cancelled_after(steps, journey.find_or_start(graph))
            await at_rest(journey)
            assert await connection.fetch(live) == await connection.fetch(slots)
            execution = await journey.find_or_start(graph)
            await cancelled_after(steps, journey.archive(execution))
            await at_rest(journey)
            assert await connection.fetch(live) == await connection.fetch(slots)


def is_archived(execution: Execution) -> bool:
    return execution.archived_at is not None


def has_x(execution: Execution) -> bool:
    return execution.values["x"].is_set


Change = Callable[[Journey, Execution], Awaitable[Execution]]
PAIRS: list[tuple[Change, Change, Callable[[Execution], bool]]] = [
    (lambda j, e: j.archive(e), lambda j, e: j.unarchive(e), is_archived),
    (lambda j, e: j.set_value(e, "x", 1), lambda j, e: j.unset_value(e, "x"), has_x),
]


@pytest.mark.parametrize("do, undo, is_done", PAIRS)
async def test_undoing_has_happened_or_not(
    dsn: str, do: Change, undo: Change, is_done: Callable[[Execution], bool]
) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input())
        for steps in STEPS:
            before = await do(journey, execution)
            answer = await cancelled_after(steps, undo(journey, execution))
            await at_rest(journey)
            after = await journey.load(execution, include_archived=True)
            happened = after.revision - before.revision
            assert happened in (0, 1)
            assert is_done(after) is not bool(happened)
            assert answer is None or happened


async def test_operators_verbs_have_happened_or_not(dsn: str) -> None:
    began = asyncio.Event()

    async def runs_on(x: int) -> None:
        began.set()
        await asyncio.get_running_loop().create_future()

    retry = Retry(max_attempts=1)
    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], runs_on, retry=retry)])
    async with Journey(dsn, graphs=[graph], grace_period=0) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        for steps in STEPS[::3]:
            await began.wait()
            [running] = (await journey.load(execution)).computations
            await cancelled_after(steps, journey.abandon_computation(running.id))
            await at_rest(journey)
            [newest] = (await journey.load(execution)).computations
            assert newest.state in ("computing", "abandoned")
            if newest.state == "computing":
                await journey.abandon_computation(running.id)
            began.clear()
            await cancelled_after(steps, journey.retry_computation(execution, "y"))
            await at_rest(journey)
            [newest] = (await journey.load(execution)).computations
            assert newest.state in ("computing", "abandoned")
            if newest.state == "abandoned":
                await journey.retry_computation(execution, "y")


@pytest.mark.direct("counts connections of its own")
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144])
async def test_opening_leaves_nothing_behind(dsn: str, connection: Any, steps: int) -> None:
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    journey = Journey(dsn)
    if await cancelled_after(steps, journey.__aenter__()) is not None:
        await journey.close()
    assert asyncio.all_tasks() == tasks
    assert [t for t in set(threading.enumerate()) - threads if "liveness" in t.name] == []
    others = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )

    async def no_connection_is_left() -> bool:
        return not await connection.fetchval(others)

    await eventually(no_connection_is_left)
