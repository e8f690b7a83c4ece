"""What tests of the engine share."""

from typing import Any

import pytest

from tests.support.statements import Statements


@pytest.fixture
async def statements(connection: Any, has_pg_stat_statements: bool) -> Statements:
    """Counts what the server executes in the database of the test."""
    if not has_pg_stat_statements:
        pytest.skip("the server does not have pg_stat_statements")
    await connection.execute("CREATE EXTENSION pg_stat_statements")
    return Statements(connection)
