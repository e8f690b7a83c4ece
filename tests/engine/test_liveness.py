"""Who is taken for dead, and that one odd execution does not stop the undertaker."""

import asyncio
import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from journey_async import Graph, Journey, compute, input_node
from journey_async.core.values import ComputationKey
from journey_async.engine import committer, deaths, liveness, runner, safety_check
from journey_async.engine.clock import take_over
from journey_async.engine.points import Point
from journey_async.errors import DatabaseUnavailable, JourneyError
from journey_async.store.store import OverdueWork
from journey_async.testing.journey import TestJourney
from tests.support.clocks import is_right, shift, told
from tests.support.eventually import eventually
from tests.support.locks import waiting_for_locks

DEAD = """
    INSERT INTO journey.workers (id, lock_key, locked, host, pid, started_at, lease_until)
    VALUES ('WORKERDEAD', 7, $1, 'h', 1, now(), now() + $2 * interval '1 second')
"""
SHIFT = "UPDATE journey.workers SET lease_until = lease_until + $1 * interval '1 second'"
RUN_OUT = """
    UPDATE journey.workers SET lease_until = now() - interval '1 second' WHERE id = 'WORKERDEAD'
"""
RUNS_FOR = """
    WITH written AS (
        UPDATE journey.executions SET version = version + 1 WHERE id = $1 RETURNING id
    )
    UPDATE journey.computations SET worker = $2, token = 1
    WHERE execution_id IN (SELECT id FROM written)
"""
LIVES = """
    INSERT INTO journey.workers (id, lock_key, locked, host, pid, started_at, lease_until)
    VALUES ('WORKERLIVES', 8, false, 'h', 1, now(), now() + interval '1000 seconds')
"""
CUT = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'journey_async'
"""
HELD = """
    SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database
    WHERE locktype = 'advisory' AND d.datname = current_database()
"""
CUT_LIFE_SIGN = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_locks JOIN pg_database AS d ON d.oid = database
    WHERE locktype = 'advisory' AND d.datname = current_database()
"""


LOCK = "SELECT FROM journey.executions WHERE id = $1 FOR UPDATE"


@pytest.fixture(autouse=True)
def forgotten_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deaths, "REMEMBERED", 0.0)


async def hangs(x: int) -> None:
    await asyncio.get_running_loop().create_future()


def graph_of(f: Any, name: str = "g") -> Graph:
    return Graph(name, "v1", [input_node("x"), compute("y", ["x"], f)])


async def begun(dsn: str, connection: Any, graph: Graph, worker: str = "WORKERDEAD") -> Any:
    """An execution whose computation runs in another worker, which need not be there."""
    journey = Journey(dsn, graphs=[graph], grace_period=0)
    async with journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await connection.execute(RUNS_FOR, execution.id, worker)
        return execution


@pytest.mark.parametrize("locked, lease", [(True, 1000), (False, -1)])
async def test_a_free_lock_or_an_old_lease_means_dead(
    dsn: str, connection: Any, locked: bool, lease: int
) -> None:
    execution = await begun(dsn, connection, graph_of(hangs))
    await connection.execute(DEAD, locked, lease)
    async with Journey(dsn, graphs=[graph_of(lambda x: x)]) as journey:
        assert await journey.get_value(execution.id, "y", wait_any=True) == 1
        [computation] = await journey.computations(execution.id)
        assert (computation.deaths, computation.attempt) == (1, 1)
        await eventually(lambda: workers_are(connection, 1))


