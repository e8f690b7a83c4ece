"""The verbs that only look."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from typing import Any, Literal

from journey_async.client import explaining, flow, introspection, options, search, status
from journey_async.client.causes import Cause, cause_of
from journey_async.client.diagram import execution_diagram
from journey_async.client.execution import Execution
from journey_async.client.previewing import Preview, previewed
from journey_async.client.records import HistoryEntry, history_of, set_values
from journey_async.client.trees import Reading, reading_of
from journey_async.client.vitals import Vitals, vitals
from journey_async.client.watching import Event, watch
from journey_async.core.conditions import Condition
from journey_async.core.description import Description
from journey_async.core.graph import Graph
from journey_async.core.pieces import each
from journey_async.core.reference import NodeName
from journey_async.core.sentinels import NOT_SET
from journey_async.core.state import State
from journey_async.core.values import Computation, ComputationState
from journey_async.engine.engine import Engine
from journey_async.errors import ExecutionArchivedError, InvalidOptionError, JourneyError
from journey_async.store.breath import in_turn


class Looking:
    """What a Journey can tell; archived executions included."""

    def __init__(self) -> None:
        self._opened: Engine | None = None

    async def values(self, execution: Execution | str) -> dict[str, Any]:
        """The values of all nodes that are set, by name.

        Raises ExecutionNotFound, and StoredTypeError if one of them is not of its type.
        """
        _, state, graph = await self._read(execution)
        return {value.name: value.value for value in await in_turn(set_values(state, graph))}

    async def values_all(self, execution: Execution | str) -> dict[str, Any]:
        """The values of all nodes by name, NOT_SET where there is none; raises as `values`."""
        _, state, graph = await self._read(execution)
        unset: dict[str, Any] = dict.fromkeys(graph.by_name, NOT_SET)
        given = await in_turn(set_values(state, graph))
        return unset | {value.name: value.value for value in given}

    async def computations(
        self, execution: Execution | str, node: NodeName | None = None
    ) -> list[Computation]:
        """All computations of an execution, or of one node of it, oldest first.

        Raises ExecutionNotFound, UnknownNodeError.
        """
        engine, state, graph = await self._read(execution)
        name = None if node is None else graph.node_named(node).name
        return await introspection.computations_of(engine, state, name)

    async def history(self, execution: Execution | str) -> list[HistoryEntry]:
        """Successful computations and present values, in the order of their revisions.

        Raises as `values`.
        """
        engine, state, graph = await self._read(execution)
        computations = await introspection.computations_of(engine, state)
        return await in_turn(history_of(state, graph, computations))

    async def why(self, execution: Execution | str, node: NodeName) -> Cause:
        """Where the value of a node came from, back to what callers set; `.to_text()` draws it.

        Of a node that is not set: which conditions do not hold. Raises UnknownNodeError.
        """
        engine, state, graph = await self._read(execution)
        name = graph.node_named(node).name
        computations = await introspection.computations_of(engine, state)
        return cause_of(state, graph, computations, name, engine.clock.now())

    async def preview(
        self,
        execution: Execution | str,
        *,
        set: options.Inputs | None = None,
        unset: Collection[NodeName] = (),
    ) -> Preview:
        """What would be cleared, computed and kept if these inputs were set and unset.

        Decided as `set_values` and `unset_value` would, and raises as they do; nothing is written.
        Raises JourneyError if the graph has predicates and its code is not here, or schedules that
        want a package which is not.
        """
        engine, state, graph = await self._read(execution)
        if isinstance(unset, str) or not isinstance(unset, Collection):
            raise InvalidOptionError(f"unset must be a list of names, not {options.shown(unset)}")
        names = tuple(graph.input_named(node).name for node in unset)
        if state.archived_at is not None:
            raise ExecutionArchivedError(state.execution_id)
        values = options.storable_values(graph, set or {}, engine.settings.max_value_bytes)
        return previewed(graph, state, values, names, engine.clock.now())

    def watch(
        self,
        execution: Execution | str,
        *,
        nodes: Collection[NodeName] | None = None,
        since_revision: int | None = None,
    ) -> AsyncGenerator[Event, None]:
        """What happens in an execution, in order and without end: `async for event in …`.

        From the snapshot on that is passed in (with an id: from the first step of the iteration
        on), or from `since_revision` on, for whoever was away; of some `nodes`, or of all. Who
        asks slowly, or was cut off, is told the latest of each node that changed, cleared ones
        included, and goes on from there. From `since_revision` on, that it is archived is told if
        it still is; nothing is kept of an unarchiving.

        Its first step raises ExecutionNotFound, UnknownNodeError, InvalidOptionError; closing the
        Journey ends it with DatabaseUnavailable, and so does a database that has lost what was told
        last, as a standby may that was behind. From a revision that is lost on, all that is there
        is told.
        """
        return watch(self._engine, execution, nodes=nodes, since_revision=since_revision)

    async def introspect(self, execution: Execution | str) -> str:
        """A text that tells everything about an execution, archived or not.

        Raises ExecutionNotFound.
        """
        return await introspection.introspect(self._engine, execution)

    async def summary(self, execution: Execution | str) -> introspection.Summary:
        """What `introspect` tells, as data."""
        return await introspection.summary(self._engine, execution)

    async def what_am_i_waiting_for(self, execution: Execution | str, node: NodeName) -> str:
        """The conditions of a node's gate, a line each: what holds first, then what does not.

        Empty for an input. Raises UnknownNodeError.
        """
        engine, state, graph = await self._read(execution)
        step = graph.steps.get(graph.node_named(node).name)
        return explaining.waiting_text(step, _reading(engine, state, graph)) if step else ""

    async def blockers(
        self, execution: Execution | str, node: NodeName
    ) -> list[explaining.Blocker]:
        """The conditions that keep a node's gate from holding; none if it holds, or for an input.

        A predicate whose code is not here counts as not met. Raises UnknownNodeError.
        """
        engine, state, graph = await self._read(execution)
        step = graph.steps.get(graph.node_named(node).name)
        return explaining.blockers(step, _reading(engine, state, graph)) if step else []

    async def computation_status(self, execution: Execution | str, node: NodeName) -> str:
        """Where the newest computation of a node stands; raises UnknownNodeError."""
        engine, state, graph = await self._read(execution)
        name = graph.node_named(node).name
        newest = state.newest.get(name)
        if newest is not None and newest.state is ComputationState.CANCELLED:
            all_of_it = await introspection.computations_of(engine, state, name)
            begun = [c for c in all_of_it if c.state is not ComputationState.CANCELLED]
            newest = begun[-1] if begun else newest  # what was withdrawn has given no value
        return explaining.status_text(state, graph, name, newest, _reading(engine, state, graph))

    async def mermaid(
        self, execution: Execution | str, *, legend: bool = False, timestamp: bool = False
    ) -> str:
        """The execution as a Mermaid diagram, each node with a sign for where it stands."""
        options.flag("legend", legend)
        options.flag("timestamp", timestamp)
        engine, state, graph = await self._read(execution)
        now = engine.clock.now()
        return execution_diagram(state, graph, now, legend=legend, timestamp=timestamp)

    async def graphs(self) -> list[Graph]:
        """The newest definition of each graph and version that was ever registered, without code.

        The one registered last comes first. Raises GraphError for one that cannot be read here,
        as of a newer release.
        """
        engine = self._engine
        definitions = await engine.patiently(engine.store.newest_graphs)
        return await in_turn(each(lambda text: Description(text).graph, definitions))

    async def list_executions(
        self,
        *,
        graph_name: str | None = None,
        graph_version: str | None = None,
        where: Condition | None = None,
        filter_by: Sequence[tuple[Any, ...]] = (),
        order_by: Sequence[NodeName | tuple[NodeName, str]] = ("updated_at",),
        limit: int = 100,
        offset: int = 0,
        include_archived: bool = False,
    ) -> list[Execution]:
        """Executions whose values satisfy conditions.

        `where=value("sum") > 2` or `filter_by=[("sum", "gt", 2)]`, all of which must hold;
        `order_by` takes names of columns and nodes, or pairs of a name and "asc" or "desc".
        `limit` and `offset` count executions. Raises InvalidOptionError, also for a node that the
        graph, given by name and version, does not have.
        """
        return await search.list_executions(
            self._engine,
            graph_name=graph_name,
            graph_version=graph_version,
            where=where,
            filter_by=filter_by,
            order_by=order_by,
            limit=limit,
            offset=offset,
            include_archived=include_archived,
        )

    async def count_executions(
        self,
        *,
        graph_name: str | None = None,
        graph_version: str | None = None,
        where: Condition | None = None,
        filter_by: Sequence[tuple[Any, ...]] = (),
        include_archived: bool = False,
    ) -> int:
        """How many executions `list_executions` would find without a limit."""
        return await search.count_executions(
            self._engine,
            graph_name=graph_name,
            graph_version=graph_version,
            where=where,
            filter_by=filter_by,
            include_archived=include_archived,
        )

    async def status(self) -> status.SystemStatus:
        """How many executions and computations there are, by graph.

        Raises nothing: a database that does not answer within 5 seconds is "unhealthy".
        """
        return await status.status(self._engine)

    def vitals(self) -> Vitals:
        """What this process is doing at the moment; from any thread, and without a query."""
        return vitals(self._engine_anywhere)

    async def flow_analytics(
        self,
        graph_name: str,
        graph_version: str,
        *,
        include_executions: Literal["active", "archived", "all"] = "active",
        flow_ends_here_after: float = 86400,
    ) -> flow.FlowAnalytics:
        """How far executions of a graph get; of a graph that nobody knows there are none.

        An execution has ended at the node that was set last, once nothing was set for
        `flow_ends_here_after` seconds. Raises InvalidOptionError.
        """
        return await flow.flow_analytics(
            self._engine,
            graph_name,
            graph_version,
            include_executions=include_executions,
            flow_ends_here_after=flow_ends_here_after,
        )

    # --- the way there ------------------------------------------------------------------------

    @property
    def _engine(self) -> Engine:
        engine = self._engine_anywhere
        if _running_loop() not in (engine.home, None):
            raise JourneyError(
                "this Journey belongs to another event loop; hand the call over to that one, as by "
                "anyio.from_thread.run(journey.set_value, …) in a step's `def`"
            )
        return engine

    @property
    def _engine_anywhere(self) -> Engine:
        if self._opened is None:
            raise JourneyError("this Journey is not open; use `async with Journey(…) as journey`")
        return self._opened

    async def _read(self, execution: Execution | str) -> tuple[Engine, State, Graph]:
        """The state as of now, its graph, and the engine with which the verb has to go on."""
        engine = self._engine
        state = await engine.current(options.execution_id(execution))
        return engine, state, await engine.graph_of(state)


def _reading(engine: Engine, state: State, graph: Graph) -> Reading:
    return reading_of(state, graph, engine.clock.now())


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
