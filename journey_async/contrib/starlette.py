"""A Journey in a Starlette application, and in any that is one (FastAPI): its life, its errors.

    app = Starlette(routes=[…], lifespan=journey_lifespan("postgresql://…", graphs=[graph]))
    install_exception_handlers(app)

Needs the extra `starlette`.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, TypeVar, cast

import anyio
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from journey_async.client.journey import Journey
from journey_async.contrib.problems import Problem, problem_of
from journey_async.contrib.sse import HEADERS, HELLO, KEEP_ALIVE, SILENCE
from journey_async.engine.logs import log
from journey_async.errors import JourneyError

CLIENT_HAS_GONE = 499  # nobody reads it but logs

T = TypeVar("T")
Lifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]


def journey_lifespan(
    dsn: str | None = None, *, inner: Lifespan | None = None, **options: Any
) -> Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any]]]:
    """A lifespan that opens a Journey with the application, and closes it with it.

    `dsn` and `options` are those of `Journey`. It is `app.state.journey` meanwhile, and
    `request.state.journey` in applications that are mounted inside, too. A lifespan of the
    application's own goes `inner`: it runs within, and what it yields is handed on.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[Mapping[str, Any]]:
        async with Journey(dsn, **options) as journey:
            app.state.journey = journey
            try:
                if inner is None:
                    yield {"journey": journey}
                else:
                    async with inner(app) as state:
                        yield {**(state or {}), "journey": journey}
            finally:
                del app.state.journey

    return lifespan


async def get_journey(connection: HTTPConnection) -> Journey:
    """The Journey of the application that a request or websocket came to."""
    for state in (connection.state, connection.app.state):
        journey = getattr(state, "journey", None)
        if journey is not None:
            return cast(Journey, journey)
    raise JourneyError("this application has no Journey; make it with lifespan=journey_lifespan(…)")


def install_exception_handlers(app: Starlette) -> None:
    """Answer errors of journey_async by fitting statuses, and bodies that give nothing away.

    A request whose client has gone meanwhile (`while_connected`) ends quietly.
    """

    async def answer(_: Request, error: Exception) -> Response:
        assert isinstance(error, JourneyError)
        return problem_response(problem_of(error))

    async def end(_: Request, error: Exception) -> Response:
        return Response(status_code=CLIENT_HAS_GONE)

    app.add_exception_handler(JourneyError, answer)
    app.add_exception_handler(ClientDisconnect, end)


def problem_response(problem: Problem) -> Response:
    """A problem as a response."""
    return JSONResponse(problem.body, problem.status, problem.headers)


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, which is cancelled as soon as the client goes.

    For handlers that wait, after they have read the body: neither Starlette nor FastAPI stops a
    handler to whom nobody listens any more. Raises ClientDisconnect then.
    """
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request.receive))
    try:
        await asyncio.wait([working, gone], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        gone.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


class EventStream(Response):
    """A response of server-sent events; it ends with its messages, or as soon as the client goes.

    In seconds: `keep_alive` between comments that keep the connection from being cut; after
    `max_stream` it ends all the same, and browsers come back.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        messages: AsyncGenerator[str, None],
        *,
        keep_alive: float = SILENCE,
        max_stream: float | None = None,
    ) -> None:
        self.status_code = 200
        self.background = None
        self._messages = messages
        self._keep_alive = keep_alive
        self._max_stream = max_stream
        self.init_headers(HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the messages."""
        one_at_a_time = asyncio.Lock()

        async def reply(message: Message) -> None:
            try:
                async with one_at_a_time:
                    await send(message)
            except OSError:  # how some servers say that the client has gone
                group.cancel_scope.cancel()

        async def say(text: str, *, more: bool = True) -> None:
            body = text.encode()
            await reply({"type": "http.response.body", "body": body, "more_body": more})

        async def keep_alive() -> None:
            while True:
                await anyio.sleep(self._keep_alive)
                await say(KEEP_ALIVE)

        async def end_when_gone() -> None:
            await _disconnected(receive)
            group.cancel_scope.cancel()

        head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        async with aclosing(self._messages), anyio.create_task_group() as group:
            await reply(head)
            await say(HELLO)
            group.start_soon(keep_alive)
            group.start_soon(end_when_gone)
            try:
                with anyio.move_on_after(self._max_stream):
                    async for message in self._messages:
                        await say(message)
            except JourneyError as error:
                log.warning("a stream of events has ended early: %s", error)
            await say("", more=False)
            group.cancel_scope.cancel()


async def _disconnected(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
