"""A help desk on aiohttp: questions that are answered, or put before the boss after two days.

    python examples/aiohttp_app.py        then, in another terminal:

    curl localhost:8080/tickets --json '{"question": "Where is my parcel? It is urgent!"}'
    curl localhost:8080/tickets/EXEC…/events
    curl localhost:8080/tickets/EXEC…/reply --json '{"reply": "On its way."}'

What to learn here: `setup_journey` opens the Journey with the application, `answer_errors` answers
its errors. A request may wait for a value, or follow all that happens as server-sent events; with
`handler_cancellation=True` both end as soon as the client goes.
"""

import argparse
import json
import os
from datetime import timedelta
from typing import Any

from aiohttp import web

from journey_async import Graph, compute, input_node, provided, tick_once
from journey_async.contrib.aiohttp import JOURNEY, answer_errors, setup_journey

# --- the graph: what becomes of a question --------------------------------------------------------


def urgency(question: str) -> str:
    return "high" if "urgent" in question.lower() else "normal"


async def letter(question: str, reply: str) -> str:
    return f"You asked: {question}\nWe say: {reply}"


ticket = Graph(
    "Ticket",
    "v1",
    [
        input_node("question", type=str),
        input_node("reply", type=str),
        compute("urgency", ["question"], urgency),
        compute("letter", ["question", "reply"], letter),
        tick_once("two_days", ["question"], lambda: timedelta(days=2)),
        compute(
            "escalation",
            ["question", "two_days", ~provided("reply")],
            lambda question: f"Boss, nobody has answered: {question}",
        ),
    ],
)

# --- the application ------------------------------------------------------------------------------

routes = web.RouteTableDef()


@routes.post("/tickets")
async def ask(request: web.Request) -> web.Response:
    """A new question; the answer comes later."""
    journey = request.app[JOURNEY]
    execution = await journey.start_execution(ticket, {"question": await sent(request, "question")})
    found = await journey.get_value(execution, "urgency", wait_any=True)
    return web.json_response({"id": execution.id, "urgency": found}, status=201)


@routes.get("/tickets/{id}")
async def read(request: web.Request) -> web.Response:
    """What is known of a question by now."""
    return web.json_response(await request.app[JOURNEY].values(request.match_info["id"]))


@routes.post("/tickets/{id}/reply")
async def reply(request: web.Request) -> web.Response:
    """The answer. Given twice, nothing happens twice; changed, the letter is written anew."""
    text = await sent(request, "reply")
    await request.app[JOURNEY].set_value(request.match_info["id"], "reply", text)
    return web.json_response({"reply": text})


@routes.get("/tickets/{id}/letter")
async def wait_for_letter(request: web.Request) -> web.Response:
    """Answers once there is a letter, if that takes less than a minute."""
    text = await request.app[JOURNEY].get_value(
        request.match_info["id"], "letter", wait_any=True, timeout=60
    )
    return web.Response(text=text)


@routes.get("/tickets/{id}/events")
async def follow(request: web.Request) -> web.StreamResponse:
    """What happens, from the beginning on, as server-sent events, until the client goes."""
    journey = request.app[JOURNEY]
    execution = await journey.load(request.match_info["id"])
    stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await stream.prepare(request)
    since = int(request.headers.get("Last-Event-ID", 0))
    async for event in journey.watch(execution, since_revision=since):
        told = {"kind": event.kind, "node": event.node, "value": event.value}
        await stream.write(f"id: {event.resume_from}\ndata: {json.dumps(told)}\n\n".encode())
    return stream


async def sent(request: web.Request, name: str) -> str:
    """The text of that name in the body."""
    body: Any = await request.json()
    if not isinstance(body, dict) or not isinstance(body.get(name), str):
        raise web.HTTPUnprocessableEntity(text=f"send an object with {name!r}: a text")
    return str(body[name])


def make_app(dsn: str | None = None) -> web.Application:
    """The help desk."""
    app = web.Application(middlewares=[answer_errors])
    setup_journey(app, dsn, graphs=[ticket])
    app.add_routes(routes)
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A help desk on aiohttp.")
    parser.add_argument(
        "--dsn", default=os.environ.get("JOURNEY_DATABASE_URL", "embedded:"), help="the database"
    )
    parser.add_argument("--port", type=int, default=8080)
    given = parser.parse_args()
    web.run_app(make_app(given.dsn), port=given.port, handler_cancellation=True)
