"""A Journey in an aiohttp application: its life, its errors.

    app = web.Application(middlewares=[answer_errors])
    setup_journey(app, "postgresql://…", graphs=[graph])

    async def greeting(request: web.Request) -> web.Response:
        journey = request.app[JOURNEY]

Needs the extra `aiohttp`.
"""

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from journey_async.client.journey import Journey
from journey_async.contrib.problems import problem_of
from journey_async.errors import JourneyError

__all__ = ["JOURNEY", "answer_errors", "setup_journey"]

JOURNEY: web.AppKey[Journey] = web.AppKey("journey", Journey)
"""The key of the Journey in an application: `request.app[JOURNEY]`."""


def setup_journey(app: web.Application, dsn: str | None = None, **options: Any) -> None:
    """Open a Journey when the application starts, as `app[JOURNEY]`; close it when it ends.

    `dsn` and `options` are those of `Journey`. Cleanup contexts of the application that were added
    before it end after it.
    """

    async def journey_context(app: web.Application) -> AsyncIterator[None]:
        async with Journey(dsn, **options) as journey:
            app[JOURNEY] = journey
            yield

    app.cleanup_ctx.append(journey_context)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer errors of journey_async by fitting statuses, and bodies that give nothing away."""
    try:
        return await handler(request)
    except JourneyError as error:
        problem = problem_of(error)
        return web.json_response(problem.body, status=problem.status, headers=problem.headers)
