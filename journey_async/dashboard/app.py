"""The dashboard as an ASGI application: its pages, their updates, and their buttons."""

import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from jinja2 import Environment, PackageLoader
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from journey_async.client.execution import Execution
from journey_async.client.journey import Journey
from journey_async.client.options import shown
from journey_async.client.texts import compact, stamp
from journey_async.contrib.starlette import EventStream
from journey_async.core.condition_parser import parse_condition
from journey_async.core.graph import Graph
from journey_async.core.pieces import each
from journey_async.dashboard.feed import StatusFeed, execution_changes, messages
from journey_async.dashboard.security import CSRF_FIELD, Auth, Guard, check_csrf, csrf_token
from journey_async.dashboard.views import (
    Redact,
    diagram,
    execution_row,
    execution_view,
    funnel_bars,
)
from journey_async.errors import (
    ComputationNotFound,
    DatabaseUnavailable,
    ExecutionNotFound,
    GraphError,
    InvalidOptionError,
    JourneyError,
)
from journey_async.store.breath import in_turn

PAGE = 50  # executions on a page
STATIC = Path(__file__).parent / "static"


def dashboard(
    journey: Journey, *, auth: Auth, read_only: bool = True, redact: Redact | None = None
) -> Starlette:
    """An ASGI application that shows what a Journey's database holds.

    `auth` is given each request (Starlette's), and lets in whoever it returns something true for;
    it may be async, and may raise an HTTPException of its own. `read_only=False` adds buttons to
    retry, abandon, archive and unarchive. `redact(node, value)` gives what is shown of a value.
    The Journey is opened and closed by its owner. Raises InvalidOptionError.
    """
    if not callable(auth):
        raise InvalidOptionError(
            f"auth must be a function of a request, such as basic_auth(...), not {shown(auth)}"
        )
    if redact is not None and not callable(redact):
        raise InvalidOptionError(
            f"redact must be a function of a node and its value, not {shown(redact)}"
        )
    pages = Pages(journey, read_only=read_only, redact=redact)
    get, post = ["GET"], ["POST"]
    routes: list[Route | Mount] = [
        Route("/", pages.overview, methods=get),
        Route("/graph", pages.graph, methods=get),
        Route("/executions", pages.executions, methods=get),
        Route("/executions/{id}", pages.execution, methods=get),
        Route("/executions/{id}/events", pages.execution_events, methods=get),
        Route("/events", pages.status_events, methods=get),
        Mount("/static", StaticFiles(directory=STATIC), name="static"),
    ]
    if not read_only:
        routes.append(Route("/executions/{id}/{action}", pages.act, methods=post))
    errors: dict[Any, Callable[[Request, Any], Response]] = {
        HTTPException: pages.refused,
        JourneyError: pages.failed,
    }
    return Starlette(
        routes=routes, middleware=[Middleware(Guard, auth=auth)], exception_handlers=errors
    )


def graph_key(name: str, version: str) -> str:
    """A graph as a field of a form: without line breaks, which a browser would change."""
    return json.dumps([name, version])


def graph_of_key(key: str) -> tuple[str, str]:
    """The name and the version of a graph that was chosen; InvalidOptionError."""
    with contextlib.suppress(ValueError, RecursionError):
        match json.loads(key):
            case [str(name), str(version)]:
                return name, version
    raise InvalidOptionError(f"graph is the JSON of a name and a version, not {shown(key)}")


