"""How a worker ends: by closing, or killed while it does."""

import asyncio
from typing import Any

import pytest

from journey_async import Execution, Graph, Journey, Retry, compute, input_node
from journey_async.engine import committer, runner
from journey_async.errors import DatabaseUnavailable, JourneyError
from tests.support.eventually import eventually
from tests.support.locks import waiting_for_locks
from tests.support.workers import HELD, LOCK, RENEWED, graph_of, workers_are

pytestmark = pytest.mark.usefixtures("dead_are_forgotten_at_once")


@pytest.mark.parametrize("ends", [True, False], ids=["an end", "a release"])
async def test_what_a_closing_worker_cannot_write_is_taken_over_as_of_one_that_died(
    dsn: str,
    connection: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    ends: bool,
) -> None:
    """At once, and not only when the safety check finds it."""
    monkeypatch.setattr(runner, "LAST_GRACE", 0.1)
    monkeypatch.setattr(committer, "LAST_PATIENCE", 0.1)
    running, end = asyncio.Event(), asyncio.Event()

    async def first(x: int) -> int:
        running.set()
        await end.wait()
        return x

    closing = Journey(dsn, graphs=[graph_of(first)], grace_period=0)
    async with connection.transaction(), closing:
        execution = await closing.start_execution(graph_of(first), {"x": 1})
        await running.wait()
        await connection.execute(LOCK, execution.id)
        if ends:
            end.set()
            await eventually(lambda: closing._engine.runner.owes)
    told = [(r.levelname, r.exc_info) for r in caplog.records if "others will run it" in r.message]
    assert set(told) == {("WARNING", None)}
    async with Journey(dsn, graphs=[graph_of(lambda x: -x)]) as other:
        assert await other.get_value(execution.id, "y", wait_any=True) == -1
        assert other._engine.safety_check.left_behind == 0
        await eventually(lambda: workers_are(connection, 1))


