"""One server for a run of the tests, one database for each test that asks for it.

With pytest-xdist the controller starts the server and the workers are told about it; without, the
first test that needs it does.
"""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import asyncpg
import pytest

from journey_async.errors import EmbeddedPostgresError
from tests.support.postgres import NoServer, TestDatabases, test_databases

RUNNING = pytest.StashKey[TestDatabases]()
CLEANUP = pytest.StashKey[ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[CLEANUP] = ExitStack()
    if given := getattr(config, "workerinput", {}).get("databases"):
        config.stash[RUNNING] = TestDatabases(**given)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["databases"] = _databases(node.config).to_dict()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[CLEANUP].close()


def _databases(config: pytest.Config) -> TestDatabases:
    if RUNNING not in config.stash:
        try:
            config.stash[RUNNING] = config.stash[CLEANUP].enter_context(test_databases())
        except (NoServer, EmbeddedPostgresError) as problem:
            pytest.exit(str(problem), returncode=pytest.ExitCode.USAGE_ERROR)
    return config.stash[RUNNING]


@pytest.fixture(scope="session")
def databases(pytestconfig: pytest.Config) -> TestDatabases:
    """Everything about the server, and databases by the dozen for tests that need more than one."""
    return _databases(pytestconfig)


@pytest.fixture(scope="session")
def postgres_dsn(databases: TestDatabases) -> str:
    """The server itself, for administration."""
    return databases.dsn


@pytest.fixture(scope="session")
def has_pg_stat_statements(databases: TestDatabases) -> bool:
    """Whether CREATE EXTENSION pg_stat_statements will work and count."""
    return databases.has_pg_stat_statements


@pytest.fixture
async def dsn(databases: TestDatabases) -> AsyncIterator[str]:
    """A database of this test's own, with the schema."""
    async with databases.database(migrated=True) as dsn:
        yield dsn


@pytest.fixture
async def empty_dsn(databases: TestDatabases) -> AsyncIterator[str]:
    """A database of this test's own, with nothing in it."""
    async with databases.database(migrated=False) as dsn:
        yield dsn


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection to `dsn`."""
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()
