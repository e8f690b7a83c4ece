"""What an HTTP client is told of each error."""

import inspect
import re
from pathlib import Path

import pytest

from journey_async import errors
from journey_async.contrib.problems import STATUS, problem_of
from journey_async.errors import (
    ComputationFailed,
    DatabaseUnavailable,
    InvalidValueError,
    JourneyError,
    UnknownNodeError,
    WaitTimeout,
)

PAGE = Path(__file__).parents[2] / "docs" / "fastapi.md"
SECRET = "postgresql://app:hunter2@db-7.internal/shop"


def all_errors() -> set[type[JourneyError]]:
    return {
        c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, JourneyError)
    }


def test_every_error_has_a_status_of_its_own() -> None:
    assert set(STATUS) == all_errors()


def test_the_page_says_which_error_has_which_status() -> None:
    said = {
        name: int(status)
        for names, status in re.findall(
            r"^\| (`.*`) \| (\d{3}) \|", PAGE.read_text(encoding="utf-8"), re.M
        )
        for name in re.findall(r"`(\w+)`", names)
    }
    assert said == {kind.__name__: status for kind, status in STATUS.items() if status != 500}


def test_what_is_inside_stays_inside() -> None:
    told = [
        problem_of(error)
        for error in [
            DatabaseUnavailable(SECRET),
            ComputationFailed("n", "EXEC1", 3, SECRET),
            InvalidValueError(f"is stored as {SECRET}"),
            UnknownNodeError("n", "g", [SECRET]),
            errors.NotAnInputError("n", "g", [SECRET]),
            errors.MigrationError(SECRET),
            JourneyError(SECRET),
        ]
    ]
    assert SECRET not in str(told)
    assert [problem.status for problem in told] == [503, 409, 422, 404, 422, 500, 500]
    assert told[0].headers["Retry-After"] == "1"
    assert told[1].body == {
        "error": "ComputationFailed",
        "detail": "node 'n' could not be computed in 3 attempts",
        "node": "n",
    }


def test_an_error_of_a_user_is_as_the_one_it_is_derived_from() -> None:
    class TooSlow(WaitTimeout):
        """Somebody's own."""

    problem = problem_of(TooSlow("n", "EXEC1", 2.5))
    assert (problem.status, problem.error) == (504, "TooSlow")
    assert problem.detail == "node 'n' did not get the value waited for within 2.5 seconds"
    archived = problem_of(TooSlow("n", "EXEC1", 2.5, archived=True))
    assert archived.detail == f"{problem.detail}: its execution is archived"


def test_what_the_client_cannot_help_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    problem_of(WaitTimeout("n", "EXEC1", 1.0))
    assert not caplog.records
    problem_of(JourneyError("this is a mistake"))
    assert "this is a mistake" in caplog.text
