"""The connection that listens: when it has gone deaf, another one takes its place."""

import asyncio
from typing import Any

import pytest

from journey_async import Journey
from journey_async.engine import listener
from journey_async.engine.listener import Listener
from journey_async.store.listening import NotificationConnection
from tests.support.clocks import is_right, shift
from tests.support.eventually import eventually

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
