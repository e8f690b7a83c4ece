"""What the README and the pages of docs/ show is run, and what they say it prints is compared.

The blocks of a page are run in order. Blocks of Python share their names; await works at the top
level. A block marked `text` that follows a `python` block is what that one prints. A block is left
out only as `python no-run: REASON`. Besides:

    sql                 is run as well, or left out as `sql no-run: REASON`
    python file: NAME   a file that the reader makes, for the commands that follow (or `ini file:`)
    console             commands after `$ `, and what they print; `…` there is anything on a line
    console eventually  the same, run again and again until they print that
    console server      a command that stays once it has printed that, until the next one or the end
"""

import ast
import asyncio
import inspect
import io
import os
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.docs.pages import PAGES, README, Block, blocks_of, name_of
from tests.docs.shell import Shell, matches


@pytest.mark.parametrize(
    "page", [p for p in PAGES if any(b.is_run for b in blocks_of(p))], ids=name_of
)
async def test_the_blocks_of_a_page_run(
    page: Path, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNEY_DATABASE_URL", dsn)
    names: dict[str, Any] = {"__name__": page.stem}
    async with Shell(tmp_path, dsn) as shell:
        for block in blocks_of(page):
            where = f"{name_of(page)}, line {block.line}"
            if block.file:
                (tmp_path / block.file).write_text(block.text, encoding="utf-8")
            elif block.language == "console":
                await run_console(block, shell, where)
            elif block.language == "sql":
                if block.is_run:
                    await execute(dsn, block.text)
            elif block.is_run:
                printed = await run(block, page, names)
                if block.prints is not None:
                    assert printed == block.prints, where


async def run_console(block: Block, shell: Shell, where: str) -> None:
    """Run the commands of a block, and compare what each prints."""
    assert block.commands, where
    for command, output in block.commands:
        match block.info:
            case "console server":
                await shell.serve(command, output)
            case "console eventually":
                await shell.run_until(command, output)
            case _:
                printed = await shell.run(command)
                assert matches(output, printed), f"{where}: {command}\n{printed}"


async def execute(dsn: str, sql: str) -> None:
    """Run a block of SQL."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


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
        if block.language in ("python", "sql") and not (block.is_run or block.file):
            assert re.fullmatch(r"\w+ no-run: \S.*", block.info), f"{page}, line {block.line}"


@pytest.mark.parametrize("page", [README, *PAGES], ids=name_of)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{name_of(page)} links to {target}"
