import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from journey_async import Graph, Journey, Retry, compute, input_node, value
from journey_async.dashboard import basic_auth, dashboard
from tests.support.eventually import eventually


def fails(x: int) -> None:
    raise ValueError("<b>too bad</b>")


GRAPH = Graph(
    "shop & <more>",
    "v1",
    [
        input_node("price", type=int),
        input_node("customer"),
        compute("total", ["price"], lambda price: price * 2),
        compute("warning", value("total") > 100, lambda total: f"{total} is much"),
        compute("broken", ["customer"], lambda customer: fails(1), retry=Retry(max_attempts=1)),
    ],
)


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """The application behind a real socket."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    try:
        await eventually(lambda: server.started or serving.done())
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
async def journey(dsn: str) -> AsyncIterator[Journey]:
    async with Journey(dsn, graphs=[GRAPH]) as journey:
        yield journey


@pytest.fixture
async def site(journey: Journey) -> AsyncIterator[str]:
    """A dashboard with buttons, which lets in the user `ops` with the password `secret`."""
    app = dashboard(journey, auth=basic_auth("ops", "secret"), read_only=False)
    async with served(app) as address:
        yield address


@pytest.fixture
async def browser(site: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=site, auth=("ops", "secret"), follow_redirects=True
    ) as client:
        yield client
