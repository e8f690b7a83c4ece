"""The routes of one graph: start, read, set, unset, read or wait for a value, events."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import quote

from fastapi import APIRouter, Body, Depends, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema
from starlette.convertors import PathConvertor, register_url_convertor

from journey_async.client.execution import Execution, stored_value
from journey_async.client.journey import Journey
from journey_async.contrib import sse
from journey_async.contrib.fastapi.answers import UNREADABLE, Route, members_of, problems
from journey_async.contrib.fastapi.exposure import Exposure
from journey_async.contrib.fastapi.models import EVENTS, DocumentedBy, Models, Value
from journey_async.contrib.starlette import EventStream, get_journey, while_connected
from journey_async.core.values import NodeValue
from journey_async.errors import (
    ExecutionArchivedError,
    ExecutionNotFound,
    InvalidOptionError,
    WaitTimeout,
)

USUAL_WAIT = 5.0  # seconds
Documented = dict[int | str, dict[str, Any]]
UNSEEN = {"Cache-Control": "no-store"}

JourneyDep: TypeAlias = Annotated[Journey, Depends(get_journey)]
"""The Journey of the application, as the parameter of a route: `journey: JourneyDep`."""
ExecutionId = Annotated[str, Path(description="the id of an execution")]
Number = Annotated[int, Field(ge=0)]
Revision = Annotated[Number | SkipJsonSchema[None], Query()]


@dataclass(frozen=True, slots=True)
class Times:
    """How long a wait and a stream of events may last, and how long it may say nothing; seconds."""

    max_wait: float
    max_stream: float | None
    keep_alive: float


class NodeNameConvertor(PathConvertor):
    """The rest of a path: any text, of several lines, too."""

    regex = "(?s:.*)"


class Executions:
    """Answers requests about executions of one graph."""

    def __init__(self, exposure: Exposure, models: Models, times: Times) -> None:
        self._exposure = exposure
        self._graph = exposure.graph
        self._models = models
        self._times = times
        self._node = {"type": "string", "enum": list(exposure.nodes)}
        self._input = {"type": "string", "enum": list(exposure.inputs)}

    def router(self) -> APIRouter:
        """The routes, under the path of the graph."""
        router = APIRouter(route_class=Route)
        if self._graph.singleton:
            self._add_find_or_start(router)
        else:
            self._add_start(router)
        for add in (
            self._add_read,
            self._add_set,
            self._add_unset,
            self._add_value,
            self._add_events,
        ):
            add(router)
        return router

    # --- the routes ---------------------------------------------------------------------------

    def _add_start(self, router: APIRouter) -> None:
        model = self._models.start

        @router.post(
            "",
            status_code=201,
            response_model=self._models.execution,
            responses=UNREADABLE | problems(422),
        )
        async def start(
            journey: JourneyDep,
            request: Request,
            body: Annotated[Any, DocumentedBy(model), Body(title=model.__name__)] = None,
        ) -> Response:
            """Start an execution, with values set at once."""
            values = await _values_to_start_with(request, body)
            self._exposure.check_settable(values)
            execution = await journey.start_execution(self._graph, values)
            here = quote(request.scope["path"].rstrip("/"))
            return self._execution(execution, 201, {"Location": f"{here}/{execution.id}"})

    def _add_find_or_start(self, router: APIRouter) -> None:
        @router.post(
            "", response_model=self._models.execution, responses=UNREADABLE | problems(422)
        )
        async def find_or_start(
            journey: JourneyDep, request: Request, body: Annotated[Any, Body()] = None
        ) -> Response:
            """The one live execution of this graph, which is started if there is none."""
            if await _values_to_start_with(request, body):
                raise InvalidOptionError(
                    f"graph {self._graph.name!r} is a singleton: its execution is found or started "
                    f"without values; send them by PATCH to its path"
                )
            return self._execution(await journey.find_or_start(self._graph))

    def _add_read(self, router: APIRouter) -> None:
        @router.get(
            "/{execution_id}", response_model=self._models.execution, responses=problems(404, 422)
        )
        async def read(journey: JourneyDep, execution_id: ExecutionId) -> Response:
            """An execution as it is now, archived or not."""
            return self._execution(await self._load(journey, execution_id))

    def _add_set(self, router: APIRouter) -> None:
        model = self._models.set

        @router.patch(
            "/{execution_id}/values",
            response_model=self._models.execution,
            responses=UNREADABLE | problems(404, 409, 422),
        )
        async def set_values(
            journey: JourneyDep,
            execution_id: ExecutionId,
            body: Annotated[Any, DocumentedBy(model), Body(title=model.__name__)],
        ) -> Response:
            """Set inputs: all or none, at one revision. The same again changes nothing."""
            sent = members_of(body, {"values", "metadata"})
            values, metadata = sent["values"], sent.get("metadata")
            self._exposure.check_settable(values)
            execution = await self._load(journey, execution_id)
            return self._execution(await journey.set_values(execution, values, metadata=metadata))

    def _add_unset(self, router: APIRouter) -> None:
        described = Query(description="inputs to unset", json_schema_extra={"items": self._input})

        @router.delete(
            "/{execution_id}/values",
            response_model=self._models.execution,
            responses=problems(404, 409, 422),
        )
        async def unset_values(
            journey: JourneyDep, execution_id: ExecutionId, node: Annotated[list[str], described]
        ) -> Response:
            """Unset inputs; what depended on them is cleared with them."""
            self._exposure.check_settable(node)
            execution = await self._load(journey, execution_id)
            return self._execution(await journey.unset_value(execution, *node))

    def _add_value(self, router: APIRouter) -> None:
        register_url_convertor("node_name", NodeNameConvertor())
        longest = self._times.max_wait
        no_value: Documented = {
            204: {"description": "The time ran out before there was such a value"}
        }

        @router.get(
            "/{execution_id}/values/{node:node_name}",
            response_model=Value,
            responses=problems(404, 409, 422) | no_value,
        )
        async def read_value(
            *,
            journey: JourneyDep,
            request: Request,
            execution_id: ExecutionId,
            node: Annotated[str, Path(json_schema_extra=self._node)],
            wait: Literal["any", "new", "settled"] | SkipJsonSchema[None] = None,
            newer_than: Revision = None,
            timeout: Annotated[float, Query(ge=0, le=longest)] = min(USUAL_WAIT, longest),
        ) -> Response:
            """The value of a node: as it is, or once there is the one that is waited for.

            `wait`: `any` until it is set, `new` until it is set anew, `settled` until it reflects
            everything that was set; `newer_than`: until its revision is newer than this one. After
            `timeout` seconds without it the answer is 204, ask again then; or 409 if the execution
            is archived, for nothing of it runs.
            """
            self._exposure.check_shown([node])
            execution = await self._load(journey, execution_id)
            work = journey.get_node(
                execution,
                node,
                wait_any=wait == "any",
                wait_new=wait == "new",
                settled=wait == "settled",
                newer_than=newer_than,
                timeout=timeout,
            )
            try:
                return self._held(execution, await while_connected(request, work))
            except WaitTimeout as error:
                if error.archived:  # whoever asks again would do so for ever
                    raise ExecutionArchivedError(error.execution_id) from None
                return Response(status_code=204, headers=UNSEEN)

    def _add_events(self, router: APIRouter) -> None:
        described = Query(description="of these nodes", json_schema_extra={"items": self._node})

        @router.get(
            "/{execution_id}/events",
            response_class=Response,
            responses=problems(404, 422) | {200: {"content": EVENTS}},
        )
        async def events(
            journey: JourneyDep,
            execution_id: ExecutionId,
            node: Annotated[list[str], described] = [],  # noqa: B006 FastAPI hands out copies
            since_revision: Revision = None,
            last_event_id: Annotated[Number | SkipJsonSchema[None], Header()] = None,
        ) -> Response:
            """What happens in the execution, as server-sent events, until the client goes.

            From now on, or from `since_revision` on. A browser that was cut off goes on by itself:
            it sends the id of the last event as `Last-Event-ID`.
            """
            self._exposure.check_shown(node)
            execution = await self._load(journey, execution_id)
            since = since_revision if last_event_id is None else last_event_id
            messages = self._messages(journey, execution, node or None, since)
            lasts, quiet = self._times.max_stream, self._times.keep_alive
            return EventStream(messages, max_stream=lasts, keep_alive=quiet)

    # --- the way there ------------------------------------------------------------------------

    async def _load(self, journey: Journey, execution_id: str) -> Execution:
        """The execution, archived or not, if it is one of this graph."""
        execution = await journey.load(execution_id, include_archived=True)
        wanted = (self._graph.name, self._graph.version)
        if (execution.graph_name, execution.graph_version) != wanted:
            raise ExecutionNotFound(execution_id)
        return execution

    async def _messages(
        self, journey: Journey, execution: Execution, nodes: list[str] | None, since: int | None
    ) -> AsyncGenerator[str, None]:
        events = journey.watch(execution, nodes=nodes, since_revision=since)
        yield sse.position(execution.revision if since is None else since)
        async with aclosing(events):
            async for event in events:
                if event.node not in self._exposure.hidden:
                    yield sse.message_of(event, execution)

    def _execution(
        self, execution: Execution, status: int = 200, headers: Mapping[str, str] = UNSEEN
    ) -> Response:
        data = {
            "id": execution.id,
            "graph_name": execution.graph_name,
            "graph_version": execution.graph_version,
            "revision": execution.revision,
            "created_at": _text(execution.created_at),
            "updated_at": _text(execution.updated_at),
            "archived_at": _text(execution.archived_at),
            "values": {
                name: stored_value(execution, name, execution.values[name].value)
                for name in execution.values
                if name in self._exposure.nodes
                and name not in execution.unreadable
                and execution.values[name].is_set
            },
        }
        return JSONResponse(data, status, headers)

    def _held(self, execution: Execution, node: NodeValue) -> Response:
        data = {
            "node": node.name,
            "value": stored_value(execution, node.name, node.value),
            "metadata": node.metadata,
            "revision": node.revision,
            "set_time": _text(node.set_time),
        }
        return JSONResponse(data, 200, UNSEEN)


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


async def _values_to_start_with(request: Request, body: Any) -> dict[str, Any]:
    """The values in a body that may be missing; raises InvalidOptionError."""
    if body is None and not await request.body():
        return {}
    values: dict[str, Any] = members_of(body, {"values"}, required=False).get("values", {})
    return values
