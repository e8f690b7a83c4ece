"""docs/reliability.md names a test for each promise, and these tests exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
TABLES = re.findall(r"^\| promise \| held by \|\n\|[ -|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
ROWS = "".join(TABLES).splitlines()
PROMISES = [tuple(row.strip("| ").rsplit(" | ", 1)) for row in ROWS]


def names_in(path: Path) -> set[str]:
    """What a module of tests defines or takes from another one."""
    found = set()
    for item in ast.parse(path.read_text(encoding="utf-8")).body:
        match item:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.ImportFrom(names=names):
                found |= {alias.asname or alias.name for alias in names}
    return found


def test_there_are_promises() -> None:
    assert len(PROMISES) > 20


@pytest.mark.parametrize("promise, tests", PROMISES, ids=[p[:50] for p, _ in PROMISES])
def test_each_promise_names_tests_that_exist(promise: str, tests: str) -> None:
    named = re.findall(r"`(tests/[^`]+)::([^`]+)`", tests)
    assert named
    for path, name in named:
        assert name in names_in(ROOT / path), f"{path}::{name}"
