"""Tests from elsewhere, once more, as a role with nothing but the grants of sql/grants.sql.

All of them: make test ARGS="--route=least-privilege tests/engine tests/client tests/store"
"""

import asyncpg
import pytest

from journey_async import Journey
from journey_async.errors import MigrationError
from tests.client.test_journey import (  # noqa: F401
    test_a_process_without_the_code_can_set_values,
    test_all_computations_are_listed_oldest_first,
    test_an_archived_execution_can_be_read_and_not_written,
    test_unsetting_clears_what_depended_on_it_in_the_same_commit,
)
from tests.client.test_waits import (  # noqa: F401
    test_a_wait_in_another_process_resolves_by_notification,
    test_a_wait_survives_its_listener,
)
from tests.engine.test_processes import (  # noqa: F401
    test_what_a_killed_process_was_running_is_run_by_another,
)
from tests.engine.test_singletons import (  # noqa: F401
    test_everybody_finds_or_starts_the_same_execution,
)
from tests.support.routes import Route


@pytest.fixture
def route() -> Route:
    return Route.LEAST_PRIVILEGE


async def test_such_a_role_changes_no_tables(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in (
            "CREATE TABLE journey.more (id integer)",
            "ALTER TABLE journey.executions ADD COLUMN more integer",
            "DROP TABLE journey.executions",
            "TRUNCATE journey.executions CASCADE",
            "DELETE FROM journey.migrations",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_such_a_role_is_told_that_it_cannot_migrate(dsn: str) -> None:
    async with Journey(dsn):  # there is nothing to migrate
        pass
    with pytest.raises(MigrationError, match="lacks migration 1"):
        async with Journey(dsn, schema="another"):
            pass
