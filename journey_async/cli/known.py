"""Refuses names that nobody has registered: at a terminal they are typing mistakes."""

from collections.abc import Iterable

from journey_async.client.journey import Journey
from journey_async.core.conditions import Condition, leaves
from journey_async.errors import GraphNotRegisteredError, InvalidOptionError, listed
from journey_async.store.search import COLUMNS


async def refuse_unknown(
    journey: Journey,
    *,
    graph: str | None,
    version: str | None = None,
    where: Condition | None = None,
    nodes: Iterable[str] = (),
) -> None:
    """Refuse a graph, and nodes that none of the graphs has that are looked for.

    `nodes` may be columns as well. With a version given, the search itself refuses nodes, and knows
    older definitions, too. Raises GraphNotRegisteredError, InvalidOptionError.
    """
    known = [*journey.own_graphs, *await journey.graphs()]
    found = [g for g in known if graph in (None, g.name) and version in (None, g.version)]
    if graph is not None and not found:
        names = dict.fromkeys(g.name if version is None else f"{g.name} {g.version}" for g in known)
        raise GraphNotRegisteredError(graph, version, known=list(names))
    if not found or version is not None:
        return
    asked = [*nodes, *(leaf.node for leaf in leaves(where))] if where is not None else [*nodes]
    there = dict.fromkeys(name for g in found for name in g.by_name)
    for node in asked:
        if node not in there and node not in COLUMNS:
            whose = "no graph" if graph is None else f"no version of graph {graph!r}"
            raise InvalidOptionError(
                f"{whose} has a node {node!r:.80}; there are {listed(list(there))}"
            )
