"""A Journey in a FastAPI application: its life, a dependency, its errors, a router of executions.

    app = FastAPI(lifespan=journey_lifespan("postgresql://…", graphs=[signup]))
    install_exception_handlers(app)
    app.include_router(execution_router([signup], dependencies=[Depends(logged_in)]))

    @app.get("/greeting/{id}")
    async def greeting(id: str, journey: JourneyDep) -> str:
        return await journey.get_value(id, "greeting")

Needs the extra `fastapi`.
"""

from journey_async.contrib.fastapi.executions import JourneyDep
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
