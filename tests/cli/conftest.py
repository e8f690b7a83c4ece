import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner

from journey_async.cli.main import build

APP = "tests.cli.graphs_of_a_shop"


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The one document that was printed."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The documents that were printed, a line each."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Any]


@pytest.fixture
def journey(dsn: str) -> Run:
    """Runs the command in a thread, as the test's own event loop is busy."""

    async def run(*arguments: str, code: int = 0) -> Answer:
        environment = {"JOURNEY_DATABASE_URL": dsn, "JOURNEY_SCHEMA": None}
        runner = CliRunner(env=environment)
        result = await asyncio.to_thread(runner.invoke, build(), arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        answer = Answer(result.exit_code, result.stdout, result.stderr)
        assert answer.code == code, answer
        return answer

    return run
