"""Journey: opening and closing it, and the verbs that write and wait."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from types import TracebackType
from typing import Self, TypeVar, overload

from ulid import ULID

from journey_async.client import options, purging
from journey_async.client.checking import checked
from journey_async.client.execution import Execution, own_computation, snapshot
from journey_async.client.getting import Getting
from journey_async.client.opening import open_store
from journey_async.core.commands import (
    Abandon,
    Archive,
    Command,
    RetryNode,
    SetValues,
    Unarchive,
    UnsetValues,
)
from journey_async.core.graph import Graph
from journey_async.core.reference import NodeName, NodeRef
from journey_async.core.values import Computation, NodeKind
from journey_async.engine.clock import Clock, SystemClock
from journey_async.engine.engine import Engine
from journey_async.engine.instrumentation import Instrumentation
from journey_async.engine.points import Points
from journey_async.engine.settings import Settings
from journey_async.errors import (
    ComputationNotFound,
    ExecutionNotFound,
    InvalidOptionError,
    JourneyError,
    SingletonGraphError,
)
from journey_async.store.connecting import Pool
from journey_async.store.sql import checked_schema

T = TypeVar("T")

MOST_CONNECTIONS = 262_143  # that a server can have
LONGEST_LEASE = 1e9  # seconds; the database has no times that are much farther away


class Journey(Getting):
    """Durable executions of graphs in a PostgreSQL database.

        async with Journey("postgresql://…", graphs=[graph]) as journey:
            execution = await journey.start_execution(graph)

    `dsn` falls back to the environment's JOURNEY_DATABASE_URL; "embedded:" or "embedded:PATH" runs
    a private PostgreSQL. `pool` is an asyncpg pool to use instead. `listen_dsn` connects directly
    where `dsn` leads through a pooler. `schema` is where the tables are. `graphs` are those whose
    code is here; `run_computations=False` makes a client that only reads and writes. At most
    `max_concurrency` functions run at once, and `pool_size` connections are in the pool; `migrate`
    brings the schema up to date.

    Seconds: on closing, functions get `grace_period` to end; a machine that vanished is noticed
    after `lease`; a call waits up to `patience` for a database that cannot be reached.
    `max_value_bytes` limits a value's JSON, `cache_size` how many executions are kept in memory, of
    which some 256 MB are at most.
    `instrumentation` is told what happens: journey_async.contrib.opentelemetry has one. `clock` is
    for tests: journey_async.testing has one.

    Raises InvalidOptionError; opening it: DatabaseUnavailable, MigrationError,
    EmbeddedPostgresError, GraphConflictError. A call that is under way when it is closed ends
    first, or raises DatabaseUnavailable; one that is made while it is not open, JourneyError.
    """

    def __init__(
        self,
        dsn: str | None = None,
        *,
        pool: Pool | None = None,
        listen_dsn: str | None = None,
        schema: str = "journey",
        graphs: Sequence[Graph] = (),
        run_computations: bool = True,
        max_concurrency: int = 100,
        migrate: bool = True,
        pool_size: int = 10,
        cache_size: int = 10_000,
        max_value_bytes: int = 16 * 1024 * 1024,
        lease: float = 15.0,
        grace_period: float = 10.0,
        patience: float = 30.0,
        clock: Clock | None = None,
        instrumentation: Instrumentation | None = None,
    ) -> None:
        super().__init__()
        if dsn is not None and pool is not None:
            raise InvalidOptionError("give a dsn or a pool, not both")
        self._dsn = options.text("the DSN", dsn)
        self._pool = options.having("pool", pool, "acquire", "release")
        self._listen_dsn = options.text("listen_dsn", listen_dsn)
        self._graphs = options.checked_graphs(graphs)
        self._migrate = options.flag("migrate", migrate)
        self._pool_size = options.positive("pool_size", pool_size, most=MOST_CONNECTIONS)
        self._clock = options.having("clock", clock, "now", "call_at") or SystemClock()
        self._instrumentation = options.having(
            "instrumentation", instrumentation, "opened", "closed", "call", "run", "recorded"
        )
        self._settings = Settings(
            schema=checked_schema(schema),
            run_computations=options.flag("run_computations", run_computations),
            max_concurrency=options.positive("max_concurrency", max_concurrency),
            cache_size=options.positive("cache_size", cache_size),
            max_value_bytes=options.positive("max_value_bytes", max_value_bytes),
            lease=options.seconds("lease", lease, least=1.0, most=LONGEST_LEASE),
            grace_period=options.seconds("grace_period", grace_period),
            patience=options.seconds("patience", patience),
        )
        self._points = Points()
        self._stack = AsyncExitStack()
        self._is_opening = False
        self._closing: asyncio.Task[None] | None = None

    # --- opening and closing ------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._opened is not None or self._is_opening:
            raise JourneyError("this Journey is open already; make another one")
        self._is_opening = True
        try:
            await self._open()
        finally:
            self._is_opening = False
        return self

    async def _open(self) -> None:
        async with AsyncExitStack() as stack:
            opened = await open_store(
                stack,
                dsn=self._dsn,
                pool=self._pool,
                listen_dsn=self._listen_dsn,
                schema=self._settings.schema,
                pool_size=self._pool_size,
                bring_up_to_date=self._migrate,
                clock=self._clock,
            )
            engine = Engine(
                opened.store,
                opened.connect,
                self._clock,
                self._settings,
                self,
                points=self._points,
                instrumentation=self._instrumentation,
            )
            await engine.start(self._graphs)
            stack.push_async_callback(engine.stop)
            self._opened = engine
            engine.instruments.opened(self)
            stack.callback(engine.instruments.closed, self)
            self._stack = stack.pop_all()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop taking work, let functions end within the grace period, release the rest.

        A cancelled caller does not stop it half-way; who calls while it closes waits for the same.
        Calls that are under way then, such as waits, raise DatabaseUnavailable. To a function of
        a node and to `on_save` this returns at once: closing waits for them.
        """
        if self._closing is None or self._closing.done():
            self._closing = asyncio.ensure_future(self._close())
        if self._opened is not None and self._opened.waits_for(asyncio.current_task()):
            return
        await _completed(self._closing)

    async def _close(self) -> None:
        stack, self._stack = self._stack, AsyncExitStack()
        try:
            await stack.aclose()
        finally:
            self._opened = None

    @property
    def own_graphs(self) -> tuple[Graph, ...]:
        """The graphs whose code this Journey was made with."""
        return self._graphs

    @property
    def instrumentation(self) -> Instrumentation | None:
        """What is told of what happens, as this Journey was made with it."""
        return self._instrumentation

    async def register(self, *graphs: Graph) -> None:
        """Make the code of graphs known, so that this process can compute their executions.

        Raises GraphConflictError if live executions cannot take on a definition.
        """
        engine = self._engine
        for graph in graphs:
            await engine.register(options.checked_graph(graph))

    # --- executions ---------------------------------------------------------------------------

    async def start_execution(
        self,
        graph: Graph,
        values: options.Inputs | None = None,
        *,
        execution_id: str | None = None,
    ) -> Execution:
        """A new execution of a graph, with `values` set in the same commit.

        With an `execution_id` of your own (letters, digits, _ and -, at most 80) the call can be
        repeated: it gives the execution that has the id, as it is by now, if there is one.

        Raises SingletonGraphError for a singleton graph, InvalidOptionError for an id that an
        execution of another graph has; else as `register` and `set_values`.
        """
        if options.checked_graph(graph).singleton:
            raise SingletonGraphError(
                f"graph {graph.name!r} is a singleton; use find_or_start", graph_name=graph.name
            )
        given = None if execution_id is None else options.new_id(execution_id)
        return await _start(self._engine, graph, values, execution_id=given)

    async def find_or_start(self, graph: Graph) -> Execution:
        """The one live execution of a singleton graph, started if there is none.

        Any number of callers in any number of processes get the same. Raises SingletonGraphError
        for a graph that is no singleton; else as `register`.
        """
        if not options.checked_graph(graph).singleton:
            raise SingletonGraphError(
                f"graph {graph.name!r} is not a singleton; use start_execution",
                graph_name=graph.name,
            )
        engine = self._engine
        await engine.register(graph)
        while True:
            found = await engine.patiently(lambda: engine.store.singleton(graph.name))
            try:
                return await (_start(engine, graph) if found is None else _load(engine, found))
            except (SingletonGraphError, ExecutionNotFound):
                continue  # somebody was faster, to start it or to archive it

    async def load(
        self, execution: Execution | str, *, include_archived: bool = False
    ) -> Execution:
        """The execution as it is now; raises ExecutionNotFound."""
        archived_too = options.flag("include_archived", include_archived)
        return await _load(self._engine, execution, include_archived=archived_too)

    async def archive(self, execution: Execution | str) -> Execution:
        """Archive an execution: it can be read, and nothing of it runs. Twice changes nothing.

        Raises ExecutionNotFound.
        """
        return await _submit(self._engine, execution, Archive())

    async def unarchive(self, execution: Execution | str) -> Execution:
        """Carry on with an archived execution; a live one stays as it is.

        Raises ExecutionNotFound, SingletonGraphError if another execution has taken its place.
        """
        return await _submit(self._engine, execution, Unarchive())

    async def purge(self, *, older_than: float | timedelta, batch_size: int = purging.BATCH) -> int:
        """Delete for good what was archived longer than `older_than` ago (seconds, or a timedelta).

        In statements of `batch_size` executions each; cancelling it leaves the rest. Gives how many
        were deleted. Raises InvalidOptionError, DatabaseUnavailable.
        """
        return await purging.purge(self._engine, older_than, batch_size=batch_size)

    async def retry_computation(self, execution: Execution | str, node: NodeName) -> Execution:
        """One more attempt at a node, whatever has been used up.

        What waits for its retry is due at once, what runs stays as it is, and what is blocked is
        tried once its gate holds.
        Raises ExecutionNotFound, UnknownNodeError, InvalidOptionError for an input,
        ExecutionArchivedError.
        """
        engine = self._engine
        found = (await checked(engine, execution, lambda graph: graph.node_named(node))).result
        if found.kind is NodeKind.INPUT:
            raise InvalidOptionError(
                f"node {found.name!r} is an input; it has no computations to retry"
            )
        return await _submit(engine, execution, RetryNode(found.name))

    async def abandon_computation(self, computation_id: str) -> Computation:
        """Give up a computation that is running; it is retried if attempts are left.

        Raises ComputationNotFound, also for one that does not run.
        """
        execution_id, key = options.computation_key(computation_id)
        try:
            answer = await self._engine.submit(execution_id, Abandon(key, error="abandoned"))
        except ExecutionNotFound:
            raise ComputationNotFound(computation_id) from None
        abandoned = answer.change.computations.get(key)
        if abandoned is None:
            raise ComputationNotFound(
                computation_id,
                f"there is no computation {computation_id!r} that runs; only a running one can be "
                f"abandoned",
            )
        return own_computation(abandoned)

    # --- values -------------------------------------------------------------------------------

    @overload
    async def set_value(
        self, execution: Execution | str, node: NodeRef[T], value: T, *, metadata: object = None
    ) -> Execution: ...

    @overload
    async def set_value(
        self, execution: Execution | str, node: str, value: object, *, metadata: object = None
    ) -> Execution: ...

    async def set_value(
        self, execution: Execution | str, node: NodeName, value: object, *, metadata: object = None
    ) -> Execution:
        """Set an input; the same value and metadata again changes nothing.

        Raises UnknownNodeError, NotAnInputError, InvalidValueError, ExecutionNotFound,
        ExecutionArchivedError, DatabaseUnavailable.
        """
        values: options.Inputs = {node: value}
        return await self.set_values(execution, values, metadata=metadata)

    async def set_values(
        self,
        execution: Execution | str,
        values: options.Inputs,
        *,
        metadata: object = None,
    ) -> Execution:
        """Set several inputs: all or nothing, one revision. Raises as `set_value`."""
        engine = self._engine
        limit = engine.settings.max_value_bytes
        storable = await checked(
            engine, execution, lambda graph: options.storable_values(graph, values, limit)
        )
        kept = options.storable_metadata(metadata, limit)
        command = SetValues(storable.result, kept, checked_by=storable.graph.hash)
        return await _submit(engine, execution, command)

    async def unset_value(self, execution: Execution | str, *nodes: NodeName) -> Execution:
        """Unset inputs, and clear what depended on them in the same commit.

        Raises as `set_value`; InvalidOptionError without a node.
        """
        if not nodes:
            raise InvalidOptionError("unset_value wants the name of at least one input")
        engine = self._engine
        names = await checked(
            engine, execution, lambda graph: tuple(graph.input_named(node).name for node in nodes)
        )
        return await _submit(engine, execution, UnsetValues(names.result))


