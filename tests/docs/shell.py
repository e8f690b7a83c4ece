"""A shell as the reader of a page has it: with the page's files, and a database of its own."""

import asyncio
import os
import re
import shlex
import socket
import string
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from click.testing import CliRunner

from journey_async.cli.main import build
from tests.support.eventually import eventually

PORT = r"(?<=localhost:|127\.0\.0\.1:)80[0-9]0"  # as pages say it; tests take one that is free


class Shell:
    """Runs commands one after the other, and one server at a time beside them.

    Commands of `journey` that don't stay run in this process, which saves each of them its start.
    """

    def __init__(self, folder: Path, dsn: str) -> None:
        self._folder = folder
        self._port = _free_port()
        self._environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "JOURNEY_DATABASE_URL": dsn,
            "JOURNEY_TEST_DATABASE_URL": dsn,
            "PORT": self._port,
            "UVICORN_PORT": self._port,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
            # plugins that a reader has not installed, and that take long to import
            "PYTEST_ADDOPTS": "-p no:schemathesis -p no:hypothesispytest -p no:randomly",
        }
        self._server = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._server.aclose()

    async def run(self, command: str) -> str:
        """What the command prints, on whichever output; `name=$(…)` keeps it for `$name`."""
        if kept := re.fullmatch(r"(\w+)=\$\((.*)\)", command):
            self._environment[kept[1]] = (await self.run(kept[2])).strip()
            return ""
        if command.startswith("journey "):
            return await asyncio.to_thread(self._journey, command)
        process = await self._started(re.sub(PORT, self._port, command))
        printed, _ = await process.communicate()
        return self._as_on_the_page(printed)

    async def run_until(self, command: str, said: str) -> None:
        """Run the command again and again, until it prints that."""

        async def does() -> bool:
            return matches(said, await self.run(command))

        await eventually(does)

    async def serve(self, command: str, until: str) -> None:
        """Start a command that stays, and wait until it has printed something."""
        await self._server.aclose()
        server = await self._started(f"exec {command}")
        self._server.push_async_callback(_end, server)
        assert server.stdout is not None
        printed = ""
        while not matches(until, printed, whole=False):
            line = await server.stdout.readline()
            assert line, f"{command} has ended: {printed}"
            printed += self._as_on_the_page(line)
        rest = asyncio.create_task(server.stdout.read())  # lest it wait for somebody to read
        self._server.callback(rest.cancel)

    def _journey(self, command: str) -> str:
        arguments = shlex.split(string.Template(command).substitute(self._environment))
        runner = CliRunner(env={**self._environment, "JOURNEY_SCHEMA": None})
        return runner.invoke(build(), arguments[1:]).output

    async def _started(self, command: str) -> Process:
        return await asyncio.create_subprocess_exec(
            *("bash", "-c", command),
            cwd=self._folder,
            env=self._environment,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
        )

    def _as_on_the_page(self, printed: bytes) -> str:
        return re.sub(rf"(?<=localhost:|127\.0\.0\.1:){self._port}", "8000", printed.decode())


def matches(said: str, printed: str, *, whole: bool = True) -> bool:
    """Whether this was printed, but for the width of gaps; `…` is anything on a line."""
    pattern = r"[^\n]*".join(map(re.escape, _narrow(said).split("…")))
    found = re.fullmatch if whole else re.search
    return found(pattern, _narrow(printed)) is not None


def _narrow(text: str) -> str:
    return "\n".join(re.sub(r" +", " ", line.rstrip()) for line in text.rstrip().splitlines())


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.wait()


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
