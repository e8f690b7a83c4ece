"""The shop on FastAPI, as its customers and its payment provider meet it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from examples.fastapi_app import make_app
from journey_async import Journey
from tests.support.eventually import eventually
from tests.support.serving import hanging, served
from tests.support.waits import waits_in

ORDER = {
    "items": [{"article": "Mushroom", "price": 250, "quantity": 2}],
    "address": "Toad Town",
}
PROVIDER = {"X-Payment-Key": "a key"}


@pytest.fixture
def app(dsn: str) -> FastAPI:
    return make_app(dsn, payment_key="a key")


@pytest.fixture
async def address(app: FastAPI) -> AsyncIterator[str]:
    async with served(app) as address:
        yield address


@pytest.fixture
async def customer(address: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=address) as client:
        yield client


async def test_an_order_is_paid_packed_and_shipped(customer: httpx.AsyncClient) -> None:
    assert "<form>" in (await customer.get("/")).text
    order = (await customer.post("/order", json={"values": ORDER})).json()["id"]
    async with customer.stream("GET", f"/order/{order}/events?since_revision=0") as events:
        lines = events.aiter_lines()

        async def told(node: str) -> Any:
            async for line in lines:
                event = json.loads(line.removeprefix("data: ")) if "data" in line else {}
                if event.get("node") == node and event["kind"] == "set":
                    return event["value"]

        assert await told("invoice") == "Please pay 5.00 €."
        payment = f"/payments/{order}"
        assert (await customer.post(payment)).status_code == 403
        free = await customer.patch(f"/order/{order}/values", json={"values": {"paid": True}})
        assert free.status_code == 422
        assert (await customer.post(payment, headers=PROVIDER)).json() == {"paid": True}
        assert (await customer.post(payment, headers=PROVIDER)).json() == {"paid": True}
        said = f"2 articles in a box, on their way to Toad Town: parcel {order[-6:]}"
        assert await told("shipment") == said
    assert (await customer.get(f"/shipments/{order}")).json() == said


async def test_customers_that_lose_patience_leave_nothing_behind(
    app: FastAPI, address: str, customer: httpx.AsyncClient
) -> None:
    journey: Journey = app.state.journey
    order = (await customer.post("/order", json={"values": ORDER})).json()["id"]
    await journey.get_value(order, "invoice", wait_any=True)
    tasks = asyncio.all_tasks()
    for path in (
        f"/shipments/{order}",
        f"/order/{order}/values/shipment?wait=any&timeout=30",
        f"/order/{order}/events",
    ):
        async with hanging(address, path):
            await eventually(lambda: waits_in(journey) == 1)
        await eventually(lambda: waits_in(journey) == 0)
    await eventually(lambda: asyncio.all_tasks() <= tasks)
