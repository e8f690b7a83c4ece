"""The connection that listens: when it has gone deaf, another one takes its place."""

import asyncio
from typing import Any

import asyncpg
import pytest

from journey_async import Journey
from journey_async.engine import listener
from journey_async.engine.listener import Listener
from journey_async.errors import DatabaseUnavailable, JourneyError
from journey_async.store.listening import NotificationConnection
from tests.support.backends import TERMINATE
from tests.support.clocks import is_right, shift
from tests.support.eventually import eventually
from tests.support.graphs import one_input
from tests.support.waits import waits_in

LIMIT = 20.0  # seconds; far beyond what anything here takes


@pytest.mark.hears("has its listening connection go deaf")
async def test_one_that_has_gone_deaf_is_replaced_by_one(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear_all, opens = Listener.hear_all, NotificationConnection.open
    opened = probed = 0
    heard = asyncio.Event()

    async def deaf_at_first(self: Listener) -> None:
        nonlocal probed
        probed += 1
        if probed == 1:
            raise TimeoutError
        await hear_all(self)
        heard.set()

    async def counted(*args: Any) -> NotificationConnection | None:
        nonlocal opened
        opened += 1
        return await opens(*args)

    monkeypatch.setattr(listener, "PROBE_INTERVAL", 0.05)
    monkeypatch.setattr(Listener, "hear_all", deaf_at_first)
    monkeypatch.setattr(NotificationConnection, "open", counted)
    async with Journey(dsn):
        await heard.wait()
    assert opened == 2


@pytest.mark.hears("has its listening connection lead nowhere")
async def test_one_that_leads_nowhere_is_replaced_as_well(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That shows without a notification, by which all others are woken: of three probes one is."""
    read_time, hear_all = NotificationConnection.read_time, Listener.hear_all
    probes: list[str] = []

    async def fails_at_first(self: NotificationConnection) -> Any:
        probes.append("asks")
        if len(probes) == 1:
            raise TimeoutError
        return await read_time(self)

    async def counted(self: Listener) -> None:
        probes.append("notifies")
        await hear_all(self)

    monkeypatch.setattr(listener, "PROBE_INTERVAL", 0.05)
    monkeypatch.setattr(NotificationConnection, "read_time", fails_at_first)
    monkeypatch.setattr(Listener, "hear_all", counted)
    async with Journey(dsn) as journey:
        former = journey._engine._listener._connection
        await eventually(lambda: len(probes) >= 9)
        assert journey._engine._listener._connection is not former
    assert probes[:9] == ["asks", *["asks", "asks", "notifies"] * 2, "asks", "asks"]


@pytest.mark.hears("is told the time by the connection that listens")
async def test_who_computes_nothing_goes_by_the_databases_time_as_well(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "PROBE_INTERVAL", 0.05)
    async with Journey(dsn, run_computations=False) as client:
        for seconds in (600, -600):
            shift(client, seconds)
            assert not is_right(client)
            await eventually(lambda: is_right(client))


@pytest.mark.hears("asks whether everything has been heard")
async def test_many_may_wait_until_everything_is_heard_and_no_longer_wait(dsn: str) -> None:
    async with Journey(dsn) as journey:
        hear_all = journey._engine.hear_all
        for turns in range(8):
            waiting = [asyncio.create_task(hear_all()) for _ in range(3)]
            for _ in range(turns):
                await asyncio.sleep(0)
            waiting[turns % 3].cancel()
            async with asyncio.timeout(LIMIT):
                ended = await asyncio.gather(*waiting, return_exceptions=True)
            del ended[turns % 3]
            assert ended == [None, None]
            async with asyncio.timeout(LIMIT):
                await hear_all()


@pytest.mark.direct("closes a database to everybody")
async def test_a_database_that_is_closed_for_a_while_is_listened_to_again(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens = NotificationConnection.open
    refused: list[Exception] = []

    async def watched(*args: Any) -> NotificationConnection | None:
        try:
            return await opens(*args)
        except Exception as error:
            refused.append(error)
            raise

    monkeypatch.setattr(NotificationConnection, "open", watched)
    name = await connection.fetchval("SELECT quote_ident(current_database())")
    elsewhere = await asyncpg.connect(dsn, database="postgres")
    try:
        async with Journey(dsn) as worker, Journey(dsn, run_computations=False) as client:
            execution = await worker.start_execution(one_input())
            wait = asyncio.create_task(client.get_value(execution.id, "x", wait_any=True))
            await eventually(lambda: waits_in(client) == 1)
            await elsewhere.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            try:
                await connection.fetch(TERMINATE)
                write = asyncio.create_task(worker.set_value(execution, "x", 1))
                await eventually(lambda: len(refused) > 3)
            finally:
                await elsewhere.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            assert (await write).revision == 1
            assert await wait == 1
            await eventually(lambda: worker._engine.is_listening and client._engine.is_listening)
    finally:
        await elsewhere.close()
    assert {type(error) for error in refused} == {DatabaseUnavailable}


@pytest.mark.hears("has its listening connection cut")
async def test_whatever_goes_wrong_with_a_connection_is_tried_again(
    dsn: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    opens = NotificationConnection.open
    async with Journey(dsn) as worker, Journey(dsn, run_computations=False) as client:
        execution = await worker.start_execution(one_input())
        errors = [JourneyError("what a driver may raise"), RuntimeError("or this")]

        async def broken_at_first(*args: Any) -> NotificationConnection | None:
            if errors:
                raise errors.pop()
            return await opens(*args)

        monkeypatch.setattr(NotificationConnection, "open", broken_at_first)
        heard = client._engine._listener
        assert heard._connection is not None
        heard._connection.close()
        await eventually(lambda: not errors and client._engine.is_listening)
        wait = asyncio.create_task(client.get_value(execution.id, "x", wait_any=True))
        await eventually(lambda: waits_in(client) == 1)
        await worker.set_value(execution, "x", 1)
        assert await wait == 1
    assert [r.message for r in caplog.records if r.levelname == "ERROR"] == [
        "hearing of other processes failed, and is tried again"
    ]


@pytest.mark.hears("probes its listening connection")
async def test_a_check_that_fails_ends_no_listening(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listener, "PROBE_INTERVAL", 0.05)
    async with Journey(dsn) as worker, Journey(dsn, run_computations=False) as client:
        execution = await worker.start_execution(one_input())
        wait = asyncio.create_task(client.get_value(execution.id, "x", wait_any=True))
        await eventually(lambda: client._engine.waiters.known(execution.id))
        await connection.execute("ALTER TABLE journey.executions RENAME TO being_changed")
        await eventually(lambda: "a check of what is waited for failed" in caplog.messages)
        await connection.execute("ALTER TABLE journey.being_changed RENAME TO executions")
        heard = client._engine._listener
        assert heard._connection is not None
        former = heard._connection
        former.close()
        await eventually(lambda: heard._connection is not former and client._engine.is_listening)
        await worker.set_value(execution, "x", 1)
        assert await wait == 1
