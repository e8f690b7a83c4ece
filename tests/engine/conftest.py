"""What tests of the engine share."""

from typing import Any

import pytest

from journey_async.engine import deaths
from tests.support.statements import Statements


@pytest.fixture
async def statements(connection: Any, has_pg_stat_statements: bool) -> Statements:
    """Counts what the server executes in the database of the test."""
    if not has_pg_stat_statements:
        pytest.skip("the server does not have pg_stat_statements")
    await connection.execute("CREATE EXTENSION pg_stat_statements")
    return Statements(connection)


@pytest.fixture
def dead_are_forgotten_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not after the while for which they are remembered."""
    monkeypatch.setattr(deaths, "REMEMBERED", 0.0)
