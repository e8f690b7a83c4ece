"""Processes that are killed, stopped and started, and a server that goes down."""

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from journey_async import ComputationFailed, Graph, Journey, compute, input_node
from journey_async.core.commands import Release
from journey_async.core.values import ComputationState
from journey_async.embedded import find_bindir
from journey_async.embedded.server import PORT, Server, account_for
from journey_async.errors import EmbeddedPostgresError
from journey_async.testing.databases import FAST
from tests.support.eventually import eventually
from tests.support.waits import waits_in
from tests.support.worker import calls, graph_of, worker


async def here(x: int) -> str:
    return "from here"


async def test_what_a_killed_process_was_running_is_run_by_another(
    dsn: str, tmp_path: Path
) -> None:
    async with worker(dsn, tmp_path) as process, Journey(dsn, run_computations=False) as client:
        execution = await client.start_execution(graph_of(here), {"x": 1})
        await eventually(lambda: "began 1" in calls(tmp_path))
        async with Journey(dsn, graphs=[graph_of(here)]) as other:
            process.kill()
            assert await client.get_value(execution, "y", wait_any=True) == "from here"
            [computation] = await client.computations(execution)
            assert (computation.attempt, computation.deaths) == (1, 1)
            assert other._engine.safety_check.left_behind == 0
    assert calls(tmp_path) == ["ready", "began 1"]


async def test_a_fresh_process_takes_up_what_the_only_one_left(dsn: str, tmp_path: Path) -> None:
    async with Journey(dsn, run_computations=False) as client:
        execution = await client.start_execution(graph_of(here), {"x": 1})
        async with worker(dsn, tmp_path) as process:
            await eventually(lambda: "began 1" in calls(tmp_path))
            process.kill()
            await process.wait()
        (tmp_path / "release").touch()
        async with worker(dsn, tmp_path):
            assert await client.get_value(execution, "y", wait_any=True) == "from the process"
    assert calls(tmp_path) == ["ready", "began 1", "ready", "began 1", "returned 1"]


async def test_the_late_result_of_a_process_that_stood_still_is_dropped(
    dsn: str, tmp_path: Path, connection: Any
) -> None:
    async with (
        worker(dsn, tmp_path, lease=1.0) as process,
        Journey(dsn, run_computations=False) as client,
    ):
        execution = await client.start_execution(graph_of(here), {"x": 1})
        await eventually(lambda: "began 1" in calls(tmp_path))
        process.send_signal(signal.SIGSTOP)
        async with Journey(dsn, graphs=[graph_of(here)]):
            assert await client.get_value(execution, "y", wait_any=True) == "from here"
        settled = await client.load(execution)
        (tmp_path / "release").touch()
        process.send_signal(signal.SIGCONT)
        # Its function is cancelled or returns; either way nothing comes of it, and it goes on.
        second = await client.start_execution(graph_of(here), {"x": 2})
        assert await client.get_value(second, "y", wait_any=True) == "from the process"
        workers = await connection.fetch("SELECT pid FROM journey.workers")
        assert [row["pid"] for row in workers] == [process.pid]
        assert (await client.load(execution)).values["y"].value == "from here"
        assert (await client.load(execution)).revision == settled.revision


async def test_ten_deaths_in_a_row_end_the_attempts(dsn: str) -> None:
    """A function that kills its process must not kill them all."""
    begun: list[int] = []

    async def hangs(x: int) -> None:
        begun.append(x)
        await asyncio.get_running_loop().create_future()

    graph = graph_of(hangs)
    async with Journey(dsn, graphs=[graph], grace_period=0) as journey:
        engine = journey._engine
        died = Release(engine.runner.worker, died=True)
        execution = await journey.start_execution(graph, {"x": 1})
        for deaths in range(1, 10):
            state = (await engine.submit(execution.id, died)).state
            running = state.newest["y"]
            assert (running.deaths, running.attempt) == (deaths, 1)
            await eventually(lambda expected=deaths + 1: len(begun) == expected)  # type: ignore[misc]
        await engine.submit(execution.id, died)
        with pytest.raises(ComputationFailed, match="died, 10 times in a row"):
            await journey.get_value(execution, "y", wait_any=True)
        [computation] = await journey.computations(execution)
        assert computation.state is ComputationState.FAILED


class Restartable:
    """A server of the test's own, which can be stopped without care and started again."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._server.create()
        self._process = server.start()
        host = quote(str(server.data), safe="")
        self.dsn = f"postgresql:///postgres?host={host}&port={PORT}&user=postgres"

    def stop(self) -> None:
        """Cut all connections and end; the disk stays as it is."""
        self._server.stop(self._process)

    def start(self) -> None:
        """Recover, and accept connections again."""
        self._process = self._server.start()


@pytest.fixture
def server() -> Iterator[Restartable]:
    try:
        bindir = find_bindir()
    except EmbeddedPostgresError:
        pytest.skip("there is no PostgreSQL on this machine to be restarted")
    memory = Path("/dev/shm")
    folder = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="journey-", dir=folder) as path:
        data = Path(path) / "data"
        running = Restartable(
            Server(
                bindir=bindir,
                data=data,
                log=Path(path) / "log",
                account=account_for(data),
                settings=FAST | {"synchronous_commit": "on", "shared_buffers": "16MB"},
                throwaway=True,
            )
        )
        try:
            yield running
        finally:
            running.stop()


async def test_a_server_that_restarts_costs_nothing_but_time(server: Restartable) -> None:
    release = asyncio.Event()

    async def waits(x: int) -> int:
        await release.wait()
        return x + 1

    graph = Graph(
        "g",
        "v1",
        [
            input_node("x"),
            input_node("other"),
            compute("y", ["x"], waits),
            compute("z", ["y"], lambda y: y + 1),
        ],
    )
    async with (
        Journey(server.dsn, graphs=[graph]) as journey,
        Journey(server.dsn, run_computations=False) as client,
    ):
        execution = await journey.start_execution(graph, {"x": 1})
        waiting = [
            asyncio.create_task(j.get_value(execution.id, node, wait_any=True))
            for j in (journey, client)
            for node in ("y", "z", "other")
        ]
        await eventually(lambda: waits_in(journey) == waits_in(client) == 3)
        server.stop()
        release.set()  # the function ends while the server is away
        setting = asyncio.create_task(client.set_value(execution.id, "other", 9))
        reading = asyncio.create_task(client.load(execution.id))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not setting.done()
        assert not reading.done()
        server.start()
        assert (await setting).values["other"].value == 9
        assert (await reading).id == execution.id
        assert await asyncio.gather(*waiting) == [2, 3, 9] * 2
        assert {c.deaths for c in await client.computations(execution.id)} == {0}
        again = await client.set_value(execution.id, "x", 5)
        assert await client.get_value(again, "z", settled=True) == 7
        assert journey._engine.safety_check.left_behind == 0
