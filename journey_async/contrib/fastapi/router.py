"""A router for executions of given graphs, a path for each graph."""

import re
from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from typing import cast

from fastapi import APIRouter
from fastapi.params import Depends

from journey_async.client import options
from journey_async.contrib import sse
from journey_async.contrib.fastapi.answers import Route, problems
from journey_async.contrib.fastapi.executions import Executions, Times
from journey_async.contrib.fastapi.exposure import (
    Exposure,
    checked_names,
    refuse_historians_of_hidden,
)
from journey_async.contrib.fastapi.models import model_name, models_of
from journey_async.core.graph import Graph
from journey_async.errors import InvalidOptionError

SEGMENT = r"[A-Za-z0-9._~-]+"


def execution_router(
    graphs: Sequence[Graph] | Mapping[str, Graph],
    *,
    prefix: str = "",
    tags: list[str | Enum] | None = None,
    dependencies: Sequence[Depends] = (),
    hidden: Collection[str] = (),
    read_only: Collection[str] = (),
    max_wait: float = 30.0,
    max_stream: float | None = None,
    keep_alive: float = sse.SILENCE,
) -> APIRouter:
    """A router to include, with routes for each graph: `/signup`, `/signup/{execution_id}`, ….

    The path of a graph is its name in small letters and hyphens, or the key in a mapping. Only
    executions of that graph (its name and version) are found there. `dependencies` protect it, as
    for any router: without, whoever reaches it may do everything. Nodes that are `hidden` are
    neither shown nor set there, those that are `read_only` are shown; both by name, in any graph.
    In seconds: a request waits for a value at most `max_wait`; a stream of events ends after
    `max_stream`, if that is given, and has a comment each `keep_alive`.

    Raises InvalidOptionError for graphs that would share a path, for nodes that none has, and for a
    historian that is shown and would tell of what is hidden.
    """
    by_path = _by_path(graphs)
    hidden = checked_names("hidden", hidden, by_path.values())
    refuse_historians_of_hidden(hidden, by_path.values())
    read_only = checked_names("read_only", read_only, by_path.values())
    times = Times(
        max_wait=options.seconds("max_wait", max_wait),
        max_stream=None if max_stream is None else options.seconds("max_stream", max_stream),
        keep_alive=options.seconds("keep_alive", keep_alive, least=0.001),
    )
    router = APIRouter(
        prefix=prefix, dependencies=list(dependencies), route_class=Route, responses=problems(503)
    )
    for path, graph in by_path.items():
        exposure = Exposure(graph, hidden, read_only)
        models = models_of(exposure, model_name(path))
        executions = Executions(exposure, models, times)
        router.include_router(executions.router(), prefix=f"/{path}", tags=tags or [graph.name])
    return router


def _by_path(graphs: Sequence[Graph] | Mapping[str, Graph]) -> dict[str, Graph]:
    """The graphs by the path of each; raises InvalidOptionError."""
    if isinstance(graphs, Mapping):
        for path, graph in graphs.items():
            options.checked_graph(graph)
            if not re.fullmatch(f"{SEGMENT}(/{SEGMENT})*", path):
                raise InvalidOptionError(
                    f"the path of a graph is of letters, digits and hyphens, not {path!r:.100}"
                )
        return dict(graphs)
    if isinstance(cast(object, graphs), Graph):
        raise InvalidOptionError("graphs is a list of graphs, as in execution_router([graph])")
    found: dict[str, Graph] = {}
    for graph in graphs:
        path = re.sub(r"[^a-z0-9]+", "-", options.checked_graph(graph).name.lower()).strip("-")
        if not path or path in found:
            raise InvalidOptionError(
                f"graph {graph.name!r} version {graph.version!r} needs a path of its own; "
                f"give it one: execution_router({{'a-path': graph, …}})"
            )
        found[path] = graph
    return found
