"""A Journey in an aiohttp application, by real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from aiohttp import web

from journey_async import Journey, JourneyError
from journey_async.contrib.aiohttp import JOURNEY, answer_errors, setup_journey
from tests.contrib.shop import shop
from tests.support.eventually import eventually
from tests.support.serving import hanging
from tests.support.waits import waits_in


async def read(request: web.Request) -> web.Response:
    return web.json_response(await request.app[JOURNEY].values(request.match_info["id"]))


async def wait(request: web.Request) -> web.Response:
    journey = request.app[JOURNEY]
    return web.json_response(
        await journey.get_value(request.match_info["id"], "never", wait_any=True)
    )


@asynccontextmanager
async def running(dsn: str) -> AsyncIterator[tuple[str, Journey]]:
    app = web.Application(middlewares=[answer_errors])
    setup_journey(app, dsn, graphs=[shop], grace_period=0)
    app.add_routes([web.get("/{id}", read), web.get("/{id}/never", wait)])
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", app[JOURNEY]
    finally:
        await runner.cleanup()


async def test_an_application_opens_its_journey_answers_errors_and_closes_it(dsn: str) -> None:
    async with running(dsn) as (address, journey), httpx.AsyncClient(base_url=address) as client:
        execution = await journey.start_execution(shop, {"paid": True})
        assert (await client.get(f"/{execution.id}")).json()["paid"] is True
        missing = await client.get("/EXEC0")
        assert missing.status_code == 404
        assert missing.json() == {
            "error": "ExecutionNotFound",
            "detail": "there is no execution 'EXEC0'",
        }
    with pytest.raises(JourneyError, match="not open"):
        await journey.status()


async def test_who_waits_may_go(dsn: str) -> None:
    async with running(dsn) as (address, journey):
        execution = await journey.start_execution(shop)
        tasks = asyncio.all_tasks()
        async with hanging(address, f"/{execution.id}/never"):
            await eventually(lambda: waits_in(journey) == 1)
        await eventually(lambda: waits_in(journey) == 0)
        await eventually(lambda: asyncio.all_tasks() <= tasks)
