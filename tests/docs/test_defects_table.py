"""docs/defects-of-the-original.md has a row for each defect, and names tests that exist."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "defects-of-the-original.md"

S1 = {1, 2, 3, 4, 5, 6, 7, 14, 17, 18, 19, 21, 26, 36}
S3 = {29, 37, 38, 39, 40, 41, 42, 43, 45, 46, 48, 49, 51, 52, 55, 58}
SEVERITIES = {f"B{n}": "S1" if n in S1 else "S3" if n in S3 else "S2" for n in range(1, 60)}
QUIRKS = {f"Q{n}" for n in range(1, 38)} - {f"Q{n}" for n in (12, 22, 25, 27, 28, 33, 34)}
STATUSES = {"fixed by design", "fixed and tested", "kept on purpose"}


@dataclass(frozen=True)
class Row:
    """A row of one of the tables."""

    section: str
    cells: tuple[str, ...]

    @property
    def tests(self) -> list[str]:
        return re.findall(r"`(tests/[^`]+::[^`]+)`", self.cells[-1])


@cache
def rows() -> tuple[Row, ...]:
    return tuple(_rows(PAGE.read_text(encoding="utf-8")))


def _rows(text: str) -> Iterator[Row]:
    section = ""
    for line in text.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        cells = tuple(cell.strip() for cell in line.strip("|").split(" | "))
        if re.match(r"\| [BQ]\d", line):
            yield Row(section, cells)


def section(name: str) -> list[Row]:
    return [row for row in rows() if row.section == name]


@cache
def expected_to_pass(path: str) -> dict[str, bool]:
    """The tests of a file: False for those that are expected to fail."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {
        item.name: not any("xfail" in ast.unparse(mark) for mark in item.decorator_list)
        for item in tree.body
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_each_defect_has_a_row_of_its_severity() -> None:
    found = [(row.cells[0], row.cells[1]) for row in section("Faults")]
    assert found == list(SEVERITIES.items())


def test_each_quirk_has_a_row() -> None:
    named = [q for row in section("Quirks") for q in row.cells[0].split(", ")]
    assert sorted(named) == sorted(QUIRKS)


def test_each_row_is_complete() -> None:
    for row in section("Faults"):
        number, severity, original, here, status, _ = row.cells
        assert original.endswith("."), number
        assert here.endswith("."), number
        assert status in STATUSES, number
        assert row.tests or (severity == "S3" and status != "fixed and tested"), number
    assert all(len(row.cells) == 3 for row in [*section("Quirks"), *section("Open")])


def test_each_test_that_is_named_exists() -> None:
    missing = []
    for name in sorted({name for row in rows() for name in row.tests}):
        path, _, function = name.partition("::")
        if not (ROOT / path).is_file() or function not in expected_to_pass(path):
            missing.append(name)
    assert missing == []


def test_only_what_is_open_may_fail() -> None:
    for row in rows():
        for name in row.tests:
            path, _, function = name.partition("::")
            assert expected_to_pass(path)[function] is (row.section != "Open"), name
