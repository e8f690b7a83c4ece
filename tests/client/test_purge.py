"""purge(): what was archived long ago is deleted, and nothing else."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from journey_async import Graph, Journey, compute, input_node
from journey_async.engine.points import Point
from journey_async.errors import DatabaseUnavailable, ExecutionNotFound, InvalidOptionError
from journey_async.testing import TestJourney, crash_at
from tests.support.eventually import eventually
from tests.support.graphs import basic_graph, one_input
from tests.support.locks import waiting_for_locks
from tests.support.waits import waits_in

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ARCHIVED_BEFORE = """
    UPDATE journey.executions SET archived_at = archived_at - $2::interval WHERE id = $1
"""
HOLD = "SELECT id FROM journey.executions WHERE id = $1 FOR NO KEY UPDATE"
DELETE = "DELETE FROM journey.executions WHERE id = $1"

pytestmark = pytest.mark.direct("deletes executions, which the role of an application may not")


async def archived(journey: Journey, connection: Any, age: timedelta) -> str:
    """An execution with values and computations, archived so long ago; its id."""
    execution = await journey.start_execution(basic_graph(), {"x": 40, "y": 2})
    await journey.get_value(execution, "large_value_alert", wait_any=True)
    await journey.archive(execution)
    await connection.execute(ARCHIVED_BEFORE, execution.id, age)
    return execution.id


async def left(connection: Any) -> dict[str, set[str]]:
    """The ids that are in the tables."""
    keys = {"executions": "id", '"values"': "execution_id", "computations": "execution_id"}
    return {
        table: {row[0] for row in await connection.fetch(f"SELECT {key} FROM journey.{table}")}
        for table, key in keys.items()
    }


async def test_what_was_archived_long_ago_goes_with_all_that_belongs_to_it(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn, graphs=[basic_graph()]) as journey:
        old = [await archived(journey, connection, 2 * DAY) for _ in range(5)]
        recent = await archived(journey, connection, HOUR)
        live = await journey.start_execution(basic_graph(), {"x": 40, "y": 2})
        await journey.get_value(live, "large_value_alert", wait_any=True)
        assert await journey.purge(older_than=DAY, batch_size=2) == 5
        assert all(ids == {recent, live.id} for ids in (await left(connection)).values())
        for execution_id in old:
            with pytest.raises(ExecutionNotFound):
                await journey.load(execution_id, include_archived=True)
        assert await journey.purge(older_than=DAY) == 0
        assert await journey.purge(older_than=60.0) == 1
        assert (await left(connection))["executions"] == {live.id}


async def test_other_processes_notice_that_it_is_gone(dsn: str, connection: Any) -> None:
    async with Journey(dsn, graphs=[basic_graph()]) as one, Journey(dsn) as two:
        gone = await archived(one, connection, DAY)
        await two.load(gone, include_archived=True)
        assert await one.purge(older_than=HOUR) == 1
        for verb in (two.values, two.unarchive, two.archive):
            with pytest.raises(ExecutionNotFound):
                await verb(gone)


async def test_who_waits_for_what_is_gone_is_told_by_the_next_check(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn, graphs=[basic_graph()]) as one, Journey(dsn) as two:
        gone = await archived(one, connection, DAY)
        waiting = asyncio.create_task(two.get_value(gone, "x", wait_new=True, timeout=None))
        await eventually(lambda: waits_in(two) == 1)
        assert await one.purge(older_than=HOUR) == 1
        await two._engine._refresher.check_waits()
        with pytest.raises(ExecutionNotFound):
            await waiting


async def test_what_somebody_holds_is_left_for_the_next_time(dsn: str, connection: Any) -> None:
    async with Journey(dsn, graphs=[basic_graph()]) as journey:
        held, _ = [await archived(journey, connection, DAY) for _ in range(2)]
        async with connection.transaction():
            await connection.execute(HOLD, held)
            assert await journey.purge(older_than=HOUR, batch_size=1) == 1
        assert (await left(connection))["executions"] == {held}
        assert await journey.purge(older_than=HOUR) == 1


NO_MORE_THAN = """
    CREATE FUNCTION journey.no_more_than() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF (SELECT count(*) FROM gone) > {most} THEN
            RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = '57014';
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER no_more_than AFTER DELETE ON journey.executions
        REFERENCING OLD TABLE AS gone FOR EACH STATEMENT
        EXECUTE FUNCTION journey.no_more_than();
