"""Databases for tests: what is left of them."""

import asyncio

import asyncpg
import pytest

from journey_async.errors import EmbeddedPostgresError
from journey_async.testing.databases import Databases, databases_for_tests


async def names(databases: Databases) -> set[str]:
    connection = await asyncpg.connect(databases.dsn)
    try:
        return {row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database")}
    finally:
        await connection.close()


async def test_a_database_goes_even_if_its_test_is_cancelled_while_it_goes(
    databases: Databases,
) -> None:
    made: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def test() -> None:
        async with databases.database(migrated=False) as dsn:
            made.set_result(dsn)
            await asyncio.Event().wait()

    running = asyncio.create_task(test())
    name = (await made).rpartition("/")[2].partition("?")[0]
    assert name in await names(databases)

    async def another() -> None:
        async with databases.database(migrated=False):
            pass

    busy = asyncio.create_task(another())  # so the first one has to wait for its turn to go
    await asyncio.sleep(0)
    for _ in range(2):
        running.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await running
    await busy
    await another()
    assert name not in await names(databases)


def test_wrong_binaries_are_not_replaced_by_something_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("JOURNEY_TEST_DOCKER", raising=False)
    monkeypatch.delenv("JOURNEY_TEST_DATABASE_URL", raising=False)
    monkeypatch.setenv("JOURNEY_PG_BINDIR", "/nowhere")
    with (
        pytest.raises(EmbeddedPostgresError, match="JOURNEY_PG_BINDIR is /nowhere"),
        databases_for_tests(),
    ):
        pass