# A verb takes the engine once, and goes on with it though the Journey is closed meanwhile: the
# engine says so.


async def _start(
    engine: Engine,
    graph: Graph,
    values: options.Inputs | None = None,
    *,
    execution_id: str | None = None,
) -> Execution:
    graph = engine.registry.with_code(graph)
    storable = options.storable_values(graph, values or {}, engine.settings.max_value_bytes)
    await engine.register(graph)
    new_id = execution_id or f"{graph.execution_id_prefix.upper()}{ULID()}"
    answer = await engine.create(graph, new_id, storable)
    if answer.state.graph_name != graph.name:
        raise InvalidOptionError(
            f"execution_id {execution_id!r} is that of an execution of graph "
            f"{answer.state.graph_name!r} already; give one of graph {graph.name!r} another id"
        )
    return snapshot(answer.state, answer.graph)


async def _load(
    engine: Engine, execution: Execution | str, *, include_archived: bool = False
) -> Execution:
    state = await engine.current(options.execution_id(execution))
    if state.archived_at is not None and not include_archived:
        raise ExecutionNotFound(state.execution_id, archived=True)
    return snapshot(state, await engine.graph_of(state))


async def _submit(engine: Engine, execution: Execution | str, command: Command) -> Execution:
    answer = await engine.submit(options.execution_id(execution), command)
    return snapshot(answer.state, answer.graph)


async def _completed(task: asyncio.Task[T]) -> T:
    """Wait for a task to its end even if the caller is cancelled meanwhile."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
