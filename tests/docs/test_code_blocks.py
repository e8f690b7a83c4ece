"""What the README and the pages of docs/ show is run, and what they say it prints is compared.

The blocks of a page are run in order and share their names; await works at the top level. A block
marked `text` that follows a `python` block is what that one prints. A block is left out only as
`python no-run: REASON`.
"""

import ast
import asyncio
import inspect
import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").rglob("*.md"))

FENCE = re.compile(r"^(?P<fence>`{3,})(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=fence) *$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block, with the line on which its text begins, and what it is said to print."""

    info: str
    text: str
    line: int
    prints: str | None

    @property
    def language(self) -> str:
        return self.info.partition(" ")[0]

    @property
    def is_run(self) -> bool:
        return self.info == "python"


def blocks_of(page: Path) -> Iterator[Block]:
    content = page.read_text(encoding="utf-8")
    found = list(FENCE.finditer(content))
    for match, following in zip_longest(found, found[1:]):
        said = following is not None and following["info"].strip() == "text"
        yield Block(
            info=match["info"].strip(),
            text=match["text"],
            line=content.count("\n", 0, match.start("text")),
            prints=following["text"] if said and following else None,
        )


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize(
    "page", [p for p in PAGES if any(b.is_run for b in blocks_of(p))], ids=name_of
)
async def test_the_blocks_of_a_page_run(
    page: Path, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNEY_DATABASE_URL", dsn)
    names: dict[str, Any] = {"__name__": page.stem}
    for block in blocks_of(page):
        if block.is_run:
            printed = await run(block, page, names)
            if block.prints is not None:
                assert printed == block.prints, f"{name_of(page)}, line {block.line}"


async def run(block: Block, page: Path, names: dict[str, Any]) -> str:
    """Run a block of a page; what it printed."""
    code = compile(
        "\n" * block.line + block.text,  # so that a traceback names the line of the page
        str(page),
        "exec",
        flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        dont_inherit=True,
    )
    with redirect_stdout(io.StringIO()) as printed:
        result = eval(code, names)
        if inspect.iscoroutine(result):
            await result
    return printed.getvalue()


async def test_the_program_of_the_readme_prints_what_the_readme_says(tmp_path: Path) -> None:
    """As a newcomer runs it: a program of its own, on the PostgreSQL that it brings."""
    programs = [block for block in blocks_of(README) if block.language == "python"]
    assert programs
    for place, program in enumerate(programs):
        assert program.is_run
        assert program.prints
        assert program.text.count("\n") <= 20
        file = tmp_path / f"program_{place}.py"
        file.write_text(program.text, encoding="utf-8")
        environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path), "PYTHONUTF8": "1"}
        environment.pop("JOURNEY_DATABASE_URL", None)
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(file), env=environment, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        assert output.decode() == program.prints


@pytest.mark.parametrize("page", [README, *PAGES], ids=name_of)
def test_a_block_that_is_not_run_says_why(page: Path) -> None:
    for block in blocks_of(page):
        if block.language == "python" and not block.is_run:
            assert re.fullmatch(r"python no-run: \S.*", block.info), f"{page}, line {block.line}"


@pytest.mark.parametrize("page", [README, *PAGES], ids=name_of)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{name_of(page)} links to {target}"