async def test_a_beginning_of_which_a_closing_worker_heard_nothing_is_taken_over_as_well(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LAST_GRACE", 0.1)
    monkeypatch.setattr(committer, "LAST_PATIENCE", 0.1)
    graph = graph_of(lambda x: x)
    async with Journey(dsn, graphs=[graph], grace_period=0) as closing:
        store = closing._engine.store
        apply, written = store.apply, asyncio.Event()

        async def unanswered(*args: Any, **kwargs: Any) -> None:
            await apply(*args, **kwargs)
            written.set()
            await asyncio.get_running_loop().create_future()

        monkeypatch.setattr(store, "apply", unanswered)
        starting = asyncio.create_task(closing.start_execution(graph, {"x": 1}))
        await written.wait()
    with pytest.raises(DatabaseUnavailable):
        await starting
    execution = await connection.fetchval("SELECT id FROM journey.executions")
    async with Journey(dsn, graphs=[graph]) as other:
        assert await other.get_value(execution, "y", wait_any=True) == 1
        assert other._engine.safety_check.left_behind == 0


@pytest.mark.hears("holds a lock, as nobody can behind a pooler")
async def test_a_closing_worker_is_replaced_before_it_has_taken_its_last_statement_back(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which takes its time where the database does not answer."""
    monkeypatch.setattr(runner, "LAST_GRACE", 0.1)
    monkeypatch.setattr(committer, "LAST_PATIENCE", 0.1)
    graph = graph_of(lambda x: -x)
    stuck, answers = asyncio.Event(), asyncio.Event()
    closing = Journey(dsn, graphs=[graph], grace_period=0)
    await closing.__aenter__()
    store = closing._engine.store
    apply = store.apply

    async def unanswered(changes: Any, **kwargs: Any) -> Any:
        if any(k.completed_at for change in changes for k in change.computations.values()):
            stuck.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await answers.wait()
        return await apply(changes, **kwargs)

    monkeypatch.setattr(store, "apply", unanswered)
    execution = await closing.start_execution(graph, {"x": 1})
    await stuck.wait()
    end = asyncio.create_task(closing.close())
    try:
        async with Journey(dsn, graphs=[graph]) as other:
            assert await other.get_value(execution, "y", wait_any=True) == -1
            assert not end.done()
    finally:
        answers.set()
        await end


async def test_what_could_not_be_written_once_is_not_owed_for_ever(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = graph_of(lambda x: x)
    async with Journey(dsn, graphs=[graph]) as journey:
        engine, failed = journey._engine, asyncio.Event()
        apply = engine.store.apply

        async def refused_once(changes: Any, **kwargs: Any) -> Any:
            if any(c.completed_at for change in changes for c in change.computations.values()):
                monkeypatch.setattr(engine.store, "apply", apply)
                failed.set()
                raise JourneyError("a pooler has lost a prepared statement")
            return await apply(changes, **kwargs)

        monkeypatch.setattr(engine.store, "apply", refused_once)
        execution = await journey.start_execution(graph, {"x": 1})
        await failed.wait()
        await eventually(lambda: not engine.runner.owes)
        await engine._refresher.take_up()
        assert await journey.get_value(execution, "y", wait_any=True) == 1
    assert await workers_are(connection, 0)


async def test_the_row_of_a_worker_that_is_killed_stays_though_it_was_closing(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn) as journey:
        life_sign = journey._engine._liveness
        life_sign.kill()
        await life_sign.stop()
        assert await workers_are(connection, 1)


@pytest.mark.hears("holds a lock, as nobody can behind a pooler")
async def test_the_lock_of_a_worker_that_is_killed_while_it_takes_leave_goes(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn) as journey:
        life_sign = journey._engine._liveness
        # its first renewal is over: one that is cancelled as it is sent may wait for the lock first
        await eventually(lambda: connection.fetchval(RENEWED))
        async with connection.transaction():
            await connection.execute("LOCK TABLE journey.workers")
            leaving = asyncio.create_task(life_sign.stop())
            await eventually(lambda: waiting_for_locks(connection, "%DELETE%"))
            life_sign.kill()
            await leaving
        await eventually(lambda: nobody_holds_a_lock(connection))


async def nobody_holds_a_lock(connection: Any) -> bool:
    return bool(await connection.fetchval(HELD) == 0)


async def test_who_is_told_that_nothing_was_written_is_told_the_truth(dsn: str) -> None:
    """Somebody writes on and on while it closes: what is under way is answered first."""
    graph = Graph("g", "v1", [input_node("n")])
    for _ in range(3):
        last = 0
        async with Journey(dsn) as journey:
            execution = await journey.start_execution(graph, {"n": last})

            async def write_on(journey: Journey = journey, to: Execution = execution) -> int:
                number = 0
                while True:
                    try:
                        await journey.set_value(to, "n", number + 1)
                    except DatabaseUnavailable:
                        return number
                    number += 1

            writing = asyncio.create_task(write_on())
            await eventually(lambda: journey._engine.committer._queue.is_any_in_flight)
        last = await writing
        async with Journey(dsn) as other:
            assert await other.get_value(execution.id, "n") == last


async def test_what_a_function_makes_of_its_cancellation_is_no_failure(dsn: str) -> None:
    running = asyncio.Event()

    async def tidies_up(x: int) -> None:
        running.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            raise ValueError("could not tidy up") from None

    def once(f: Any) -> Graph:
        steps = [compute("y", ["x"], f, retry=Retry(max_attempts=1))]
        return Graph("g", "v1", [input_node("x"), *steps])

    async with Journey(dsn, graphs=[once(tidies_up)], grace_period=0) as closing:
        execution = await closing.start_execution(once(tidies_up), {"x": 1})
        await running.wait()
    async with Journey(dsn, graphs=[once(lambda x: -x)]) as other:
        assert await other.get_value(execution.id, "y", wait_any=True) == -1
