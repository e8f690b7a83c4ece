"""What the routes have in common: how they read a body, and how they answer errors."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from journey_async.contrib.fastapi.models import ProblemBody
from journey_async.contrib.problems import Problem, problem_of
from journey_async.contrib.starlette import CLIENT_HAS_GONE, problem_response
from journey_async.errors import InvalidOptionError, JourneyError

SAID = {
    404: "There is no such thing",
    409: "It does not go with how the execution stands",
    422: "What was sent means nothing",
    503: "The database cannot be reached",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The statuses as OpenAPI documents them."""
    return {status: {"model": ProblemBody, "description": SAID[status]} for status in statuses}


# What FastAPI says of a body that it cannot read.
UNREADABLE: dict[int | str, dict[str, Any]] = {400: {"description": "The body cannot be read"}}


class Route(APIRoute):
    """Answers errors as the documentation of the router says, whatever the application does."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except JourneyError as error:
                return problem_response(problem_of(error))
            except RequestValidationError as error:
                return problem_response(_invalid(error))
            except ClientDisconnect:
                return Response(status_code=CLIENT_HAS_GONE)

        return answer


def _invalid(error: RequestValidationError) -> Problem:
    """What is wrong with a request, without saying again what was sent."""
    faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
    return Problem(422, "InvalidRequest", "; ".join(faults))


def members_of(body: Any, known: set[str], *, required: bool = True) -> dict[str, Any]:
    """The members of a body, of which values may be `required`; raises InvalidOptionError."""
    if not isinstance(body, dict):
        raise InvalidOptionError("the body must be a JSON object, sent as application/json")
    if not body.keys() <= known:
        listed = " and ".join(sorted(known, reverse=True))
        raise InvalidOptionError(f"the body may have {listed}, and nothing else")
    if not isinstance(body.get("values", None if required else {}), dict):
        raise InvalidOptionError("values must be an object: a value for each input to set")
    return body
