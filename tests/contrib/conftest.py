from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from journey_async import Journey
from journey_async.contrib.fastapi import execution_router, journey_lifespan
from tests.contrib.shop import other, settings, shop
from tests.support.serving import served

GRAPHS = {"shop": shop, "other": other, "settings": settings}


@pytest.fixture
async def app(dsn: str) -> FastAPI:
    """The router, in an application that adds nothing to it."""
    app = FastAPI(lifespan=journey_lifespan(dsn, graphs=list(GRAPHS.values()), grace_period=0))
    app.include_router(
        execution_router(GRAPHS, hidden=["ssn", "score"], read_only=["paid"], keep_alive=0.05)
    )
    return app


@pytest.fixture
async def address(app: FastAPI) -> AsyncIterator[str]:
    async with served(app) as address:
        yield address


@pytest.fixture
async def client(address: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=address) as client:
        yield client


@pytest.fixture
async def journey(app: FastAPI, address: str) -> Journey:
    """The Journey of the application."""
    journey: Journey = app.state.journey
    return journey
