"""A connection that was let in, and then answers nothing: it is given up, and another one made."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from journey_async.errors import DatabaseUnavailable
from journey_async.store import listening, workers
from journey_async.store.channels import Channels
from journey_async.store.connecting import Connect
from journey_async.store.listening import NotificationConnection
from journey_async.store.workers import WorkerConnection


def listens(connect: Connect) -> Awaitable[object]:
    channels = Channels.of("journey")
    return NotificationConnection.open(connect, channels, lambda *_: None, lambda: None)


def shows_life(connect: Connect) -> Awaitable[object]:
    return WorkerConnection.open(connect, "journey", lambda: None)


class Silent(asyncpg.Connection):
    """A connection whose answers do not come."""

    async def fetch(self, *_query: Any, **_options: Any) -> Any:
        return await super().fetch("SELECT pg_sleep(3600)")


@pytest.mark.parametrize("opens", [listens, shows_life])
async def test_a_connection_that_does_not_answer_is_given_up(
    direct_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    opens: Callable[[Connect], Awaitable[object]],
) -> None:
    monkeypatch.setattr(listening, "ANSWER_LIMIT", 0.1)
    monkeypatch.setattr(workers, "LIFE_SIGN_LIMIT", 0.1)
    made: list[asyncpg.Connection] = []

    async def connect() -> asyncpg.Connection:
        made.append(await asyncpg.connect(direct_dsn, connection_class=Silent))
        return made[-1]

    with pytest.raises(DatabaseUnavailable):
        await opens(connect)
    assert [connection.is_closed() for connection in made] == [True]