async def test_what_one_that_is_dead_still_began_is_released_before_it_is_forgotten(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write of its own may have been under way."""
    async with Journey(dsn):
        await connection.execute(LIVES)
    early, late = [
        await begun(dsn, connection, graph_of(hangs), worker="WORKERLIVES") for _ in range(2)
    ]
    await connection.execute(RUNS_FOR, early.id, "WORKERDEAD")
    monkeypatch.setattr(deaths, "REMEMBERED", 1000.0)
    await connection.execute(DEAD, True, 1000)
    async with Journey(dsn, graphs=[graph_of(lambda x: x)]) as journey:
        assert await journey.get_value(early.id, "y", wait_any=True) == 1
        await connection.execute(RUNS_FOR, late.id, "WORKERDEAD")
        monkeypatch.setattr(deaths, "REMEMBERED", 0.0)
        assert await journey.get_value(late.id, "y", wait_any=True) == 1
        await eventually(lambda: workers_are(connection, 2))
        assert journey._engine.safety_check.left_behind == 0


async def test_who_was_taken_for_dead_and_shows_that_it_lives_is_not_forgotten(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution = await begun(dsn, connection, graph_of(hangs))
    monkeypatch.setattr(deaths, "REMEMBERED", 1000.0)
    await connection.execute(DEAD, True, 1000)
    journey = TestJourney(dsn, graphs=[graph_of(lambda x: x)])
    journey._settings = replace(journey._settings, remembers_the_dead=True)
    async with journey:
        assert await journey.get_value(execution.id, "y", wait_any=True) == 1
        await connection.execute("SELECT pg_advisory_lock(77)")
        await connection.execute("UPDATE journey.workers SET lock_key = 77 WHERE id = 'WORKERDEAD'")
        monkeypatch.setattr(deaths, "REMEMBERED", 0.0)
        reached = journey._points.reached
        later = reached[Point.HEARTBEAT] + 5
        await eventually(lambda: reached[Point.HEARTBEAT] > later)
        assert await workers_are(connection, 2)


async def test_one_that_was_dead_long_before_is_forgotten_at_once(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For no process may live long enough to remember it."""
    monkeypatch.setattr(deaths, "REMEMBERED", 1000.0)
    async with Journey(dsn, lease=1.0):  # which looks at others with each renewal
        await connection.execute(DEAD, True, -24 * 3600)
        await eventually(lambda: workers_are(connection, 1))


@pytest.mark.hears("cuts the connection of the lease, which a pooler hides")
async def test_who_comes_back_stops_what_others_have_taken_meanwhile(
    dsn: str, connection: Any
) -> None:
    """Though nothing was heard of it."""
    began, stopped = asyncio.Event(), asyncio.Event()

    async def hangs(x: int) -> None:
        began.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            stopped.set()

    async with Journey(dsn, graphs=[graph_of(hangs)], grace_period=0) as journey:
        execution = await journey.start_execution(graph_of(hangs), {"x": 1})
        await began.wait()
        await connection.execute(LIVES)
        await connection.execute(RUNS_FOR, execution.id, "WORKERLIVES")
        await connection.execute(CUT_LIFE_SIGN)
        async with asyncio.timeout(20):
            await stopped.wait()


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
        assert await connection.fetchval(HELD) == 1
        async with connection.transaction():
            await connection.execute("LOCK TABLE journey.workers")
            leaving = asyncio.create_task(life_sign.stop())
            await eventually(lambda: waiting_for_locks(connection, "%DELETE%"))
            life_sign.kill()
            await leaving
        await eventually(lambda: nobody_holds_a_lock(connection))


async def nobody_holds_a_lock(connection: Any) -> bool:
    return bool(await connection.fetchval(HELD) == 0)


MANY_DEAD = """
    INSERT INTO journey.workers (id, lock_key, locked, host, pid, started_at, lease_until)
    SELECT side || n, hashtext(side || n), true, 'h', 1, now(), now() + interval '1000 seconds'
    FROM generate_series(1, $1) AS n, unnest(ARRAY['A', 'Z']) AS side
"""


async def test_many_that_have_died_at_once_are_all_found(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though each looks at a few: those before it in the ring, and those behind."""
    monkeypatch.setattr(deaths, "WATCHED", 3)
    await connection.execute(MANY_DEAD, 5)
    async with TestJourney(dsn):
        await eventually(lambda: workers_are(connection, 1))


RENEWED = "SELECT lease_until > started_at + interval '1 day' FROM journey.workers"


@pytest.mark.hears("is told who joins")
async def test_who_joins_a_worker_that_was_alone_is_watched_at_once(
    dsn: str, connection: Any
) -> None:
    """Not only when that one renews its lease the next time, which here is in some ten hours."""
    async with Journey(dsn, lease=24 * 3600.0):
        await eventually(lambda: connection.fetchval(RENEWED))
        await connection.execute(DEAD, True, 1000)
        await connection.execute("SELECT pg_notify('journey.joined', '')")
        await eventually(lambda: workers_are(connection, 1))


@pytest.mark.hears("is told who joins")
async def test_who_joined_while_nothing_was_heard_is_watched_afterwards(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn, lease=24 * 3600.0) as journey:
        await eventually(lambda: connection.fetchval(RENEWED))
        listener = journey._engine._listener
        reopen, reopened = listener._open, asyncio.Event()

        async def joined_meanwhile() -> None:
            await connection.execute(DEAD, True, 1000)
            await connection.execute("SELECT pg_notify('journey.joined', '')")
            await reopen()
            reopened.set()

        listener._open = joined_meanwhile  # type: ignore[method-assign]
        assert listener._connection is not None
        listener._connection.close()
        await reopened.wait()
        await eventually(lambda: workers_are(connection, 1))


async def workers_are(connection: Any, number: int) -> bool:
    return bool(await connection.fetchval("SELECT count(*) FROM journey.workers") == number)


async def test_a_worker_with_a_lease_and_no_lock_is_left_in_peace(
    dsn: str, connection: Any
) -> None:
    execution = await begun(dsn, connection, graph_of(hangs))
    await connection.execute(DEAD, False, 1000)
    async with Journey(dsn, graphs=[graph_of(lambda x: x)]) as journey:
        looked = asyncio.Event()
        looks = 0
        original = journey._engine._liveness._deaths.look_at

        async def counted(*args: Any, **kwargs: Any) -> None:
            nonlocal looks
            await original(*args, **kwargs)
            looks += 1
            if looks == 2:
                journey_loop.call_soon_threadsafe(looked.set)

        journey_loop = asyncio.get_running_loop()
        journey._engine._liveness._deaths.look_at = counted  # type: ignore[method-assign]
        await looked.wait()
        assert await workers_are(connection, 2)
        assert await journey.get_value(execution.id, "y", default="still computing") != 1


@pytest.mark.hears("cuts the connection of the lease, which a pooler hides")
async def test_nobody_is_taken_for_dead_whose_lease_ran_out_while_the_server_was_away(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "SETTLE_TIME", 1000.0)
    execution = await begun(dsn, connection, graph_of(hangs))
    await connection.execute(DEAD, False, 1000)
    async with Journey(dsn, graphs=[graph_of(lambda x: x)]) as journey:
        looks = 0
        original = journey._engine._liveness._deaths.look_at

        async def counted(*args: Any, **kwargs: Any) -> None:
            nonlocal looks
            await original(*args, **kwargs)
            looks += 1

        journey._engine._liveness._deaths.look_at = counted  # type: ignore[method-assign]
        async with connection.transaction():
            await connection.execute("LOCK TABLE journey.workers")  # nobody looks before it is cut
            await connection.execute(CUT)
            await connection.execute(RUN_OUT)
        await eventually(lambda: looks >= 2)
        assert await workers_are(connection, 2)
        [computation] = await journey.computations(execution)
        assert computation.deaths == 0


@pytest.mark.hears("cuts the connection of the lease, which a pooler hides")
async def test_who_was_taken_for_dead_while_it_was_cut_off_comes_back_as_another(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn, graphs=[graph_of(lambda x: x)]) as journey:
        former = journey._engine.runner.worker
        async with connection.transaction():
            await connection.execute("LOCK TABLE journey.workers")  # it is not back before that
            await connection.execute(CUT)
            await connection.execute("DELETE FROM journey.workers WHERE id = $1", former)
        await eventually(lambda: journey._engine.runner.worker != former)
        there = await connection.fetch("SELECT id FROM journey.workers")
        assert [row["id"] for row in there] == [journey._engine.runner.worker]


async def test_work_that_cannot_be_released_does_not_stop_the_others(
    dsn: str, connection: Any, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = await begun(dsn, connection, graph_of(hangs, "unknown"))
    fine = await begun(dsn, connection, graph_of(hangs))
    await connection.execute("DELETE FROM journey.graphs WHERE name = 'unknown'")
    await connection.execute(DEAD, True, 1000)
    async with Journey(dsn, graphs=[graph_of(lambda x: x)]) as journey:
        assert await journey.get_value(fine.id, "y", wait_any=True) == 1
        await eventually(lambda: workers_are(connection, 1))
        thread = journey._engine._liveness._thread
        assert thread is not None
        assert thread.is_alive()
        await connection.execute(DEAD, True, 1000)  # and it goes on looking
        await eventually(lambda: workers_are(connection, 1))
    assert any(unknown.id in record.getMessage() for record in caplog.records)


async def test_what_cannot_be_released_yet_is_tried_again_after_a_pause(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution = await begun(dsn, connection, graph_of(hangs))
    async with Journey(dsn, graphs=[graph_of(lambda x: x)], lease=1.0) as journey:
        store, loop = journey._engine.store, asyncio.get_running_loop()
        work_of, tried_at = store.work_of, []

        async def late(workers: list[str]) -> Any:
            tried_at.append(loop.time())
            if len(tried_at) < 4:
                raise DatabaseUnavailable("the database is away")
            return await work_of(workers)

        monkeypatch.setattr(store, "work_of", late)
        await connection.execute(DEAD, True, -1)
        assert await journey.get_value(execution.id, "y", wait_any=True, timeout=30) == 1
    assert tried_at[3] - tried_at[0] > 2 * liveness.LOOK_INTERVAL


async def test_one_safety_check_finds_all_that_was_left_behind(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it asks for a few at a time, and what cannot be released stands before the others."""
    unknown, graph = graph_of(hangs, "unknown"), graph_of(hangs)
    async with Journey(dsn, graphs=[unknown, graph], grace_period=0) as journey:
        executions = [
            await journey.start_execution(g, {"x": 1}) for g in [unknown] * 3 + [graph] * 7
        ]
        for execution in executions:
            await connection.execute(RUNS_FOR, execution.id, "WORKERDEAD")
    await connection.execute("DELETE FROM journey.graphs WHERE name = 'unknown'")
    monkeypatch.setattr(safety_check, "BATCH", 2)
    async with Journey(dsn, graphs=[graph_of(lambda x: x)]) as journey:
        async with asyncio.timeout(safety_check.INTERVAL / 2):
            for execution in executions[3:]:
                assert await journey.get_value(execution.id, "y", wait_any=True) == 1
        await eventually(lambda: journey._engine.safety_check.left_behind == 10)


async def test_what_is_left_behind_does_not_wait_for_rows_that_somebody_holds(
    dsn: str, connection: Any
) -> None:
    graph = graph_of(hangs)
    async with Journey(dsn, graphs=[graph], grace_period=0) as journey:
        executions = [await journey.start_execution(graph, {"x": n}) for n in range(7)]
        for execution in executions:
            await connection.execute(RUNS_FOR, execution.id, "WORKERDEAD")
    *held, free = executions  # the one that is overdue for the shortest time
    async with connection.transaction():
        for execution in held:
            await connection.execute(LOCK, execution.id)
        async with Journey(dsn, graphs=[graph_of(lambda x: x)]) as journey:
            limit = 3 * safety_check.LIMIT  # one after the other they would take twice as long
            assert await journey.get_value(free.id, "y", wait_any=True, timeout=limit) == 6


async def test_a_blocked_event_loop_is_no_sign_of_death(dsn: str, connection: Any) -> None:
    blocked = asyncio.Event()

    async def blocks(x: int) -> int:
        blocked.set()
        time.sleep(1.2)  # noqa: ASYNC251 - the very thing
        return x

    graph = graph_of(blocks)
    lease_until = "SELECT lease_until FROM journey.workers WHERE id = $1"
    async with Journey(dsn, graphs=[graph], lease=1.0) as journey, Journey(dsn):  # who looks at it
        worker = journey._engine.runner.worker
        before = await connection.fetchval(lease_until, worker)
        execution = await journey.start_execution(graph, {"x": 1})
        await blocked.wait()
        after = await connection.fetchval(lease_until, worker)
        assert (after - before).total_seconds() > 0.5
        assert await journey.get_value(execution, "y", wait_any=True) == 1
        [computation] = await journey.computations(execution)
        assert (computation.deaths, computation.worker) == (0, worker)
        assert journey._engine.runner.worker == worker


async def test_a_worker_taken_for_dead_goes_on_as_a_new_one(
    dsn: str, connection: Any, caplog: pytest.LogCaptureFixture
) -> None:
    graph = graph_of(lambda x: x)
    caplog.set_level(logging.WARNING, "journey_async")
    async with Journey(dsn, graphs=[graph], lease=1.0) as journey:
        old = journey._engine.runner.worker
        await connection.execute("DELETE FROM journey.workers")
        await eventually(lambda: journey._engine.runner.worker != old)
        assert await workers_are(connection, 1)
        execution = await journey.start_execution(graph, {"x": 1})
        assert await journey.get_value(execution, "y", wait_any=True) == 1
        [computation] = await journey.computations(execution)
        assert computation.worker == journey._engine.runner.worker


async def test_who_was_taken_for_dead_sees_it_long_before_the_lease_is_renewed(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn, lease=3600.0) as journey, Journey(dsn, lease=3600.0):
        old = journey._engine.runner.worker
        assert await workers_are(connection, 2)
        await connection.execute("DELETE FROM journey.workers WHERE id = $1", old)
        await eventually(lambda: journey._engine.runner.worker != old)
        assert await workers_are(connection, 2)


async def test_a_worker_whose_machine_has_slept_goes_on_at_the_right_time(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn, lease=1.0) as journey:
        old = journey._engine.runner.worker
        shift(journey, -3600)
        await connection.execute("DELETE FROM journey.workers")  # by others, who took it for dead
        await eventually(lambda: journey._engine.runner.worker != old)
        assert await connection.fetchval("SELECT lease_until > now() FROM journey.workers")


@pytest.mark.parametrize("told_by", ["renewal", "listener"])
@pytest.mark.parametrize("seconds", [120, -120])
async def test_nobody_is_taken_for_dead_because_the_database_tells_another_time(
    dsn: str,
    connection: Any,
    *,
    seconds: int,
    told_by: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(liveness, "RENEWED_AFTER", 0.05)
    async with TestJourney(dsn, lease=5.0) as one, TestJourney(dsn, lease=5.0) as two:
        for journey in (one, two):
            shift(journey, seconds)
            if told_by == "listener":
                take_over(journey._engine.clock, told(datetime.now(UTC)))
        await connection.execute(SHIFT, seconds)
        await eventually(lambda: is_right(one) and is_right(two))
        for journey in (one, two):
            reached = journey._points.reached
            later = reached[Point.HEARTBEAT] + 20
            await eventually(lambda: reached[Point.HEARTBEAT] > later)  # noqa: B023
    assert "died" not in caplog.text


async def test_an_input_that_left_the_graph_is_refused(dsn: str) -> None:
    old = Graph("g", "v1", [input_node("x"), input_node("z")])
    async with Journey(dsn, graphs=[old]) as one:
        execution = await one.start_execution(old)
        async with Journey(dsn, graphs=[Graph("g", "v1", [input_node("x")])]) as two:
            await two.set_value(execution.id, "x", 1)  # takes on the new definition
            with pytest.raises(LookupError, match="'z'"):
                await one.set_value(execution, "z", 1)
            assert (await one.set_value(execution, "x", 2)).revision == 2


async def test_what_began_anew_after_the_safety_check_had_looked_is_not_given_up(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = asyncio.Event()

    async def waits(x: int) -> int:
        await release.wait()
        return x

    graph = graph_of(waits)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await eventually(lambda: journey._engine.runner.executions == {execution.id})
        [computation] = await journey.computations(execution.id)
        key = ComputationKey("y", computation.number)
        seen = OverdueWork(execution.id, key, 1, "WORKERDEAD", True)  # of a worker that has died

        async def overdue_work(*_: Any) -> list[OverdueWork]:
            return [seen]

        monkeypatch.setattr(journey._engine.store, "overdue_work", overdue_work)
        await journey._engine.safety_check.check()
        release.set()
        assert await journey.get_value(execution.id, "y", wait_any=True) == 1
        assert len(await journey.computations(execution.id)) == 1
