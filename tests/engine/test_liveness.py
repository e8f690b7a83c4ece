"""Who is taken for dead."""

import asyncio
import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from journey_async import Journey
from journey_async.engine import deaths, liveness
from journey_async.engine.clock import take_over
from journey_async.engine.points import Point
from journey_async.testing.journey import TestJourney
from tests.support.clocks import is_right, shift, told
from tests.support.eventually import eventually
from tests.support.workers import (
    CUT,
    CUT_LIFE_SIGN,
    DEAD,
    LIVES,
    MANY_DEAD,
    RUN_OUT,
    RUNS_FOR,
    SHIFT,
    begun,
    graph_of,
    hangs,
    workers_are,
)

pytestmark = pytest.mark.usefixtures("dead_are_forgotten_at_once")


@pytest.mark.parametrize("locked, lease", [(True, 1000), (False, -1)])
async def test_a_free_lock_or_an_old_lease_means_dead(
    dsn: str, connection: Any, locked: bool, lease: int, caplog: pytest.LogCaptureFixture
) -> None:
    execution = await begun(dsn, connection, graph_of(hangs))
    await connection.execute(DEAD, locked, lease)
    async with Journey(dsn, graphs=[graph_of(lambda x: x)]) as journey:
        assert await journey.get_value(execution.id, "y", wait_any=True) == 1
        [computation] = await journey.computations(execution.id)
        assert (computation.deaths, computation.attempt) == (1, 1)
        await eventually(lambda: workers_are(connection, 1))
    assert len([r for r in caplog.records if "have died" in r.message]) == 1


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
