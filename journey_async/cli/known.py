"""Refuses names that nobody has registered: at a terminal they are typing mistakes."""

from collections.abc import Iterable

from journey_async.client.journey import Journey
from journey_async.core.conditions import Condition, leaves
from journey_async.core.graph import Graph
from journey_async.errors import GraphError, GraphNotRegisteredError, InvalidOptionError, listed
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
    older definitions, too; here only the newest ones are looked at. Raises
    GraphNotRegisteredError, InvalidOptionError.
    """
    asked = [*nodes, *(leaf.node for leaf in leaves(where))] if where is not None else [*nodes]
    asked = [node for node in asked if node not in COLUMNS]
    if graph is None and not asked:
        return
    try:
        known = [*journey.own_graphs, *await journey.graphs()]
    except GraphError:
        return  # a definition of newer code, which is no reason to find nothing
    found = [g for g in known if graph in (None, g.name) and version in (None, g.version)]
    if graph is not None and not found:
        raise GraphNotRegisteredError(graph, version, known=names_of(known, version))
    if not found or version is not None:
        return
    there = dict.fromkeys(name for g in found for name in g.by_name)
    for node in asked:
        if node not in there:
            whose = "no graph" if graph is None else f"no version of graph {graph!r}"
            raise InvalidOptionError(
                f"{whose} has a node {node!r:.80} in its newest definition; there are "
                f"{listed(list(there))}; with --graph and --version older definitions count, too"
            )


def names_of(graphs: Iterable[Graph], version: str | None = None) -> list[str]:
    """The names of graphs, each once; with their versions if one was asked for."""
    names = (g.name if version is None else f"{g.name} {g.version}" for g in graphs)
    return list(dict.fromkeys(names))
