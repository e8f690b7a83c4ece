"""The graphs that this process knows: with their code, or as descriptions from the database."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from journey_async.core.description import NO_TYPES, Description
from journey_async.core.graph import Graph, GraphKey
from journey_async.core.pieces import each
from journey_async.core.state import State
from journey_async.engine.clock import Clock
from journey_async.engine.logs import log
from journey_async.errors import GraphConflictError, GraphNotRegisteredError
from journey_async.store.breath import in_turn
from journey_async.store.connecting import Connection
from journey_async.store.store import Store, StoredDefinition

NO_CODE = ""  # in place of a hash: the code is not here
MARK = 8  # characters of a definition's hash by which a notification names it (apply_changes.sql)


@dataclass(slots=True)
class Definitions:
    """All definitions of one name and version, by hash.

    One with a greater registration was registered later.
    """

    registrations: dict[str, int]
    described: dict[str, Description]
    asked: int = 0  # the number of the question that this is the answer to

    def newer_than(self, graph: Graph) -> set[str]:
        """The definitions that were registered later; at the same moment, those of greater hash."""
        own = (self.registrations.get(graph.hash, 0), graph.hash)
        return {h for h, registration in self.registrations.items() if (registration, h) > own}

    def older_than(self, graph: Graph) -> list[str]:
        """The other ones, which evolve to this."""
        return [h for h in self.registrations.keys() - self.newer_than(graph) if h != graph.hash]


class Marks:
    """The beginnings of hashes by which notifications name definitions, put down graph by graph."""

    def __init__(self) -> None:
        self._of: dict[GraphKey, set[str]] = {}
        self._graphs: Counter[str] = Counter()  # that have a mark: the same nodes, the same hash

    def __contains__(self, hash_start: str) -> bool:
        return self._graphs[hash_start] > 0

    def put(self, key: GraphKey, hashes: Iterable[str]) -> None:
        """These are the definitions of the graph."""
        former, marks = self._of.get(key, set()), {h[:MARK] for h in hashes}
        self._of[key] = marks
        self._graphs.update(marks - former)
        self._graphs.subtract(former - marks)


class Registry:
    """Resolves the graph of an execution.

    An execution is on the definition that its `graph_hash` names. It evolves to this process's
    definition if that was registered later; a process with an older one leaves it alone and sees
    it through the stored description, until no worker is left that has the code of a newer one.
    `worker` gives the id of this worker, None in a process that computes nothing.
    """

    def __init__(self, store: Store, clock: Clock, worker: Callable[[], str | None]) -> None:
        self._store = store
        self._clock = clock
        self._worker = worker
        self._registered: dict[GraphKey, Graph] = {}
        self._newer: dict[GraphKey, set[str]] = {}  # than the registered ones
        self._marks = Marks()  # of the registered ones
        self._older_marks = Marks()  # of what is known of their older definitions
        self._code: dict[GraphKey, str] = {}  # hashes, of what is about to be registered, too
        self._stored: dict[GraphKey, Definitions] = {}  # as last looked up
        self._registering: defaultdict[GraphKey, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._fetching: defaultdict[GraphKey, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._asked = 0  # questions to the database so far

    def has(self, graph: Graph) -> bool:
        """Whether this very graph is registered; of a description, whether it is known."""
        if not graph.lacks_code:
            return self._registered.get(graph.key) is graph
        stored = self._stored.get(graph.key)
        return stored is not None and graph.hash in stored.registrations

    def with_code(self, graph: Graph) -> Graph:
        """The code that is here of what a graph merely describes; else the graph itself."""
        registered = self._registered.get(graph.key)
        if registered is None or not graph.lacks_code or registered.hash != graph.hash:
            return graph
        return registered

    def registered(self, name: str, version: str) -> Graph | None:
        """The graph whose code is here."""
        return self._registered.get((name, version))

    def has_code(self, hash_start: str) -> bool:
        """Whether the code of a definition is here, by the beginning of its hash."""
        return hash_start in self._marks

    def has_newer_code(self, hash_start: str) -> bool:
        """Whether executions on a definition evolve to code that is here; as `has_code`."""
        return hash_start in self._older_marks

    def own_code(self) -> str:
        """The code that is here, as JSON text: name -> version -> hash; from any thread."""
        hashes: dict[str, dict[str, str]] = {}
        for (name, version), graph_hash in list(self._code.items()):
            hashes.setdefault(name, {})[version] = graph_hash
        return json.dumps(hashes)

    async def register(self, graph: Graph) -> None:
        """Make this process's code for a graph known, here and to everybody.

        Of one name and version one after the other, so that the last one here is the last one in
        the database. A description takes no code's place. Raises GraphConflictError if live
        executions cannot take the definition on.
        """
        if graph.lacks_code:
            await self._register_description(graph)
            return
        key = graph.key
        async with self._registering[key]:
            if self.has(graph):
                return
            await self._fetch_definitions([key], own=graph)
            await self._refuse_conflicts(graph)
            with self._claimed(graph):
                await self._put_down(graph)
                self._registered[key] = graph
                self._note_order(key)

    async def _register_description(self, graph: Graph) -> None:
        """Make a definition known whose code is elsewhere; nobody computes by it here."""
        key = graph.key
        async with self._registering[key]:
            await self._fetch_definitions([key])
            if not self.has(graph):
                await self._refuse_conflicts(graph)
                await self._put_down(graph)

    async def learn(self, state: State, connection: Connection | None = None) -> None:
        """Make sure that `resolve` can answer for the state.

        Where this process has other code than the execution is on, it asks anew: which of the two
        was registered later may have changed. Who holds a `connection` passes it, for there may be
        no other. Raises DatabaseUnavailable.
        """
        if not self.must_ask_about(state):
            return
        key = state.graph_key
        if key in self._registered or connection is not None:
            await self._fetch_definitions([key], connection)
            return
        async with self._fetching[key]:  # whoever else lacks the definition need not ask
            if self.must_ask_about(state):
                await self._fetch_definitions([key])

    async def learn_all(self, states: Iterable[State]) -> None:
        """`learn` for many states, with one question; raises DatabaseUnavailable."""
        unsure = [state for state in states if self.must_ask_about(state)]
        if unsure:
            keys = {state.graph_key for state in unsure}
            await self._fetch_definitions(keys)

    def must_ask_about(self, state: State) -> bool:
        """Whether `learn` has to ask about the state."""
        key = state.graph_key
        registered, stored = self._registered.get(key), self._stored.get(key)
        if registered is not None:
            return registered.hash != state.graph_hash
        return stored is None or state.graph_hash not in stored.described

    async def fetch_again(self) -> None:
        """Learn in which order the definitions are now of the graphs whose code is here.

        What the database has lost of that code is put down again. Raises DatabaseUnavailable.
        """
        await self._fetch_definitions(list(self._registered))
        for key, graph in list(self._registered.items()):
            if graph.hash not in self._stored[key].registrations:
                await self._put_down_again(graph)

    def knows(self, state: State) -> bool:
        """Whether `resolve` can answer for the state."""
        key = state.graph_key
        stored = self._stored.get(key, Definitions({}, {}))
        return key in self._registered or state.graph_hash in stored.described

    def resolve(self, state: State) -> tuple[Graph, bool]:
        """The graph to settle the state by, and whether the execution has to evolve to it.

        Raises GraphNotRegisteredError if neither its code nor its description is here, GraphError
        if that cannot be read.
        """
        key = state.graph_key
        registered = self._registered.get(key)
        if registered is not None and registered.hash == state.graph_hash:
            return registered, False
        stored = self._stored.get(key, Definitions({}, {}))
        if registered is not None and state.graph_hash not in stored.newer_than(registered):
            return registered, True
        described = stored.described.get(state.graph_hash)
        if described is None:
            raise GraphNotRegisteredError(*key)
        return described.graph, False

    async def graph_of(self, state: State) -> Graph:
        """The graph to read the state by."""
        await self.learn(state)
        return self.resolve(state)[0]

    async def graphs_of(self, states: Sequence[State]) -> list[Graph]:
        """The graphs to read states by, found out with one question."""
        await self.learn_all(states)
        return [self.resolve(state)[0] for state in states]

    def newer_definitions(self) -> Mapping[GraphKey, Collection[str]]:
        """For each graph whose code is here, the definitions that were registered later."""
        return self._newer

    async def restore(self) -> None:
        """`fetch_again`; then code that is not the newest is reinstated, if no worker is left that
        has newer code.
        """
        await self.fetch_again()
        for key, graph in list(self._registered.items()):
            if self._newer[key] and await self._reinstate(graph):
                await self._fetch_definitions([key])

    async def outdated(self, limit: int, without: Collection[str] = ()) -> list[str]:
        """Live executions, but for some, that have yet to evolve to the code that is here."""
        found: list[str] = []
        for key, graph in list(self._registered.items()):
            older = self._stored[key].older_than(graph)
            if older and len(found) < limit:
                found += await self._store.outdated(*key, older, limit - len(found), without)
        return found

    async def _put_down(self, graph: Graph) -> None:
        definition, now = graph.model_dump_json(), self._clock.now()
        worker, own = (None, None) if graph.lacks_code else (self._worker(), graph)
        key = graph.key
        await self._store.register_graph(*key, graph.hash, definition, now=now, worker=worker)
        await self._fetch_definitions([key], own=own)

    async def _put_down_again(self, graph: Graph) -> None:
        """Put down what the database has lost, unless live executions cannot take it on."""
        key = graph.key
        async with self._registering[key]:
            await self._fetch_definitions([key])
            if graph.hash in self._stored[key].registrations or not self.has(graph):
                return
            with suppress(GraphConflictError):
                await self._refuse_conflicts(graph)
                await self._put_down(graph)

    async def _reinstate(self, graph: Graph) -> bool:
        """Make it the newest again, if no worker has newer code; whether it is.

        Not if live executions cannot take it on.
        """
        try:
            await self._refuse_conflicts(graph)
        except GraphConflictError:
            return False
        now = self._clock.now()
        done = await self._store.reinstate_graph(graph.name, graph.version, graph.hash, now)
        if done:
            log.info(
                "nobody computes by newer definitions of graph %r version %r any more; "
                "its executions go on here",
                graph.name,
                graph.version,
            )
        return done

    @contextmanager
    def _claimed(self, graph: Graph) -> Iterator[None]:
        """Let the graph count as code that is here while it is being registered: a worker that
        begins anew meanwhile puts down what counts.

        If registering fails, the former code counts again, or NO_CODE where there is none. The
        statement may have taken effect all the same; the next renewal of the lease sees that the
        row of this worker says something else, and corrects it.
        """
        key = graph.key
        self._code[key] = graph.hash
        try:
            yield
        except BaseException:
            former = self._registered.get(key)
            self._code[key] = former.hash if former else NO_CODE
            raise

    async def _fetch_definitions(
        self,
        keys: Collection[GraphKey],
        connection: Connection | None = None,
        *,
        own: Graph | None = None,
    ) -> None:
        """Learn the definitions of graphs and their order, with one question.

        The description is left out of the one whose code is here, or (`own`) about to be: nobody
        needs it as long as that code is the last registered here.
        """
        if not keys:
            return
        self._asked += 1
        asked = self._asked
        have = {key: self._have(key, own) for key in keys}
        for key, definitions in (await self._store.graphs(have, connection)).items():
            self._note_definitions(key, definitions, asked)

    def _have(self, key: GraphKey, own: Graph | None) -> list[str]:
        """The definitions of which no description is needed."""
        own, known = own or self._registered.get(key), self._stored.get(key)
        described = known.described if known else ()
        return [*described, own.hash] if own else [*described]

    def _note_definitions(
        self, key: GraphKey, definitions: Sequence[StoredDefinition], asked: int
    ) -> None:
        known = self._stored.get(key)
        if known is not None and known.asked > asked:
            return  # a later question was answered sooner
        own = self._registered.get(key)
        types = {t.name: t for t in own.types.values()} if own else NO_TYPES
        described = {d.hash: Description(d.text, types) for d in definitions if d.text is not None}
        registrations = {d.hash: d.registration for d in definitions}
        if known is not None:
            described |= known.described
        self._stored[key] = Definitions(registrations, described, asked)
        if known is None or known.registrations != registrations:
            self._note_order(key)

    def _note_order(self, key: GraphKey) -> None:
        """Note what is older and what is newer than the code that is here, if any is."""
        graph, stored = self._registered.get(key), self._stored[key]
        if graph is not None:
            self._newer[key] = stored.newer_than(graph)
            self._marks.put(key, [graph.hash])
            self._older_marks.put(key, stored.older_than(graph))

    async def _refuse_conflicts(self, graph: Graph) -> None:
        """Refuse a node that changed its kind while executions with the old one are alive."""
        key = graph.key
        described = self._stored[key].described
        read = await in_turn(each(Description.kinds, described.values()))
        known = dict(zip(described, read, strict=True))
        if (former := self._registered.get(key)) is not None:
            known[former.hash] = {node.name: node.kind for node in former.nodes}
        changed = {h: kinds for h in known if (kinds := _changed_kinds(known[h], graph))}
        if not changed:
            return
        live = await self._store.count_live(*key, list(changed))
        if live:
            node, was = next(iter(next(iter(changed.values())).items()))
            raise GraphConflictError(
                graph.name,
                graph.version,
                node=node,
                was=was,
                now=graph.by_name[node].kind,
                executions=live,
            )


def _changed_kinds(known: Mapping[str, str], graph: Graph) -> dict[str, str]:
    """Nodes that are of another kind now, with the kind that they had."""
    return {
        name: kind
        for name, kind in known.items()
        if name in graph.by_name and graph.by_name[name].kind != kind
    }
