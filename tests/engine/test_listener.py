"""The connection that listens: when it has gone deaf, another one takes its place."""

import asyncio
from typing import Any

import pytest

from journey_async import Journey
from journey_async.engine import listener
from journey_async.engine.listener import Listener
from journey_async.store.listening import NotificationConnection


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
