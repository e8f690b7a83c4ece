"""The database: a method for each statement of sql/queries that is sent by way of the pool.

Those of a worker's own connection stand in `workers`, those of the doctor in `examination`.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias

import asyncpg

from journey_async.core.change import Change
from journey_async.core.graph import GraphKey
from journey_async.core.state import State
from journey_async.core.values import Computation, ComputationKey
from journey_async.store.breath import in_turn
from journey_async.store.channels import Channels
from journey_async.store.connecting import ANSWER_LIMIT, Connection, Server, read_clock
from journey_async.store.faults import translated
from journey_async.store.lending import Lending
from journey_async.store.rows import NOTHING_KNOWN, computations_of, states_of, write_arguments
from journey_async.store.sql import in_schema, statement

SEARCH_LIMIT = 120.0  # seconds for an answer that may need a look at every execution
MANY_PARTS = 100  # of tallies, which are then made fewer
FOLDED_AT_ONCE = 10_000
MANY = 4  # computations of a node
UNKNOWN = -1  # is before all versions

Place: TypeAlias = tuple[datetime, str]  # of an execution among those that want attention
BEGINNING: Place = (datetime.min.replace(tzinfo=UTC), "")


class OverdueWork(NamedTuple):
    """An attempt that should have ended: at its deadline, or else with its worker."""

    execution_id: str
    key: ComputationKey
    token: int
    worker: str
    is_past_deadline: bool


class StoredDefinition(NamedTuple):
    """A definition of a graph, as JSON text unless it is known already.

    One with a greater registration was registered later.
    """

    hash: str
    text: str | None
    registration: int


class Store:
    """Speaks SQL in one schema.

    Every method raises DatabaseUnavailable when the connection fails or does not answer, and
    DataRefused when PostgreSQL refuses what it was given; nothing of asyncpg comes through.
    """

    def __init__(self, lending: Lending, schema: str, channels: Channels) -> None:
        self._lending = lending
        self._schema = schema
        self._channels = channels
        self._texts: dict[str, str] = {}
        self.server: str | None = None  # that answered last
        self._other_server: Callable[[], None] = lambda: None

    def when_another_answers(self, forget: Callable[[], None]) -> None:
        """Call `forget` whenever another server answers than the last time, or the same anew.

        What is known may be lost there.
        """
        self._other_server = forget

    async def distrust(self) -> None:
        """Replace all connections: the server may not be the one that it was."""
        await self._lending.distrust()

    def cut(self) -> None:
        """Cut all connections: from now on every method raises DatabaseUnavailable."""
        self._lending.cut()

    @property
    def connections(self) -> tuple[int, int]:
        """How many connections the pool has, and how many of them are in use."""
        return self._lending.size, self._lending.lent

    # --- executions ---------------------------------------------------------------------------

    async def apply(
        self,
        changes: Sequence[Change],
        *,
        sender: str,
        connection: Connection | None = None,
    ) -> set[str]:
        """Write changes, each if its execution still has the version expected.

        Gives the ids of those written. `sender` is who wrote, as others will hear.
        """
        rows = await self._fetch(
            "apply_changes",
            *await in_turn(write_arguments(changes)),
            self._channels.changed,
            self._channels.due,
            sender,
            connection=connection,
        )
        written = set()
        for row in rows:
            if row["id"] is not None:
                written.add(row["id"])
            elif row["server"]:
                self._answered(row["server"])
        return written

    async def load(
        self,
        ids: Collection[str],
        connection: Connection | None = None,
        *,
        known: Mapping[str, State] = NOTHING_KNOWN,
    ) -> dict[str, State]:
        """The states of those executions that exist.

        Of those that are `known`, as this store gave or wrote them, what was written since is read.
        """
        versions = [known[i].version if i in known else UNKNOWN for i in ids]
        go_through = [i in known and _has_few_computations(known[i]) for i in ids]
        arguments, known_of = (list(ids), versions, go_through), self.server
        rows = await self._fetch("load_executions", *arguments, connection=connection)
        if not rows:
            return {}
        self._answered(rows[0]["server"])
        if known and self.server != known_of:
            return await self.load(ids, connection)
        unfit = {row["id"] for row in rows if row["id"] in known and not _follows(row, known)}
        found = await in_turn(states_of((r for r in rows if r["id"] not in unfit), known))
        if unfit:
            found |= await self.load(unfit, connection)
        # What is given is of the server that answered last, as all that is known.
        return found if self.server == rows[0]["server"] else await self.load(ids, connection)

    def _answered(self, server: str) -> None:
        """Have what is known forgotten if this is another server than the one that it is of."""
        if server != self.server:
            self.server = server
            self._other_server()

    async def versions(self, ids: Collection[str]) -> dict[str, int]:
        """The versions of those executions that exist."""
        rows = await self._fetch("read_versions", list(ids))
        return {row["id"]: row["version"] for row in rows}

    @asynccontextmanager
    async def locked(self, execution_id: str) -> AsyncIterator[Connection | None]:
        """A transaction that holds the execution's row; for `load` and `apply` within it.

        None if there is no such row, though there may be one a moment later.
        Raises RowHeld, a DatabaseUnavailable, if somebody else holds it for more than a second.
        """
        with translated():
            async with self._lending.one() as connection, self._transaction(connection):
                held = await self._ask(connection, self._text("lock_execution"), execution_id)
                yield connection if held else None

    async def computations(self, execution_id: str, node: str | None) -> list[Computation]:
        """All computations of an execution, or of one node of it, oldest first."""
        rows = await self._fetch("computations", execution_id, node)
        return await in_turn(computations_of(execution_id, rows))

    async def attention(
        self,
        graphs: Mapping[GraphKey, Collection[str]],
        *,
        without: Sequence[str],
        limit: int,
        after: Place = BEGINNING,
    ) -> list[tuple[str, datetime, int]]:
        """The executions of these graphs (name, version) that want attention first; when; versions.

        Those on the definitions given for each graph (hashes) are left to others, those `without`
        (ids) are left alone.
        """
        names = [name for name, _ in graphs]
        versions = [version for _, version in graphs]
        left = [",".join(hashes) for hashes in graphs.values()]
        rows = await self._fetch("attention", names, versions, left, without, limit, *after)
        return [(row["id"], row["wake_at"], row["version"]) for row in rows]

    async def purge_archived(self, before: datetime, limit: int) -> list[str]:
        """Delete executions archived before a moment, with all that belongs to them; their ids.

        Raises AnswerLate if these are too many to be deleted in time.
        """
        rows = await self._fetch("purge_archived", before, limit, limit=SEARCH_LIMIT)
        return [row["id"] for row in rows]

    async def fold_tallies(self) -> None:
        """Make one part of many in the tallies, if there are many."""
        folded = FOLDED_AT_ONCE
        while folded == FOLDED_AT_ONCE:
            rows = await self._fetch("fold_tallies", MANY_PARTS, FOLDED_AT_ONCE)
            folded = rows[0]["folded"]

    # --- graphs -------------------------------------------------------------------------------

    async def register_graph(
        self,
        name: str,
        version: str,
        graph_hash: str,
        definition: str,
        *,
        now: datetime,
        worker: str | None,
    ) -> None:
        """Make a definition (JSON text) known, and the newest of its name and version.

        `worker` has its code. None: a process that computes nothing, and whose definition becomes
        the newest only if nobody knew it.
        """
        channel = self._channels.reordered
        await self._fetch(
            "register_graph", name, version, graph_hash, definition, now, worker, channel
        )

    async def reinstate_graph(
        self, name: str, version: str, graph_hash: str, now: datetime
    ) -> bool:
        """Make a definition the newest again if no worker has the code of a newer one."""
        channel = self._channels.reordered
        return bool(await self._fetch("reinstate_graph", name, version, graph_hash, now, channel))

    async def graphs(
        self, known: Mapping[GraphKey, Collection[str]], connection: Connection | None = None
    ) -> dict[GraphKey, list[StoredDefinition]]:
        """The definitions of these graphs, newest first.

        The texts of those that are `known` (hashes) are not told again.
        """
        names, versions = [name for name, _ in known], [version for _, version in known]
        have = [",".join(hashes) for hashes in known.values()]
        found: dict[GraphKey, list[StoredDefinition]] = {key: [] for key in known}
        for row in await self._fetch("find_graphs", names, versions, have, connection=connection):
            definition = StoredDefinition(row["hash"], row["definition"], row["registration"])
            found[row["name"], row["version"]].append(definition)
        return found

    async def newest_graphs(self) -> list[str]:
        """The newest definition (JSON text) of each name and version, the latest first."""
        return [row["definition"] for row in await self._fetch("newest_graphs")]

    async def outdated(
        self, name: str, version: str, hashes: Sequence[str], limit: int, without: Collection[str]
    ) -> list[str]:
        """Ids of live executions on one of the definitions `hashes`, but for those `without`."""
        rows = await self._fetch("outdated_executions", name, version, hashes, limit, list(without))
        return [row["id"] for row in rows]

    async def count_live(self, name: str, version: str, hashes: Sequence[str]) -> int:
        """How many live executions are on one of some definitions of a graph."""
        [row] = await self._fetch("count_live_executions", name, version, hashes)
        return int(row["live"])

    async def singleton(self, graph_name: str) -> str | None:
        """The live execution of a singleton graph."""
        rows = await self._fetch("find_singleton", graph_name)
        return rows[0]["execution_id"] if rows else None

    # --- work and workers ---------------------------------------------------------------------

    async def work_of(self, workers: Collection[str]) -> list[tuple[str, str]]:
        """Executions in which one of the workers runs something, each with the worker."""
        rows = await self._fetch("work_of_workers", list(workers))
        return [(row["execution_id"], row["worker"]) for row in rows]

    async def tokens_of(self, worker: str) -> list[tuple[str, int]]:
        """The tokens of what a worker runs, each with its execution."""
        rows = await self._fetch("tokens_of_worker", worker)
        return [(row["execution_id"], row["token"]) for row in rows]

    async def overdue_work(self, before: datetime, limit: int) -> list[OverdueWork]:
        """Computations whose deadline was before a time, or of workers that do not exist."""
        return [
            OverdueWork(
                row["execution_id"],
                ComputationKey(row["node"], row["number"]),
                row["token"],
                row["worker"],
                row["is_past_deadline"],
            )
            for row in await self._fetch("overdue_work", before, limit)
        ]

    async def read_clock(self) -> Server:
        """Ask for the time."""
        with translated():
            async with self._lending.one() as connection:
                return await read_clock(connection)

    # --- figures ------------------------------------------------------------------------------

    async def system_status(self) -> list[Mapping[str, Any]]:
        """Counts and dates of each graph that has executions, the most active first."""
        return [dict(row) for row in await self._fetch("system_status", limit=SEARCH_LIMIT)]

    async def flow_figures(
        self, name: str, version: str, chosen: str, ended_before: datetime
    ) -> list[Mapping[str, Any]]:
        """How far executions get: a row for each node, or one without a node."""
        rows = await self._fetch(
            "flow_figures", name, version, chosen, ended_before, limit=SEARCH_LIMIT
        )
        return [dict(row) for row in rows]

    # --- the way there ------------------------------------------------------------------------

    async def fetch_text(self, text: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows of a statement that was put together (see `search`).

        It is planned for these arguments, each time: how many executions have a value is another
        matter for each value.
        """
        with translated():
            async with self._lending.one() as connection:
                try:
                    prepared = await connection.prepare(
                        in_schema(text, self._schema), timeout=ANSWER_LIMIT
                    )
                    return await prepared.fetch(*arguments, timeout=SEARCH_LIMIT)
                except TimeoutError:
                    await self._give_up(connection)
                    raise

    def _text(self, name: str) -> str:
        text = self._texts.get(name)
        if text is None:
            text = self._texts[name] = in_schema(statement(name), self._schema)
        return text

    async def _fetch(
        self,
        name: str,
        *arguments: Any,
        connection: Connection | None = None,
        limit: float = ANSWER_LIMIT,
    ) -> list[asyncpg.Record]:
        with translated():
            if connection is not None:
                return await self._ask(connection, self._text(name), *arguments, limit=limit)
            async with self._lending.one() as acquired:
                return await self._ask(acquired, self._text(name), *arguments, limit=limit)

    async def _ask(
        self, connection: Connection, text: str, *arguments: Any, limit: float = ANSWER_LIMIT
    ) -> list[asyncpg.Record]:
        """The answer.

        A connection that gives none, or that leads to a standby, is ended; its siblings are not
        trusted.
        """
        try:
            try:
                return await connection.fetch(text, *arguments, timeout=limit)
            except asyncpg.InternalServerError:
                # Types that the statement was prepared with are gone, if the schema was made anew.
                if connection.is_in_transaction():
                    raise
                await connection.reload_schema_state()
                return await connection.fetch(text, *arguments, timeout=limit)
        except (TimeoutError, asyncpg.ReadOnlySQLTransactionError):
            await self._give_up(connection)
            raise

    @asynccontextmanager
    async def _transaction(self, connection: Connection) -> AsyncIterator[None]:
        """A transaction of which no end is waited for without a limit."""
        await self._execute(connection, "BEGIN")
        try:
            yield
        except BaseException:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._execute(connection, "ROLLBACK")
            raise
        await self._execute(connection, "COMMIT")

    async def _execute(self, connection: Connection, text: str) -> None:
        try:
            await connection.execute(text, timeout=ANSWER_LIMIT)
        except TimeoutError:
            await self._give_up(connection)
            raise

    async def _give_up(self, connection: Connection) -> None:
        connection.terminate()
        await self._lending.distrust()


def _has_few_computations(state: State) -> bool:
    """Whether it takes longer to find the newest one of each node than to look at all of them."""
    return sum(newest.number for newest in state.newest.values()) <= MANY * len(state.newest)


def _follows(row: asyncpg.Record, known: Mapping[str, State]) -> bool:
    """Whether all that was written since a state was known is in what was read.

    Not if the execution was purged and created anew, if something was lost, or if somebody has
    written by plain SQL.
    """
    state, version = known[row["id"]], row["version"]
    is_its_past = row["created_at"] == state.created_at and version >= state.version
    return bool(is_its_past and row["applied"] == version and state.version >= row["whole_from"])
