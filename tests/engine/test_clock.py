"""The clock of a Journey, which the database sets, and that of tests."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from journey_async import Journey
from journey_async.engine import safety_check, scheduler
from journey_async.engine.clock import SystemClock, was_wrong_at
from journey_async.engine.listener import Listener
from journey_async.store import connecting, listening
from journey_async.store.listening import NotificationConnection
from journey_async.testing import TestClock, TestJourney
from tests.support.clocks import shift, told
from tests.support.eventually import eventually
from tests.support.graphs import basic_graph

HOUR = timedelta(hours=1)
NAIVE = datetime(2031, 4, 1, tzinfo=UTC).replace(tzinfo=None)


def test_it_takes_over_the_time_of_the_database() -> None:
    clock = SystemClock()
    for correction in (HOUR, -HOUR):
        expected = clock.now() + correction
        clock.discipline(told(expected))
        assert timedelta(0) <= clock.now() - expected < timedelta(minutes=1)


def test_set_back_by_a_little_it_stands_still() -> None:
    clock = SystemClock()
    before = clock.now()
    clock.discipline(told(before - timedelta(milliseconds=500)))
    assert clock.now() == before
    clock.discipline(told(before + timedelta(milliseconds=500)))
    assert clock.now() > before


async def test_standing_still_it_calls_nobody_before_the_time() -> None:
    clock = SystemClock()
    clock.discipline(told(clock.now() - timedelta(milliseconds=200)))
    when = clock.now() + timedelta(milliseconds=1)
    called = asyncio.get_running_loop().create_future()
    clock.call_at(when, lambda: called.set_result(clock.now()))
    assert await called >= when


def test_it_knows_when_it_was_wrong_and_not_just_corrected() -> None:
    clock = SystemClock()
    clock.discipline(told(clock.now() + timedelta(milliseconds=500)))
    assert was_wrong_at(clock) == float("-inf")
    began = time.monotonic()
    clock.discipline(told(clock.now() - HOUR))
    assert was_wrong_at(clock) >= began


def test_of_an_answer_that_took_long_it_takes_what_is_certain() -> None:
    """The database's time lies anywhere between question and answer."""
    clock = SystemClock()
    now = clock.now()
    clock.discipline(told(now - timedelta(minutes=1), elapsed=240.0))  # it may be right as it is
    assert clock.now() - now < timedelta(minutes=0.5)
    clock.discipline(told(now + HOUR, elapsed=240.0))
    assert clock.now() - now >= HOUR


async def test_a_clock_for_tests_counts_hours_in_all_zones() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    clock = TestClock(datetime(2031, 3, 29, 12, tzinfo=UTC))
    evening = datetime(2031, 3, 29, 20, tzinfo=berlin)  # of the day before summer time
    reached = await clock.advance_to(evening)
    assert (reached, reached.tzinfo) == (evening, UTC)
    assert await clock.advance(hours=24) - reached == timedelta(hours=24)
    with pytest.raises(ValueError, match="aware"):
        await clock.advance_to(NAIVE)


CUT_OFF = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE 'SELECT pg_notify%'
"""


@pytest.mark.hears("cuts the connections that hear")
async def test_time_waits_for_who_was_cut_off(
    dsn: str,
    connection: "asyncpg.Connection[asyncpg.Record]",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = basic_graph()
    settings: dict[str, Any] = {"graphs": [graph], "clock": (clock := TestClock())}
    opens, hear_all = NotificationConnection.open, Listener.hear_all
    opening, may_open, asked = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def open_when_it_may(*args: Any) -> NotificationConnection | None:
        opening.set()
        await may_open.wait()
        return await opens(*args)

    async def asks(self: Listener) -> None:
        asked.set()
        await hear_all(self)

    async with (
        TestJourney(dsn, **settings),
        TestJourney(dsn, **settings, run_computations=False) as client,
    ):
        execution = await client.start_execution(graph, {"x": 1})
        await clock.advance(hours=1)
        monkeypatch.setattr(NotificationConnection, "open", open_when_it_may)
        assert await connection.fetch(CUT_OFF)
        await client.set_value(execution, "y", 1)
        await opening.wait()
        monkeypatch.setattr(Listener, "hear_all", asks)
        advancing = asyncio.create_task(clock.advance(hours=1))
        await asked.wait()
        assert not advancing.done()
        may_open.set()
        await advancing
        assert await client.get_value(execution, "sum") == 2


async def test_listening_may_take_long_and_sets_no_clock_wrong(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = 0.5

    async def keep_alive(connection: Any) -> None:
        await connecting.keep_alive(connection)
        await asyncio.sleep(slow)  # between the answer that tells the time and its use

    monkeypatch.setattr(listening, "keep_alive", keep_alive)
    async with Journey(dsn) as journey:
        wrong = journey._engine.clock.now() - datetime.now(UTC)
        assert abs(wrong) < timedelta(seconds=slow / 2)


async def test_what_is_left_by_a_clock_that_is_ahead_is_computed_when_its_time_has_come(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safety_check, "INTERVAL", 1000.0)
    graph = basic_graph()
    async with Journey(dsn, graphs=[graph]) as worker, Journey(dsn, run_computations=False) as web:
        shift(web, 0.5)
        execution = await web.start_execution(graph, {"x": 1, "y": 2})
        await worker._engine.hear_all()
        assert await web.get_value(execution, "sum", wait_any=True) == 3


async def test_what_becomes_due_while_it_is_found_not_to_be_is_not_set_aside(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "UNMOVED_PAUSE", 1000.0)
    graph = basic_graph()
    async with Journey(dsn, graphs=[graph]) as worker, Journey(dsn, run_computations=False) as web:
        clock, wakes = worker._engine.clock, worker._engine.scheduler
        submit = wakes._submit
        assert submit is not None

        async def answers_late(*command: Any, **options: Any) -> Any:
            answer = await submit(*command, **options)
            wake_at = answer.state.wake_at
            await eventually(lambda: wake_at is None or wake_at <= clock.now())
            return answer

        monkeypatch.setattr(wakes, "_submit", answers_late)
        shift(web, 0.5)
        execution = await web.start_execution(graph, {"x": 1, "y": 2})
        assert await web.get_value(execution, "sum", wait_any=True) == 3
