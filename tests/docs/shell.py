"""A shell as the reader of a page has it: with the page's files, and a database of its own."""

import asyncio
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

DONE = "--- done ---"
PORT = r"(?<=localhost:|127\.0\.0\.1:)80[0-9]0"  # as pages say it; tests take one that is free


class Shell:
    """Runs commands one after the other in one bash, and servers beside it until the end."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self._folder = folder
        self._port = _free_port()
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "JOURNEY_DATABASE_URL": dsn,
            "PORT": self._port,
            "UVICORN_PORT": self._port,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
        }
        self._bash: Process | None = None
        self._ended = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._ended.aclose()

    async def run(self, command: str) -> str:
        """What the command prints, on whichever output."""
        if self._bash is None:
            self._bash = await self._started("bash", "--noprofile", "--norc", stdin=PIPE)
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        command = re.sub(PORT, self._port, command)
        self._bash.stdin.write(f"{{\n{command}\n}} </dev/null; echo '{DONE}'\n".encode())
        printed = await self._bash.stdout.readuntil(f"{DONE}\n".encode())
        return self._as_on_the_page(printed.decode().removesuffix(f"{DONE}\n"))

    async def serve(self, command: str, until: str) -> None:
        """Start a command that stays, and wait until it has printed something."""
        server = await self._started("bash", "-c", f"exec {command}", stdin=DEVNULL)
        assert server.stdout is not None
        printed = ""
        while not matches(until, printed, whole=False):
            line = await server.stdout.readline()
            assert line, f"{command} has ended: {printed}"
            printed += self._as_on_the_page(line.decode())
        rest = asyncio.create_task(server.stdout.read())  # lest it wait for somebody to read
        self._ended.callback(rest.cancel)

    async def _started(self, *arguments: str, stdin: int) -> Process:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            cwd=self._folder,
            env=self._environment,
            stdin=stdin,
            stdout=PIPE,
            stderr=STDOUT,
        )
        self._ended.push_async_callback(_end, process)
        return process

    def _as_on_the_page(self, printed: str) -> str:
        return re.sub(rf"(?<=localhost:|127\.0\.0\.1:){self._port}", "8000", printed)


def matches(said: str, printed: str, *, whole: bool = True) -> bool:
    """Whether this was printed; `…` stands for anything on a line, blanks at its end for none."""
    pattern = r"[^\n]*".join(map(re.escape, _trimmed(said).split("…")))
    found = re.fullmatch if whole else re.search
    return found(pattern, _trimmed(printed)) is not None


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines())


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM if process.stdin is None else signal.SIGKILL)
    await process.wait()


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