class Pages:
    """Answers the requests."""

    def __init__(self, journey: Journey, *, read_only: bool, redact: Redact | None) -> None:
        self._journey = journey
        self._read_only = read_only
        self._redact = redact
        self._feed = StatusFeed(journey)
        self._templates = Environment(
            loader=PackageLoader("journey_async.dashboard"), autoescape=True, trim_blocks=True
        )
        self._templates.globals.update(compact=compact, stamp=stamp, graph_key=graph_key)

    # --- pages --------------------------------------------------------------------------------

    async def overview(self, request: Request) -> Response:
        """How the system is, by graph."""
        part = "_overview.html" if "X-Fragment" in request.headers else "overview.html"
        return await self._page(request, part, status=await self._journey.status())

    async def graph(self, request: Request) -> Response:
        """One graph: its diagram, and how far its executions get."""
        name = request.query_params.get("name", "")
        version = request.query_params.get("version", "")
        known = {graph.key: graph for graph in await self._journey.graphs()}
        graph = known.get((name, version))
        if graph is None:
            raise HTTPException(404, f"There is no graph {name!r} version {version!r}.")
        included = cast(Any, request.query_params.get("executions", "active"))
        analytics = await self._journey.flow_analytics(name, version, include_executions=included)
        return await self._page(
            request,
            "graph.html",
            graph=graph,
            diagram=diagram(graph),
            analytics=analytics,
            bars=funnel_bars(analytics),
            included=included,
        )

    async def executions(self, request: Request) -> Response:
        """Executions, searched by graph and by value."""
        asked = request.query_params
        where, graph = asked.get("where", "").strip(), asked.get("graph", "")
        page = int(asked["page"]) if re.fullmatch("[1-9][0-9]{,8}", asked.get("page", "")) else 1
        if await self._exists(where):
            return RedirectResponse(f"{self._root(request)}/executions/{where}", 303)
        found: list[Execution] = []
        problem = None
        try:
            name, version = graph_of_key(graph) if graph else (None, None)
            found = await self._journey.list_executions(
                graph_name=name,
                graph_version=version,
                where=parse_condition(where) if where else None,
                include_archived="archived" in asked,
                order_by=[("updated_at", "desc")],
                limit=PAGE + 1,
                offset=PAGE * (page - 1),
            )
        except DatabaseUnavailable:
            raise
        except JourneyError as error:
            problem = str(error)
        rows = [execution_row(execution, self._redact) for execution in found[:PAGE]]
        return await self._page(
            request,
            "executions.html",
            400 if problem else 200,
            graphs=await self._graphs(),
            rows=rows,
            more=len(found) > PAGE,
            page=page,
            asked=asked,
            graph=graph,
            where=where,
            problem=problem,
        )

    async def execution(self, request: Request) -> Response:
        """One execution, with everything that is known of it."""
        summary = await self._journey.summary(request.path_params["id"])
        view = await in_turn(execution_view(summary, self._redact))
        part = "_execution.html" if "X-Fragment" in request.headers else "execution.html"
        return await self._page(
            request, part, execution=view, said=request.query_params.get("said")
        )

    # --- updates ------------------------------------------------------------------------------

    async def execution_events(self, request: Request) -> Response:
        """An event whenever the execution has changed since the stream was opened."""
        execution = await self._journey.load(request.path_params["id"], include_archived=True)
        return EventStream(messages(execution_changes(self._journey, execution)))

    async def status_events(self, request: Request) -> Response:
        """An event whenever the figures of the overview have changed."""
        return EventStream(messages(self._feed.changes()))

    # --- buttons ------------------------------------------------------------------------------

    async def act(self, request: Request) -> Response:
        """Do what a button says, and show the execution again."""
        await check_csrf(request)
        form = await request.form()
        execution_id, action = request.path_params["id"], request.path_params["action"]
        of = str(form.get("of", ""))
        match action:
            case "retry":
                execution = await self._journey.retry_computation(execution_id, of)
                is_queued = any(found.node == of for found in execution.computations)
                said = f"{of} has one more attempt{'' if is_queued else ', once it is unblocked'}"
            case "abandon":
                await self._journey.abandon_computation(of)
                said = f"{of} was given up"
            case "archive":
                await self._journey.archive(execution_id)
                said = "archived"
            case "unarchive":
                await self._journey.unarchive(execution_id)
                said = "carried on with"
            case _:
                raise HTTPException(404, f"There is no action {action!r}.")
        target = f"{self._root(request)}/executions/{execution_id}"
        return RedirectResponse(f"{target}?said={quote(said)}", 303)

    # --- what went wrong ----------------------------------------------------------------------

    def refused(self, request: Request, error: HTTPException) -> Response:
        """The page of a request that is refused."""
        return self._problem(request, error.status_code, error.detail, error.headers)

    def failed(self, request: Request, error: JourneyError) -> Response:
        """The page of a request that failed."""
        match error:
            case ExecutionNotFound() | ComputationNotFound():
                return self._problem(request, 404, str(error))
            case DatabaseUnavailable():
                return self._problem(request, 503, "The database cannot be reached.")
        return self._problem(request, 400, str(error))

    # --- the way there ------------------------------------------------------------------------

    async def _graphs(self) -> list[Graph]:
        with contextlib.suppress(GraphError):
            return await self._journey.graphs()
        return []  # a definition of newer code is no reason to show nothing

    async def _exists(self, execution_id: str) -> bool:
        with contextlib.suppress(ExecutionNotFound):
            await self._journey.load(execution_id, include_archived=True)
            return True
        return False

    async def _page(
        self, request: Request, template: str, code: int = 200, **context: Any
    ) -> Response:
        parts = self._templates.get_template(template).generate(
            root=self._root(request),
            read_only=self._read_only,
            csrf_field=CSRF_FIELD,
            csrf=csrf_token(request),
            **context,
        )
        html = "".join(await in_turn(each(str, parts)))  # of a graph with a thousand nodes
        return HTMLResponse(html, code)

    def _problem(self, request: Request, code: int, message: str, headers: Any = None) -> Response:
        html = self._templates.get_template("problem.html").render(
            root=self._root(request), code=code, message=message
        )
        return HTMLResponse(html, code, headers)

    def _root(self, request: Request) -> str:
        return str(request.scope.get("root_path", "")).rstrip("/")
