from collections.abc import AsyncIterator

import httpx
import pytest

from journey_async import Graph, Journey, Retry, compute, input_node, value
from journey_async.dashboard import basic_auth, dashboard
from tests.support.serving import served


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
        base_url=site, auth=("ops", "secret"), follow_redirects=True, timeout=30
    ) as client:
        yield client
