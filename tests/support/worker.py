"""A process that computes: started, stopped and killed by tests.

    python -m tests.support.worker DSN FOLDER LEASE

`y` is computed by a function that writes into FOLDER/calls, then waits until FOLDER/release is
there, writes again, and returns "from the process".
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from journey_async import Graph, Journey, compute, input_node
from tests.support.eventually import eventually
from tests.support.routes import options_of_tests

ROOT = Path(__file__).parents[2]


def graph_of(f: Callable[..., Any]) -> Graph:
    """The graph, with the function that this process has for it."""
    return Graph("processes", "v1", [input_node("x"), compute("y", ["x"], f)])


def calls(folder: Path) -> list[str]:
    """What the processes wrote, without their numbers."""
    file = folder / "calls"
    lines = file.read_text().splitlines() if file.exists() else []
    return [line.partition(" ")[2] for line in lines]


@asynccontextmanager
async def worker(dsn: str, folder: Path, lease: float = 15.0) -> AsyncIterator[Any]:
    """A process that computes, until it or the test ends."""
    before = calls(folder).count("ready")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.worker", dsn, str(folder), str(lease), cwd=ROOT
    )
    try:
        await eventually(lambda: calls(folder).count("ready") > before)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def main(dsn: str, folder: Path, lease: float) -> None:
    async def work(x: int) -> str:
        note(folder, f"began {x}")
        await eventually((folder / "release").exists)
        note(folder, f"returned {x}")
        return "from the process"

    async with Journey(dsn, graphs=[graph_of(work)], lease=lease, **options_of_tests()):
        note(folder, "ready")
        await asyncio.get_running_loop().create_future()


def note(folder: Path, text: str) -> None:
    """One more line in FOLDER/calls."""
    with (folder / "calls").open("a") as calls:
        calls.write(f"{os.getpid()} {text}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])))
