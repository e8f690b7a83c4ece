"""A Journey in an application of one's own: its life, its errors, who has gone."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Message

from journey_async import Journey, JourneyError
from journey_async.contrib.fastapi import JourneyDep
from journey_async.contrib.starlette import (
    EventStream,
    get_journey,
    install_exception_handlers,
    journey_lifespan,
    while_connected,
)
from tests.contrib.shop import other, shop
from tests.support.eventually import eventually
from tests.support.serving import hanging, served
from tests.support.waits import waits_in


async def wait(request: Request) -> Response:
    journey = await get_journey(request)
    work = journey.get_value(request.query_params["id"], "never", wait_any=True)
    return PlainTextResponse(await while_connected(request, work))


async def read(request: Request) -> Response:
    journey = await get_journey(request)
    return JSONResponse(await journey.values(request.query_params["id"]))


async def test_an_application_opens_its_journey_and_closes_it(dsn: str) -> None:
    seen: list[object] = []

    @asynccontextmanager
    async def inner(app: Starlette) -> AsyncIterator[dict[str, str]]:
        seen.append(type(app.state.journey))
        yield {"mine": "here"}
        await app.state.journey.status()  # is open still
        seen.append("closed")

    async def mine(request: Request) -> Response:
        return PlainTextResponse(request.state.mine)

    mounted = Starlette(routes=[Route("/read", read)])
    app = Starlette(
        routes=[Route("/mine", mine), Mount("/mounted", mounted)],
        lifespan=journey_lifespan(dsn, graphs=[other], inner=inner),
    )
    async with served(app) as address, httpx.AsyncClient(base_url=address) as client:
        journey: Journey = app.state.journey
        execution = await journey.start_execution(other, {"name": "Mario"})
        assert (await client.get("/mine")).text == "here"
        found = await client.get("/mounted/read", params={"id": execution.id})
        assert found.json()["name"] == "Mario"
    assert seen == [Journey, "closed"]
    assert not hasattr(app.state, "journey")
    with pytest.raises(JourneyError, match="not open"):
        await journey.status()


async def test_a_route_of_ones_own_uses_the_journey_and_its_errors_are_answered(dsn: str) -> None:
    app = FastAPI(lifespan=journey_lifespan(dsn, graphs=[other]))
    install_exception_handlers(app)

    @app.post("/name/{id}")
    async def name(id: str, name: str, journey: JourneyDep) -> int:
        return (await journey.set_value(id, "name", name)).revision

    async with served(app) as address, httpx.AsyncClient(base_url=address) as client:
        execution = await app.state.journey.start_execution(other)
        path = f"/name/{execution.id}"
        assert (await client.post(path, params={"name": "Mario"})).json() == 1
        await app.state.journey.archive(execution)
        refused = await client.post(path, params={"name": "Peach"})
        assert refused.status_code == 409
        assert refused.json() == {
            "error": "ExecutionArchivedError",
            "detail": f"execution '{execution.id}' is archived and takes no writes",
        }
        assert (await client.post("/name/none", params={"name": "x"})).status_code == 404


async def test_who_waits_in_a_route_of_ones_own_may_go(dsn: str) -> None:
    app = Starlette(
        routes=[Route("/wait", wait)],
        lifespan=journey_lifespan(dsn, graphs=[shop], grace_period=0),
    )
    install_exception_handlers(app)
    async with served(app) as address:
        journey: Journey = app.state.journey
        execution = await journey.start_execution(shop, {"name": "Mario"})
        await journey.get_value(execution, "greeting", wait_any=True)
        tasks = asyncio.all_tasks()
        async with hanging(address, f"/wait?id={execution.id}"):
            await eventually(lambda: waits_in(journey) == 1)
        await eventually(lambda: waits_in(journey) == 0)
        await eventually(lambda: asyncio.all_tasks() <= tasks)


async def test_an_application_without_a_journey_says_so() -> None:
    app = Starlette(routes=[Route("/read", read)])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        with pytest.raises(JourneyError, match="lifespan=journey_lifespan"):
            await client.get("/read")


@pytest.mark.parametrize("refused", ["http.response.start", "http.response.body"])
async def test_a_stream_whose_client_has_gone_ends_quietly(refused: str) -> None:
    ended = asyncio.Event()

    async def messages() -> AsyncGenerator[str, None]:
        try:
            while True:
                await asyncio.sleep(0)
                yield "data: \n\n"
        finally:
            ended.set()

    async def send(message: Message) -> None:
        if message["type"] == refused:
            raise OSError("the client has gone")

    async def receive() -> Message:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nobody goes")

    stream = messages()
    await anext(stream)
    async with asyncio.timeout(30):
        await EventStream(stream)({"type": "http"}, receive, send)
    assert ended.is_set()
