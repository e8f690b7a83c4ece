"""Commands for those who run a system: migrating, working, looking whether everything is well."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from journey_async import Journey
from tests.cli.conftest import APP, Run
from tests.cli.graphs_of_a_shop import shop
from tests.support.eventually import eventually
from tests.support.roles import Role


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


wants_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no address of IPv6")
METRICS = ["--metrics-port", "0"]


async def test_a_schema_is_made_once_and_checked(empty_dsn: str, journey: Run) -> None:
    there = ("--dsn", empty_dsn, "--schema", 'of "mine"')
    await journey("migrate", "--check", *there, code=1)
    refused = await journey("status", *there, code=5)
    assert "lacks migration 1" in refused.err
    assert (await journey("migrate", *there, "--json")).data["applied"]
    assert "is up to date" in (await journey("migrate", *there)).out
    await journey("migrate", "--check", *there)


async def test_the_printed_sql_makes_the_same_schema(empty_dsn: str, journey: Run) -> None:
    script = (await journey("sql", "--schema", "printed")).out
    connection = await asyncpg.connect(empty_dsn)
    try:
        await connection.execute(script)
    finally:
        await connection.close()
    await journey("migrate", "--check", "--dsn", empty_dsn, "--schema", "printed")
    grants = (await journey("sql", "grants", "--role", "the app")).out
    assert '"the app"' in grants
    assert ':"' not in grants


@asynccontextmanager
async def process(dsn: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "journey_async.cli", *arguments),
        env=os.environ | {"JOURNEY_DATABASE_URL": dsn},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # Who runs the tests in the background of a shell has it ignored, and hands that on.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def is_counted(metrics: str) -> bool:
    """Whether the metrics show that a total was computed."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(metrics)
    pattern = r'^journey_computations_total{.*graph="shop",node="total",.*} 1\.0$'
    return re.search(pattern, answer.text, re.M) is not None


@pytest.mark.parametrize(
    "name, options",
    [("journey", []), ("graphs", METRICS), ("measured", METRICS)],
    ids=["journey", "graphs", "measured"],
)
async def test_a_worker_computes_until_it_is_told_to_stop(
    dsn: str, name: str, options: list[str]
) -> None:
    async with process(dsn, "worker", "--app", f"{APP}:{name}", *options) as worker:
        assert worker.stdout is not None
        ready = (await worker.stdout.readline()).decode()
        assert "ready for broken v1, shop v1" in ready
        async with Journey(dsn, run_computations=False) as client:
            execution = await client.start_execution(shop, {"price": 2, "amount": 3})
            assert await client.get_value(execution, "total", wait_any=True) == 6
        if options:
            address = ready.partition("metrics at ")[2].strip()
            await eventually(lambda: is_counted(address))  # just after others know the result
        worker.send_signal(signal.SIGTERM)
        assert await worker.wait() == 0


async def test_the_dashboard_lets_in_who_has_its_address(dsn: str) -> None:
    async with process(dsn, "dashboard", "--port", "0", "--json") as server:
        assert server.stdout is not None
        url = json.loads(await server.stdout.readline())["url"]
        async with httpx.AsyncClient(follow_redirects=True) as visitor:
            assert (await visitor.get(url.partition("?")[0])).status_code in (401, 403)
            page = await visitor.get(url)
            assert page.status_code == 200
            assert "<html" in page.text
            open_page = visitor.stream("GET", url.partition("?")[0] + "events", timeout=30)
            async with open_page as events, asyncio.timeout(30):
                lines = events.aiter_lines()
                await anext(lines)
                server.send_signal(signal.SIGTERM)
                assert await server.wait() == 0


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=wants_ipv6)])
async def test_the_address_of_the_dashboard_is_one_whatever_its_parts(dsn: str, host: str) -> None:
    token = 'a b&c=d#e?f+g%h/[i];"☃'
    asked = ("--host", host, "--port", "0", "--token", token, "--json")
    async with process(dsn, "dashboard", *asked) as server:
        assert server.stdout is not None
        url = json.loads(await server.stdout.readline())["url"]
        async with httpx.AsyncClient() as visitor:
            assert (await visitor.get(url)).status_code == 200
            remembered = await visitor.get(url.partition("?")[0])
            assert remembered.status_code == 200


@wants_ipv6
async def test_the_address_of_metrics_is_one_for_ipv6_too(dsn: str) -> None:
    asked = ("--app", f"{APP}:graphs", *METRICS, "--metrics-host", "::1", "--json")
    async with process(dsn, "worker", *asked) as worker:
        assert worker.stdout is not None
        address = json.loads(await worker.stdout.readline())["metrics"]
        async with httpx.AsyncClient() as client:
            assert (await client.get(address)).status_code == 200


@pytest.mark.parametrize(
    "command", [["dashboard", "--port"], ["worker", "--app", f"{APP}:graphs", "--metrics-port"]]
)
async def test_a_port_that_is_none_is_refused(journey: Run, command: list[str]) -> None:
    for port in ("-1", "65536"):
        refused = await journey(*command, port, code=2)
        assert command[-1] in refused.err


async def test_an_address_that_is_not_to_be_had_is_told(dsn: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        async with process(dsn, "dashboard", "--port", port) as refused:
            assert refused.stderr is not None
            told = (await refused.stderr.read()).decode()
            assert await refused.wait() == 2
    assert f"--port {port}" in told


async def test_a_log_level_that_is_none_is_refused(journey: Run) -> None:
    refused = await journey("worker", "--app", APP, "--log-level", "loud", code=2)
    assert "--log-level" in refused.err


async def test_an_execution_is_watched_until_interrupted(dsn: str) -> None:
    async with Journey(dsn, graphs=[shop]) as client:
        execution = await client.start_execution(shop, {"price": 2})
        async with process(dsn, "watch", execution.id, "--since", "0", "--json") as watching:
            assert watching.stdout is not None
            first = json.loads(await watching.stdout.readline())
            assert (first["kind"], first["node"], first["value"]) == ("set", "price", 2)
            await client.set_value(execution, "customer", "Mario")
            second = json.loads(await watching.stdout.readline())
            assert (second["node"], second["value"]) == ("customer", "Mario")
            watching.send_signal(signal.SIGINT)
            assert await watching.wait() == 130


async def test_an_embedded_database_needs_no_migrating(journey: Run, tmp_path: Path) -> None:
    dsn = ("--dsn", f"embedded:{tmp_path}")
    assert "HEALTHY" in (await journey("status", *dsn)).out
    mistyped = await journey("status", *dsn, "--schema", "jurney", code=5)
    assert "jurney" in mistyped.err
    await journey("migrate", *dsn, "--schema", "mine")
    assert "HEALTHY" in (await journey("status", *dsn, "--schema", "mine")).out


async def test_a_role_that_may_not_migrate_is_told_what_it_needs(
    empty_dsn: str, journey: Run, role: Role
) -> None:
    refused = await journey("migrate", "--dsn", role.dsn(empty_dsn), code=5)
    assert "journey sql grants-migrating" in refused.err


async def test_a_database_that_is_not_there_is_told_without_its_password(journey: Run) -> None:
    nowhere = "postgresql://me:secret@127.0.0.1:1/none"
    for arguments in (["status"], ["doctor"], ["migrate"], ["doctor", "--json"]):
        answer: Any = await journey(*arguments, "--dsn", nowhere, code=5)
        assert "secret" not in answer.out + answer.err
