"""The ways on which the tests reach their database: what `--route` chooses from.

On another route than the direct one `dsn` leads elsewhere, and whoever opens a Journey without
saying otherwise gets the options that an application there would give. So tests need not know.
"""

import json
import os
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from journey_async import Journey
from journey_async.store.sql import as_script, quoted

VARIABLE = "JOURNEY_TEST_OPTIONS"  # tells the processes that tests start


class Route(StrEnum):
    """From the tests to the server."""

    DIRECT = "direct"
    POOLER = "pooler"  # `dsn` leads through a transaction pooler, `listen_dsn` does not
    ONLY_POOLER = "only-pooler"  # there is no direct connection
    LEAST_PRIVILEGE = "least-privilege"  # as a role with the rights of sql/grants.sql


def options_of_tests() -> dict[str, Any]:
    """The options for a Journey in a process that a test has started."""
    options: dict[str, Any] = json.loads(os.environ.get(VARIABLE, "{}"))
    return options


def give_options(monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Let every Journey of this test have these options unless it says otherwise."""
    defaults = Journey.__init__.__kwdefaults__
    assert defaults is not None
    for name, value in options.items():
        monkeypatch.setitem(defaults, name, value)
    monkeypatch.setenv(VARIABLE, json.dumps(options))


async def grant(dsn: str, role: str) -> None:
    """Give a role what an application needs in the database of a test."""
    await _execute(dsn, as_script("grants", "journey", role))


async def set_up_for_pooler(dsn: str) -> None:
    """Make the settings of the database of a test that docs/poolers.md advises."""
    name = urlsplit(dsn).path.removeprefix("/")
    await _execute(dsn, f"ALTER DATABASE {quoted(name)} SET jit = off")


async def _execute(dsn: str, text: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(text)
    finally:
        await connection.close()
