"""The help desk on aiohttp, as those who ask meet it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiohttp import web

from examples.aiohttp_app import make_app
from journey_async.contrib.aiohttp import JOURNEY
from tests.support.eventually import eventually
from tests.support.serving import hanging

QUESTION = {"question": "Where is my parcel? It is urgent!"}


@pytest.fixture
async def runner(dsn: str) -> AsyncIterator[web.AppRunner]:
    runner = web.AppRunner(make_app(dsn), handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner
    finally:
        await runner.cleanup()


@pytest.fixture
def address(runner: web.AppRunner) -> str:
    return f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.fixture
async def client(address: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        yield client


async def test_a_question_is_answered(client: httpx.AsyncClient) -> None:
    asked = (await client.post("/tickets", json=QUESTION)).json()
    assert asked["urgency"] == "high"
    here = f"/tickets/{asked['id']}"
    letter = asyncio.create_task(client.get(f"{here}/letter"))
    assert (await client.post(f"{here}/reply", json={"reply": "On its way."})).status_code == 200
    assert (await letter).text == f"You asked: {QUESTION['question']}\nWe say: On its way."
    assert (await client.get(here)).json()["reply"] == "On its way."
    async with client.stream("GET", f"{here}/events") as events:
        told: list[Any] = []
        async for line in events.aiter_lines():
            if line.startswith("data: "):
                told.append(json.loads(line.removeprefix("data: ")))
                if told[-1]["node"] == "letter" and told[-1]["kind"] == "set":
                    break
    assert {"kind": "set", "node": "reply", "value": "On its way."} in told


async def test_what_cannot_be_is_answered_so(client: httpx.AsyncClient) -> None:
    assert (await client.post("/tickets", json={"question": 1})).status_code == 422
    for path in ("/tickets/EXEC0", "/tickets/EXEC0/letter", "/tickets/EXEC0/events"):
        missing = await client.get(path)
        assert (missing.status_code, missing.json()["error"]) == (404, "ExecutionNotFound")


async def test_who_goes_in_the_middle_leaves_nothing_behind(
    runner: web.AppRunner, address: str, client: httpx.AsyncClient
) -> None:
    ticket = (await client.post("/tickets", json=QUESTION)).json()["id"]
    engine = runner.app[JOURNEY]._engine
    await engine.rest()
    tasks = asyncio.all_tasks()
    for path in (f"/tickets/{ticket}/letter", f"/tickets/{ticket}/events"):
        async with hanging(address, path):
            await eventually(lambda: len(engine.waiters) == 1)
        await eventually(lambda: len(engine.waiters) == 0)
    await eventually(lambda: asyncio.all_tasks() <= tasks)
