"""Passwords and values are in no error, no log, no notification."""

import asyncio
import json
import logging
import traceback
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from journey_async import (
    ComputationFailed,
    Graph,
    Journey,
    Retry,
    compute,
    input_node,
    tick_once,
)
from journey_async.errors import (
    DatabaseUnavailable,
    InvalidOptionError,
    InvalidValueError,
    JourneyError,
)
from journey_async.store.channels import Channels
from tests.support.eventually import eventually
from tests.support.pgbouncer import Address

SECRET = "s3cr3t-w0rd"
ONCE = Retry(max_attempts=1)

UNREADABLE = [
    f"postgresql://user:{SECRET}@[::1/nowhere",
    f"postgresql://user:{SECRET}@127.0.0.1:port/nowhere",
    f"postgresql://user:{SECRET}/@127.0.0.1/nowhere",
    f"postgresql://user:{SECRET}#@127.0.0.1/nowhere",
    f"postgresql://user:{SECRET}?@127.0.0.1/nowhere",
    f"postgresql://user:[{SECRET}@127.0.0.1/nowhere",
    f"postgresql://user:{SECRET}@127.0.0.1:99999/nowhere",
    f"postgresql://user:{SECRET}@/nowhere?sslmode=perhaps",
    f"mysql://user:{SECRET}@127.0.0.1/nowhere",
    f"host=127.0.0.1 user=user password={SECRET}",
    f"user:{SECRET}@127.0.0.1/nowhere",
]
UNREACHABLE = [
    f"postgresql://user:{SECRET}@127.0.0.1:1/nowhere",
    f"postgres://user@127.0.0.1:1/nowhere?password={SECRET}",
    f"postgresql://user:{SECRET}@127.0.0.1:1,127.0.0.1:2/nowhere",
    f"postgresql://user:{SECRET}@/nowhere?host=/nowhere",
]
# what a server refuses: the database's own address, with something else in it
REFUSED: dict[str, Callable[[Address], str]] = {
    "nobody": lambda to: f"postgresql:///{to.database}?user=nobody&{way(to)}",
    "another database": lambda to: f"postgresql:///nowhere?user={to.user}&{way(to)}",
    "a misspelt parameter": lambda to: (
        f"postgresql:///{to.database}?user={to.user}&{way(to)}&passwort={SECRET}"
    ),
}


def way(to: Address) -> str:
    return f"host={to.host}&port={to.port}&password={SECRET}"


def told(error: BaseException) -> str:
    """All that is printed of an error, and of what led to it."""
    return f"{error!r}\n{''.join(traceback.format_exception(error))}"


async def fails_without_telling(dsn: str | None, **options: Any) -> JourneyError:
    journey = Journey(dsn, patience=0.1, **options)
    assert SECRET not in f"{journey!r} {journey}"
    with pytest.raises(JourneyError) as raised:
        async with asyncio.timeout(30):
            await journey.__aenter__()
    assert SECRET not in told(raised.value)
    return raised.value


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Look at the records of all loggers, whatever their level."""
    caplog.set_level(logging.DEBUG)


@pytest.mark.parametrize("given", UNREADABLE)
async def test_a_dsn_that_cannot_be_read_is_not_told(
    given: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert isinstance(await fails_without_telling(given), InvalidOptionError | DatabaseUnavailable)
    assert SECRET not in caplog.text


@pytest.mark.parametrize("given", UNREACHABLE)
async def test_a_dsn_that_leads_nowhere_is_not_told(
    given: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert isinstance(await fails_without_telling(given), DatabaseUnavailable)
    assert SECRET not in caplog.text


async def test_a_dsn_from_the_environment_is_not_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("JOURNEY_DATABASE_URL", UNREACHABLE[0])
    await fails_without_telling(None)
    assert SECRET not in caplog.text


@pytest.mark.parametrize("what", REFUSED)
async def test_a_dsn_that_the_server_refuses_is_not_told(
    what: str, direct_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    await fails_without_telling(REFUSED[what](Address.of(direct_dsn)))
    assert SECRET not in caplog.text


@pytest.mark.parametrize("listen_dsn", [UNREADABLE[1], UNREACHABLE[0]])
async def test_neither_is_that_of_the_listener(
    listen_dsn: str, direct_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    await fails_without_telling(direct_dsn, listen_dsn=listen_dsn)
    assert SECRET not in caplog.text


async def test_a_password_is_not_told_when_connections_are_lost(
    direct_dsn: str, connection: Any, caplog: pytest.LogCaptureFixture
) -> None:
    to = Address.of(direct_dsn)
    dsn = f"postgresql:///{to.database}?user={to.user}&{way(to)}"
    async with Journey(dsn) as journey:
        assert SECRET not in repr(journey)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await eventually(lambda: "listening connection was lost" in caplog.text)
        await journey.count_executions()
    assert SECRET not in caplog.text


async def test_values_are_in_no_notification_no_log_and_no_error(
    direct_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    def fails(x: str) -> None:
        raise ValueError("for some reason")

    graph = Graph(
        "g",
        "v1",
        [
            input_node("x", type=str),
            input_node("n", type=int),
            compute("raises", ["x"], fails, retry=ONCE),
            compute("gives no JSON", ["x"], lambda x: {(x,): 1}, retry=ONCE),
            compute("gives too much", ["x"], lambda x: x * 1000, retry=ONCE),
            tick_once("has no time", ["x"], lambda x: x, retry=ONCE),
        ],
    )
    channels = Channels.of("journey")
    listener = await asyncpg.connect(direct_dsn)
    for channel in (channels.changed, channels.due, channels.reordered, channels.joined):
        await listener.add_listener(channel, lambda *args: heard.append(str(args[3])))
    async with Journey(direct_dsn, graphs=[graph], max_value_bytes=1000) as journey:
        execution = await journey.start_execution(graph, {"x": SECRET})
        refusals: list[Any] = [
            journey.set_value(execution, "n", SECRET),
            journey.set_value(execution, "x", [SECRET]),
            journey.set_value(execution, "x", SECRET * 1000),
            journey.set_value(execution, "x", f"{SECRET}\0"),
            journey.set_value(execution, "x", "a value", metadata={(SECRET,): 1}),
            journey.set_value(execution, "x", "a value", metadata={SECRET}),
            journey.set_values(execution, [("x", SECRET)]),  # type: ignore[arg-type]
        ]
        for refusal in refusals:
            with pytest.raises((InvalidValueError, InvalidOptionError)) as refused:
                await refusal
            assert SECRET not in told(refused.value)
        for step in graph.steps:
            with pytest.raises(ComputationFailed) as failed:
                await journey.get_value(execution, step, wait_any=True)
            assert SECRET not in told(failed.value)
        await journey.set_value(execution, "x", f"{SECRET} again", metadata={"m": SECRET})
    await listener.execute("SELECT 1")  # what was sent before has come with the answer
    await listener.close()
    assert heard
    assert SECRET not in json.dumps(heard)
    assert SECRET not in caplog.text
