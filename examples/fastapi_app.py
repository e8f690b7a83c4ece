"""A shop on FastAPI: orders that are paid, packed and shipped, followed by the customer's browser.

    python examples/fastapi_app.py        then open http://127.0.0.1:8000, and /docs

What to learn here: `journey_lifespan` opens the Journey with the application. `execution_router`
gives each order its routes, documented in /docs with the graph's own types: whoever knows the id of
an order may read it, change what is the customer's to change, and follow it by server-sent events.
Routes of one's own use the same Journey: here the page, and the call by which the payment provider
says that the money has come. That one sets `paid`, which the router only shows.
"""

import argparse
import asyncio
import hmac
import os
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from journey_async import Graph, compute, input_node, is_true
from journey_async.contrib.fastapi import (
    JourneyDep,
    execution_router,
    install_exception_handlers,
    journey_lifespan,
    while_connected,
)

# --- the graph: what an order is, and what follows from what -------------------------------------


class Item(BaseModel):
    """A line of an order."""

    article: str = Field(min_length=1, max_length=80)
    price: int = Field(ge=0, description="in cents")
    quantity: int = Field(default=1, ge=1, le=1000)


def total(items: list[Item]) -> int:
    return sum(item.price * item.quantity for item in items)


def invoice(total: int) -> str:
    return f"Please pay {total / 100:.2f} €."


async def pack(items: list[Item]) -> str:
    await asyncio.sleep(0.1)  # in life: a call to the warehouse
    return f"{sum(item.quantity for item in items)} articles in a box"


def ship(parcel: str, address: str, execution_id: str) -> str:
    return f"{parcel}, on their way to {address}: parcel {execution_id[-6:]}"


order = Graph(
    "Order",
    "v1",
    [
        input_node("items", type=list[Item]),
        input_node("address", type=Annotated[str, Field(min_length=1, max_length=200)]),
        input_node("paid", type=bool),
        compute("total", ["items"], total),
        compute("invoice", ["total"], invoice),
        compute("parcel", ["items", is_true("paid")], pack),
        compute("shipment", ["parcel", "address", "execution_id"], ship),
    ],
)

# --- the application ------------------------------------------------------------------------------


def make_app(dsn: str | None = None, *, payment_key: str = "change-me") -> FastAPI:
    """The shop; `payment_key` is what the payment provider sends along."""
    app = FastAPI(title="A shop", lifespan=journey_lifespan(dsn, graphs=[order]))
    install_exception_handlers(app)
    app.include_router(execution_router([order], read_only=["paid"]))

    async def from_the_provider(x_payment_key: Annotated[str, Header()] = "") -> None:
        if not hmac.compare_digest(x_payment_key.encode(), payment_key.encode()):
            raise HTTPException(403, "This is for the payment provider.")

    @app.post("/payments/{order_id}", dependencies=[Depends(from_the_provider)])
    async def payment(order_id: str, journey: JourneyDep) -> dict[str, bool]:
        """The money has come. Told twice, nothing happens twice."""
        await journey.set_value(order_id, "paid", True)
        return {"paid": True}

    @app.get("/shipments/{order_id}")
    async def shipment(order_id: str, journey: JourneyDep, request: Request) -> str:
        """Answers once the order is on its way, if that takes less than a minute."""
        wait = journey.get_value(order_id, "shipment", wait_any=True, timeout=60)
        return str(await while_connected(request, wait))

    @app.get("/", response_class=HTMLResponse)
    async def page() -> str:
        """An order, and what becomes of it."""
        return PAGE

    return app


PAGE = """<!doctype html>
<meta charset="utf-8"><title>A shop</title>
<h1>A shop</h1>
<form>
  <input name="article" value="Mushroom" required> <input name="address" value="Toad Town" required>
  <button>Order</button>
</form>
<ul></ul>
<script>
document.forms[0].onsubmit = async (submitted) => {
  submitted.preventDefault();
  const form = new FormData(submitted.target);
  const values = {
    items: [{article: form.get("article"), price: 250}], address: form.get("address"),
  };
  const started = await fetch("/order", {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({values}),
  });
  const order = await started.json();
  new EventSource(`/order/${order.id}/events?since_revision=0`).onmessage = (message) => {
    const event = JSON.parse(message.data);
    const line = document.createElement("li");
    line.textContent = [event.kind, event.node, JSON.stringify(event.value)].join(" ");
    document.querySelector("ul").append(line);
  };
};
</script>
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A shop on FastAPI.")
    parser.add_argument(
        "--dsn", default=os.environ.get("JOURNEY_DATABASE_URL", "embedded:"), help="the database"
    )
    parser.add_argument("--port", type=int, default=8000)
    given = parser.parse_args()
    uvicorn.run(
        make_app(given.dsn, payment_key=os.environ.get("PAYMENT_KEY", "change-me")),
        port=given.port,
        timeout_graceful_shutdown=5,  # seconds for browsers that follow an order to be let go
    )
