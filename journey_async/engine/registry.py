"""The graphs that this process knows: with their code, or as descriptions from the database."""

import json
from collections.abc import Collection
from dataclasses import dataclass

from journey_async.core import jsonvalue
from journey_async.core.graph import Graph, described_graph
from journey_async.core.state import State
from journey_async.engine.clock import Clock
from journey_async.errors import GraphNotRegisteredError
from journey_async.store.store import Store


@dataclass(frozen=True, slots=True)
class Known:
    """A graph, and when it was registered: a greater number is later."""

    graph: Graph
    registration: int


class Registry:
    """Resolves the graph of an execution.

    An execution is on the definition that its `graph_hash` names. It evolves to this process's
    definition if that was registered later; a process with an older one leaves it alone and sees
    it through the stored description.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._registered: dict[tuple[str, str], Known] = {}
        self._described: dict[tuple[str, str, str], Known] = {}

    @property
    def names(self) -> Collection[tuple[str, str]]:
        """Name and version of the graphs whose code is here."""
        return self._registered.keys()

    def registered(self, name: str, version: str) -> Graph | None:
        """The graph whose code is here."""
        known = self._registered.get((name, version))
        return None if known is None else known.graph

    async def register(self, graph: Graph) -> None:
        """Make this process's code for a graph known, here and to everybody."""
        known = self._registered.get((graph.name, graph.version))
        if known is not None and known.graph is graph:
            return
        definition = jsonvalue.encode(jsonvalue.normalise(graph.model_dump(mode="json")))
        number = await self._store.register_graph(
            graph.name, graph.version, graph.hash, definition, self._clock.now()
        )
        self._registered[graph.name, graph.version] = Known(graph, number)

    async def learn(self, state: State) -> None:
        """Make sure that `resolve` can answer for the state."""
        registered = self._registered.get((state.graph_name, state.graph_version))
        if registered is not None and registered.graph.hash == state.graph_hash:
            return
        if (state.graph_name, state.graph_version, state.graph_hash) in self._described:
            return
        for graph_hash, definition, number in await self._store.graphs(
            state.graph_name, state.graph_version
        ):
            graph = described_graph(json.loads(definition))
            self._described[graph.name, graph.version, graph_hash] = Known(graph, number)

    def resolve(self, state: State) -> tuple[Graph, bool]:
        """The graph to settle the state by, and whether the execution has to evolve to it."""
        registered = self._registered.get((state.graph_name, state.graph_version))
        if registered is not None and registered.graph.hash == state.graph_hash:
            return registered.graph, False
        described = self._described.get((state.graph_name, state.graph_version, state.graph_hash))
        if registered is not None and (
            described is None or described.registration < registered.registration
        ):
            return registered.graph, True
        if described is None:
            raise GraphNotRegisteredError(state.graph_name, state.graph_version)
        return described.graph, False

    async def graph_of(self, state: State) -> Graph:
        """The graph to read the state by."""
        await self.learn(state)
        return self.resolve(state)[0]
