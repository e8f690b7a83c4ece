"""One server for a run of the tests, one database for each test that asks for it.

`--route` lets the tests reach it in another way than directly (tests/support/routes.py); a folder
or module can do the same for its tests with a fixture `route` of its own.

With pytest-xdist the controller starts the server and the workers are told about it; without, the
first test that needs it does.
"""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import asyncpg
import pytest

from journey_async.errors import EmbeddedPostgresError
from journey_async.testing.databases import Databases, NoServer, databases_for_tests
from tests.support.pgbouncer import NO_POOLER, Pooler, find_pgbouncer, running_pooler
from tests.support.roles import NoRoles, Role, temporary_role
from tests.support.routes import Route, give_options, grant, set_up_for_pooler

RUNNING = pytest.StashKey[Databases]()
CLEANUP = pytest.StashKey[ExitStack]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--route",
        type=Route,
        choices=list(Route),
        default=Route.DIRECT,
        help="how the tests reach their database",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[CLEANUP] = ExitStack()
    if given := getattr(config, "workerinput", {}).get("databases"):
        config.stash[RUNNING] = databases = Databases(**given)
        config.stash[CLEANUP].callback(databases.close)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["databases"] = _databases(node.config).to_dict()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Twice as many as there are cores: tests wait a good deal for timers and processes."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return cores * 2


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[CLEANUP].close()


def _databases(config: pytest.Config) -> Databases:
    if RUNNING not in config.stash:
        try:
            config.stash[RUNNING] = config.stash[CLEANUP].enter_context(databases_for_tests())
        except (NoServer, EmbeddedPostgresError) as problem:
            pytest.exit(str(problem), returncode=pytest.ExitCode.USAGE_ERROR)
    return config.stash[RUNNING]


@pytest.fixture(scope="session")
def databases(pytestconfig: pytest.Config) -> Databases:
    """Everything about the server, and databases by the dozen for tests that need more than one."""
    return _databases(pytestconfig)


@pytest.fixture(scope="session")
def postgres_dsn(databases: Databases) -> str:
    """The server itself, for administration."""
    return databases.dsn


@pytest.fixture(scope="session")
def has_pg_stat_statements(databases: Databases) -> bool:
    """Whether CREATE EXTENSION pg_stat_statements will work and count."""
    return databases.has_pg_stat_statements


@pytest.fixture(scope="session")
def pooler(databases: Databases) -> Iterator[Pooler]:
    """A transaction pooler in front of the server."""
    program = find_pgbouncer()
    if program is None:
        pytest.skip(NO_POOLER)
    with running_pooler(program, databases.dsn) as pooler:
        yield pooler


@pytest.fixture(scope="session")
def role(databases: Databases) -> Iterator[Role]:
    """A role that may log in, and nothing else."""
    try:
        with temporary_role(databases.dsn) as role:
            yield role
    except NoRoles as problem:
        pytest.skip(str(problem))


@pytest.fixture
def route(pytestconfig: pytest.Config) -> Route:
    """How this test reaches its database."""
    return Route(pytestconfig.getoption("--route"))


@pytest.fixture
async def direct_dsn(databases: Databases) -> AsyncIterator[str]:
    """A database of this test's own, with the schema; directly, and with all rights."""
    async with databases.database(migrated=True) as dsn:
        yield dsn


@pytest.fixture
async def dsn(
    direct_dsn: str,
    route: Route,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """A database of this test's own, with the schema, in the way of the route."""
    needs_more = request.node.get_closest_marker("direct")
    if route is not Route.DIRECT and needs_more is not None:
        pytest.skip(f"direct only: {needs_more.args[0]}")
    hears = request.node.get_closest_marker("hears")
    if route is Route.ONLY_POOLER and hears is not None:
        pytest.skip(f"wants a connection that hears: {hears.args[0]}")
    match route:
        case Route.DIRECT:
            return direct_dsn
        case Route.POOLER:
            await set_up_for_pooler(direct_dsn)
            give_options(monkeypatch, listen_dsn=direct_dsn)
            pooler: Pooler = request.getfixturevalue("pooler")
            return pooler.dsn(direct_dsn)
        case Route.ONLY_POOLER:
            await set_up_for_pooler(direct_dsn)
            pooler = request.getfixturevalue("pooler")
            return pooler.dsn(direct_dsn)
        case Route.LEAST_PRIVILEGE:
            role: Role = request.getfixturevalue("role")
            await grant(direct_dsn, role.name)
            give_options(monkeypatch, migrate=False)
            return role.dsn(direct_dsn)


@pytest.fixture
async def empty_dsn(databases: Databases) -> AsyncIterator[str]:
    """A database of this test's own, with nothing in it."""
    async with databases.database(migrated=False) as dsn:
        yield dsn


@pytest.fixture
async def connection(direct_dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection to the database of this test, whatever its route."""
    connection = await asyncpg.connect(direct_dsn)
    try:
        yield connection
    finally:
        await connection.close()
