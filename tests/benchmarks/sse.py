"""Clients that follow executions by server-sent events, all served by one process.

    python -m tests.benchmarks.sse [--clients 500] [--updates 200]

*One execution* that all follow, and *an execution each*: values are set by another process, a few
a second, and each client notes when it hears of one. Milliseconds from the call that sets until a
client has the event: of the slowest client of each update, and of all of them. Memory is that of
the serving process in MiB: with all connected and after the updates, and each time that all have
come once more and gone. The server of the database is a throw-away one with fsync on.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from journey_async import Execution, Graph, Journey, input_node
from journey_async.contrib.fastapi import execution_router, journey_lifespan
from tests.chaos.server import chaos_server
from tests.support.eventually import eventually

GRAPH = Graph("followed", "v1", [input_node("x", type=int)])
PAUSE = 0.05  # seconds between updates
COMINGS = 8
PATIENCE = 30.0  # seconds


class Crowd:
    """The clients, and when each of them has heard of the newest value."""

    def __init__(self) -> None:
        self.connected = 0
        self.value = 0
        self.wanted = 0
        self.heard: list[float] = []
        self.all_have_heard = asyncio.Event()

    def expect(self, value: int, wanted: int) -> None:
        """From now on it is this value that so many clients will hear of."""
        self.value, self.wanted, self.heard = value, wanted, []
        self.all_have_heard.clear()

    def _hear(self, value: int) -> None:
        if value == self.value:
            self.heard.append(time.perf_counter())
            if len(self.heard) == self.wanted:
                self.all_have_heard.set()

    async def follow(self, port: int, execution_id: str) -> None:
        """Read a stream until cancelled."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            path = f"/followed/{execution_id}/events"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            while line := await reader.readline():
                if line.startswith(b"retry"):
                    self.connected += 1
                elif line.startswith(b"data"):
                    self._hear(json.loads(line[5:])["value"])
        finally:
            writer.transport.abort()


async def measure(dsn: str, clients: int, updates: int) -> dict[str, Any]:
    """The figures of one serving process."""
    async with Journey(dsn, graphs=[GRAPH], run_computations=False) as journey:
        one = await journey.start_execution(GRAPH)
        each = [await journey.start_execution(GRAPH) for _ in range(clients)]
        async with serving(dsn) as (port, memory):
            await turn(journey, port, [one] * clients, 20)  # everything has been used once
            found: dict[str, Any] = {}
            for name, followed in [("one execution", [one] * clients), ("one each", each)]:
                found[name] = await turn(journey, port, followed, updates, memory)
            for number in range(1, COMINGS + 1):
                await turn(journey, port, [one] * clients, 1)
                found[f"memory after {number} comings and goings"] = memory()
    return found


async def turn(
    journey: Journey,
    port: int,
    followed: list[Execution],
    updates: int,
    memory: Callable[[], float] | None = None,
) -> dict[str, Any]:
    """Connect a client to each, update, and let all go."""
    crowd = Crowd()
    slowest: list[float] = []
    all_of_them: list[float] = []
    sizes: list[float] = []
    async with asyncio.TaskGroup() as group:
        clients = [group.create_task(crowd.follow(port, e.id)) for e in followed]
        await eventually(lambda: crowd.connected == len(followed))
        sizes += [memory()] if memory else []
        is_one = followed[0].id == followed[-1].id
        for number in range(updates):
            value = int(time.time() * 1000)  # never set before
            execution = followed[number % len(followed)]
            crowd.expect(value, len(followed) if is_one else 1)
            began = time.perf_counter()
            await journey.set_value(execution.id, "x", value)
            async with asyncio.timeout(PATIENCE):
                await crowd.all_have_heard.wait()
            slowest.append((max(crowd.heard) - began) * 1000)
            all_of_them += [(moment - began) * 1000 for moment in crowd.heard]
            await asyncio.sleep(PAUSE)
        sizes += [memory()] if memory else []
        for client in clients:
            client.cancel()
    return {
        "median": round(statistics.median(all_of_them), 1),
        "slowest client, median": round(statistics.median(slowest), 1),
        "slowest client, worst": round(max(slowest), 1),
        "memory": sizes,
    }


@asynccontextmanager
async def serving(dsn: str) -> AsyncIterator[tuple[int, Callable[[], float]]]:
    """The port of a serving process, and what tells its memory in MiB."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.sse", "--serve", dsn), stdout=PIPE
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_end, process)
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        yield port, lambda: resident(process.pid)


def resident(pid: int) -> float:
    """The memory of a process, in MiB; as Linux tells it."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


async def _end(process: Process) -> None:
    process.terminate()
    await process.wait()


async def serve(dsn: str) -> None:
    """Be the serving process."""
    app = FastAPI(lifespan=journey_lifespan(dsn, graphs=[GRAPH]))
    app.include_router(execution_router([GRAPH]))
    config = uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)

    async def tell_the_port() -> None:
        await eventually(lambda: server.started)
        print(server.servers[0].sockets[0].getsockname()[1], flush=True)

    async with asyncio.TaskGroup() as group:
        group.create_task(tell_the_port())
        await server.serve()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--serve", metavar="DSN", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return asyncio.run(serve(options.serve))
    with chaos_server() as server:
        found = asyncio.run(_run(server, options.clients, options.updates))
    print(json.dumps({"cpus": os.cpu_count(), "load": os.getloadavg()[0], **found}, indent=2))
    return None


async def _run(server: Any, clients: int, updates: int) -> dict[str, Any]:
    return await measure(await server.database("sse"), clients, updates)


if __name__ == "__main__":
    main()
