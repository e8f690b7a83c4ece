"""A Journey in a FastAPI application: its life, a dependency, its errors, a router of executions.

    app = FastAPI(lifespan=journey_lifespan("postgresql://…", graphs=[signup]))
    install_exception_handlers(app)
    app.include_router(execution_router([signup], dependencies=[Depends(logged_in)]))

    @app.get("/greeting/{id}")
    async def greeting(id: str, journey: JourneyDep) -> str:
        return await journey.get_value(id, "greeting")

Needs the extra `fastapi`.
"""

from typing import Annotated, TypeAlias

from fastapi import Depends

from journey_async.client.journey import Journey
from journey_async.contrib.fastapi.router import execution_router
from journey_async.contrib.starlette import (
    EventStream,
    get_journey,
    install_exception_handlers,
    journey_lifespan,
    while_connected,
)

__all__ = [
    "EventStream",
    "JourneyDep",
    "execution_router",
    "get_journey",
    "install_exception_handlers",
    "journey_lifespan",
    "while_connected",
]

JourneyDep: TypeAlias = Annotated[Journey, Depends(get_journey)]
"""The Journey of the application, as the parameter of a route: `journey: JourneyDep`."""