"""


async def test_a_batch_that_takes_too_long_is_made_smaller(dsn: str, connection: Any) -> None:
    async with Journey(dsn, graphs=[basic_graph()]) as journey:
        for _ in range(5):
            await archived(journey, connection, DAY)
        await connection.execute(NO_MORE_THAN.format(most=2))
        assert await journey.purge(older_than=HOUR, batch_size=8) == 5
        assert (await left(connection))["executions"] == set()


async def test_what_cannot_be_deleted_in_time_even_alone_is_told(dsn: str, connection: Any) -> None:
    async with Journey(dsn, graphs=[basic_graph()]) as journey:
        kept = await archived(journey, connection, DAY)
        await connection.execute(NO_MORE_THAN.format(most=0))
        with pytest.raises(DatabaseUnavailable):
            await journey.purge(older_than=HOUR, batch_size=8)
        assert (await left(connection))["executions"] == {kept}


async def test_what_the_server_still_holds_is_not_taken_for_gone(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Journey(dsn, graphs=[basic_graph()]) as journey:
        kept = await archived(journey, connection, DAY)
        await connection.execute(NO_MORE_THAN.format(most=0))
        store = journey._engine.store
        purge = store.purge_archived

        async def held_from_then_on(before: datetime, limit: int) -> list[str]:
            return await purge(before, limit) if limit == 8 else []

        monkeypatch.setattr(store, "purge_archived", held_from_then_on)
        with pytest.raises(DatabaseUnavailable):
            await journey.purge(older_than=HOUR, batch_size=8)
        assert (await left(connection))["executions"] == {kept}


async def test_a_short_batch_is_not_taken_for_the_last(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Journey(dsn, graphs=[basic_graph()]) as journey:
        for _ in range(4):
            await archived(journey, connection, DAY)
        store = journey._engine.store
        purge = store.purge_archived

        async def short(before: datetime, limit: int) -> list[str]:
            return await purge(before, limit - 1)  # as if one of them had changed

        monkeypatch.setattr(store, "purge_archived", short)
        assert await journey.purge(older_than=HOUR, batch_size=2) == 4


async def test_what_is_unarchived_meanwhile_is_whole_or_gone(dsn: str, connection: Any) -> None:
    async with Journey(dsn, graphs=[basic_graph()]) as one, Journey(dsn) as two:
        ids = [await archived(one, connection, DAY) for _ in range(12)]
        purged, *answers = await asyncio.gather(
            one.purge(older_than=HOUR, batch_size=3),
            *(two.unarchive(execution_id) for execution_id in ids),
            return_exceptions=True,
        )
        gone = {i for i, a in zip(ids, answers, strict=True) if isinstance(a, ExecutionNotFound)}
        assert [a for a in answers if isinstance(a, BaseException)] == [
            a for a in answers if isinstance(a, ExecutionNotFound)
        ]
        assert purged == len(gone)
        assert all(found == set(ids) - gone for found in (await left(connection)).values())
        for execution_id in set(ids) - gone:
            assert await two.get_value(execution_id, "sum") == 42


async def test_a_function_that_still_runs_returns_into_nothing(
    dsn: str, connection: Any, caplog: pytest.LogCaptureFixture
) -> None:
    began, release = asyncio.Event(), asyncio.Event()

    async def waits(x: int) -> int:
        began.set()
        await release.wait()
        return x

    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], waits)])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await began.wait()
        await journey.archive(execution)
        await connection.execute(ARCHIVED_BEFORE, execution.id, DAY)
        assert await journey.purge(older_than=HOUR) == 1
        with caplog.at_level(logging.ERROR):
            release.set()
            await eventually(lambda: journey._engine.runner.free == 100)
        assert caplog.records == []


def computing(name: str = "g") -> Graph:
    return Graph(name, "v1", [input_node("x"), compute("y", ["x"], lambda x: x)])


@asynccontextmanager
async def purged_before_its_turn(connection: Any, execution_id: str) -> AsyncIterator[None]:
    """Somebody who wants to write the execution waits for its row, and then there is none."""
    async with connection.transaction():
        await connection.execute(HOLD, execution_id)
        yield
        await eventually(lambda: waiting_for_locks(connection))
        await connection.execute(DELETE, execution_id)


@pytest.mark.parametrize("started_on", [one_input, computing], ids=["evolves", "wakes"])
async def test_what_is_gone_when_it_is_to_be_woken_is_no_defect(
    dsn: str, connection: Any, caplog: pytest.LogCaptureFixture, started_on: Any
) -> None:
    graph = computing()
    async with Journey(dsn, run_computations=False) as client:
        execution = await client.start_execution(started_on(graph.name), {"x": 1})
    async with Journey(dsn) as journey:
        async with purged_before_its_turn(connection, execution.id):
            await journey.register(graph)
        await journey._engine.rest()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_nor_when_it_is_to_be_released(
    dsn: str, connection: Any, caplog: pytest.LogCaptureFixture
) -> None:
    began, release = asyncio.Event(), asyncio.Event()

    async def waits(x: int) -> int:
        began.set()
        await release.wait()
        return x

    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], waits)])
    async with TestJourney(dsn, graphs=[graph]) as dies, TestJourney(dsn) as other:
        execution = await dies.start_execution(graph, {"x": 1})
        await began.wait()
        async with purged_before_its_turn(connection, execution.id):
            crash = crash_at(dies, Point.AFTER_FUNCTION)
            release.set()
            await crash.happened()
        await other._points.released.wait()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"older_than": -1},
        {"older_than": timedelta(seconds=-1)},
        {"older_than": "1 day"},
        {"older_than": True},
        {"older_than": 1e300},
        {"older_than": 1, "batch_size": 0},
        {"older_than": 1, "batch_size": 10**19},
        {"older_than": 1, "batch_size": 10**5000},
        {"older_than": 1, "batch_size": 2.5},
    ],
)
async def test_bad_options_are_refused(dsn: str, wrong: dict[str, Any]) -> None:
    async with Journey(dsn, run_computations=False) as journey:
        execution = await journey.start_execution(one_input())
        await journey.archive(execution)
        with pytest.raises(InvalidOptionError):
            await journey.purge(**wrong)
        assert (await journey.load(execution, include_archived=True)).archived_at is not None
