"""Turns the operations of a scenario (OP) into calls of our verbs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from journey_async import (
    ComputationFailed,
    Execution,
    ExecutionNotFound,
    Graph,
    Journey,
    NotSetError,
)
from journey_async.core.values import ComputationState
from tests.conformance import handles, rules, sweeping
from tests.conformance.clock import ScenarioClock
from tests.conformance.functions import Calls
from tests.conformance.handles import Handle
from tests.conformance.outcome import NotCompared, Ok, Outcome, Raised
from tests.conformance.reports import Reports
from tests.conformance.saves import Saves
from tests.conformance.waiting import Waiting
from tests.conformance.watching import MOVES, OF_ALL, Divergence, Watch

Op = Mapping[str, Any]
DEFAULT_TIMEOUT = 30_000  # milliseconds
OWN_WAITS = frozenset({"wait_any", "wait_new", "newer_than", "settled", "default"})
ULID_LENGTH = 26
WRITES = frozenset({"set", "set_many", "set_later", "set_concurrently", "unset"})
STARTS = frozenset({"start", "find_or_start", "find_or_start_concurrently", "start_many"})
NOT_ABOUT_ONE = STARTS | {
    "new_graph", "load_nil", "list", "count", "mermaid_graph", "status", "flow_analytics",
    "sleep", "sweeps_start", "sweeps_stop", "sweep",
}  # fmt: skip
RETURNED_NOTHING = {
    "alias": "aliased",
    "set_later": "scheduled",
    "sleep": "slept",
    "sweeps_start": "started",
    "sweeps_stop": "stopped",
    "unarchive": "ok",
}


class Driver(Reports, Waiting):
    """One scenario under way."""

    def __init__(
        self,
        journey: Journey,
        clock: ScenarioClock,
        calls: Calls,
        saves: Saves,
        graphs: dict[str, Graph],
        build: Callable[[Mapping[str, Any]], Graph],
    ) -> None:
        self.journey = journey
        self.clock = clock
        self.calls_made = calls
        self.saves = saves
        self.graphs = graphs
        self.handles: dict[str, Handle] = {}
        self.names: dict[str, str] = {}  # of executions, by id
        self.graph_of: dict[str, Graph] = {}  # of executions, by id, as the original sees it
        self.watch = Watch(journey)
        self.refused: set[str] = set()  # graphs that are none here
        self._build = build
        self._labels: dict[str, int] = {}
        self._later: set[asyncio.Task[Any]] = set()

    async def perform(self, op: Op) -> Outcome:
        """Carry out one step."""
        step: Callable[[Op], Awaitable[Any]] | None = getattr(self, f"op_{op['op']}", None)
        if step is None:
            return Raised(NotImplementedError(f"the operation {op['op']!r}"))
        if self._has_no_graph(op):
            return NotCompared("a graph refused")
        execution_id = self.execution_id(op)
        if execution_id is not None and op["op"] in MOVES:
            self.watch.moves(execution_id)
        if self.divergence(op).covers(op) and op["op"] not in WRITES:
            return NotCompared("diverged")
        try:
            result = await step(op)
        except Exception as error:
            if execution_id is not None and rules.may_refuse(op, error):
                revision = (await self.journey.load(execution_id, include_archived=True)).revision
                self.watch.refused(execution_id, rules.named(op), revision)
            return Raised(error)
        if isinstance(result, NotCompared):
            return result
        return Ok(RETURNED_NOTHING.get(op["op"], result))

    async def close(self) -> None:
        """Stop what still runs for the scenario."""
        for task in self._later:
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)
        self.watch.close()

    # --- which execution ----------------------------------------------------------------------

    def handle(self, op: Op) -> Handle:
        return self.handles[op.get("exec", "e")]

    def ref(self, op: Op) -> Execution | str:
        """What the verb is given: an object, or an id."""
        if "exec_id" in op:
            return str(op["exec_id"])
        execution = self.handle(op).execution
        return execution.id if op.get("via") == "id" else execution

    def execution_id(self, op: Op) -> str | None:
        """The execution that a step is about, if there is one."""
        handle = self.handles.get(op.get("exec", "e"))
        return None if handle is None or "exec_id" in op else handle.execution.id

    def divergence(self, op: Op) -> Divergence:
        """What is not compared any more of what a step is about."""
        if op["op"] in OF_ALL:
            return self.watch.of_all()
        return self.watch.of(self.execution_id(op))

    def _has_no_graph(self, op: Op) -> bool:
        if op["op"] in STARTS and op.get("graph", "main") in self.refused:
            return True
        about = "exec_id" not in op and op["op"] not in NOT_ABOUT_ONE
        return about and bool(self.refused) and op.get("exec", "e") not in self.handles

    def is_archived(self, handle: Handle) -> bool:
        """Whether the execution is archived now, as far as this process knows."""
        state = self.journey._engine.cache.get(handle.execution.id)
        return (state or handle.execution).archived_at is not None

    def graph(self, op: Op) -> Graph:
        return self.graphs[op.get("graph", "main")]

    def bind(self, op: Op, handle: Handle, *, name: str | None = None) -> None:
        if op.get("rebind") is False or "exec_id" in op:
            return
        name = name or op.get("exec", "e")
        self.handles[name] = handle
        self.names.setdefault(handle.execution.id, name)

    # --- executions ---------------------------------------------------------------------------

    async def op_start(self, op: Op) -> Any:
        graph = self.graph(op)
        execution = await self.journey.start_execution(graph)
        handle = handles.as_returned(None, execution, [], many=False)
        self._watch(execution, graph)
        self.bind(op, handle, name=op.get("as", "e"))
        return {**handle.result, "id_prefix": execution.id[:-ULID_LENGTH]}

    def _watch(self, execution: Execution, graph: Graph) -> None:
        self.graph_of.setdefault(execution.id, graph)
        self.watch.begin(execution.id, graph)

    async def op_find_or_start(self, op: Op) -> Any:
        graph = self.graph(op)
        execution = await self.journey.find_or_start(graph)
        name = op.get("as", "e")
        known = self.names.get(execution.id)
        self._watch(execution, graph)
        self.bind(op, handles.as_it_is(execution), name=name)
        return {**self.handles[name].result, "same_as": known}

    async def op_find_or_start_concurrently(self, op: Op) -> Any:
        graph = self.graph(op)
        found = await asyncio.gather(
            *(self.journey.find_or_start(graph) for _ in range(op["n"]))
        )
        return {"distinct": len({execution.id for execution in found})}

    async def op_start_many(self, op: Op) -> Any:
        for item in op["items"]:
            await self.op_start({**op, "as": item["as"]})
            if item.get("values"):
                await self.op_set_many({"exec": item["as"], "values": item["values"]})
        return len(op["items"])

    async def op_new_graph(self, op: Op) -> Any:
        graph = self._build(op["graph"])
        await self.journey._engine.registry.register(graph)  # rule "advance"
        for ref, known in self.graphs.items():
            if (known.name, known.version) == (graph.name, graph.version):
                self.graphs[ref] = graph
        for execution_id, known in self.graph_of.items():
            if (known.name, known.version) == (graph.name, graph.version):
                self.graph_of[execution_id] = graph
                self.watch.begin(execution_id, graph)
        return {"name": graph.name, "version": graph.version}

    async def op_load(self, op: Op) -> Any:
        options = dict(op.get("options") or {})
        if not isinstance(op.get("preload", True), bool):
            options["preload"] = op["preload"]
        if "include_archived" in op:
            options["include_archived"] = op["include_archived"]
        try:
            execution = await self.journey.load(self.ref(op), **options)
        except ExecutionNotFound:
            return None
        self.bind(op, handles.as_it_is(execution))
        shown = {
            "revision": execution.revision,
            "archived": execution.archived_at is not None,
            "graph_name": execution.graph_name,
            "graph_version": execution.graph_version,
            "values": "not loaded",
            "computations": "not loaded",
        }
        if op.get("preload", True):
            rows = await self.computation_rows(execution)
            states = op.get("computations")
            held = await self.journey.values(execution)
            shown["values"] = len({*execution.values, *held})
            shown["computations"] = sum(states is None or r["state"] in states for r in rows)
        return shown

    async def op_load_nil(self, op: Op) -> Any:
        return NotCompared("nothing where an execution is wanted")

    async def op_alias(self, op: Op) -> Any:
        self.handles[op["as"]] = self.handle(op)

    async def op_archive(self, op: Op) -> Any:
        execution = await self.journey.archive(self.ref(op))
        return {"archived_at": execution.archived_at}

    async def op_archive_twice_same(self, op: Op) -> Any:
        first = await self.journey.archive(self.ref(op))
        second = await self.journey.archive(self.ref(op))
        return first.archived_at == second.archived_at

    async def op_unarchive(self, op: Op) -> Any:
        execution = await self.journey.unarchive(self.ref(op))
        last = max(v.revision for v in execution.values.values())
        begun = {
            c.node: c.revision_at_start
            for c in execution.computations
            if c.state is ComputationState.COMPUTING and (c.revision_at_start or 0) > last
        }
        self.watch.carries_on(execution.id, begun, execution.revision - len(begun))

    # --- writing ------------------------------------------------------------------------------

    async def op_set(self, op: Op) -> Any:
        node = op["node"]
        special = "value_special" in op
        value = {op["value_special"]} if special else op.get("value")
        options = {**_given(op, "metadata"), **(op.get("options") or {})}
        return await self._write(
            op, [node], lambda ref: self.journey.set_value(ref, node, value, **options)
        )

    async def op_set_many(self, op: Op) -> Any:
        values = await self._without_ineffective_nulls(op)
        if op.get("form") == "keyword" and not values:
            return NotCompared("the two spellings of many values")
        options = {**_given(op, "metadata"), **(op.get("options") or {})}
        return await self._write(
            op,
            list(values),
            lambda ref: self.journey.set_values(ref, values, **options),
            many=True,
        )

    async def _without_ineffective_nulls(self, op: Op) -> dict[str, Any]:
        """Without nulls for unset nodes: rule "nulls in a write of many values"."""
        values = dict(op["values"])
        if None in values.values() and "exec_id" not in op:
            now = await self.journey.load(self.handle(op).execution, include_archived=True)
            for name, held in now.values.items():
                if values.get(name, ...) is None and not held.is_set:
                    del values[name]
        return values

    async def op_unset(self, op: Op) -> Any:
        nodes = [op["node"]] if "node" in op else op["nodes"]
        return await self._write(
            op, nodes, lambda ref: self.journey.unset_value(ref, *nodes), single="node" in op
        )

    async def _write(
        self,
        op: Op,
        nodes: list[str],
        call: Callable[[Execution | str], Awaitable[Execution]],
        *,
        many: bool = False,
        single: bool = True,
    ) -> Any:
        ref = self.ref(op)
        by_id = isinstance(ref, str)
        try:
            before = await self.journey.load(ref, include_archived=True)
        except ExecutionNotFound:
            before = None
        after = await call(ref)
        assert before is not None
        if handles.changed(before, after, nodes):
            handle = handles.as_returned(before, after, nodes, many=many)
        elif by_id:
            handle = handles.as_it_is(after)
            if op["op"] == "set":  # read within the transaction that is then rolled back
                handle = replace(handle, revision=after.revision + 1)
        else:
            handle = self.handle(op)
        self.bind(op, handle)
        return handle.result

    async def op_set_later(self, op: Op) -> Any:
        ref = self.ref(op)

        async def later() -> None:
            await self.clock.sleep(op["ms"])
            await self.journey.set_value(ref, op["node"], op["value"])

        task = asyncio.create_task(later())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def op_set_concurrently(self, op: Op) -> Any:
        ref = self.ref(op)
        sets = [self.journey.set_value(ref, s["node"], s["value"]) for s in op["sets"]]
        return len(await asyncio.gather(*sets))

    # --- reading ------------------------------------------------------------------------------

    async def op_get(self, op: Op) -> Any:
        options = self._wait_options(op)
        if isinstance(options, NotCompared):
            return options
        began = asyncio.get_running_loop().time()
        result: dict[str, Any]
        try:
            found = await self.journey.get_node(self.ref(op), op["node"], **options)
            if "save_revision" in op:
                self._labels[op["save_revision"]] = found.revision
            result = {"status": "ok", "value": found.value, "revision": found.revision}
            if op.get("hide_revision"):
                del result["revision"]
        except NotSetError:
            result = {"status": "error", "reason": "not_set"}
        except ComputationFailed as error:
            result = {"status": "error", "reason": await self._reason(error)}
        took = (asyncio.get_running_loop().time() - began) * 1000 * self.clock.speed
        for limit, milliseconds in (op.get("took") or {}).items():
            fits = took <= milliseconds if limit == "at_most_ms" else took >= milliseconds * 0.98
            result[f"took_{limit.removesuffix('_ms')}_{milliseconds}_ms"] = fits
        return result

    def _wait_options(self, op: Op) -> dict[str, Any] | NotCompared:
        given = dict(op.get("options") or {})
        if OWN_WAITS & given.keys():
            return NotCompared("options that are ours")
        timeout = op.get("timeout_ms", DEFAULT_TIMEOUT)
        if timeout == "infinity":
            given["timeout"] = None
        elif isinstance(timeout, int | float):
            given["timeout"] = self.clock.real(timeout)
        else:
            given["timeout"] = timeout
        match op.get("wait", "immediate"):
            case "immediate":
                if not isinstance(timeout, int) or timeout <= 0:
                    return NotCompared("a timeout that would not be used")
            case "any":
                if timeout == 0 or isinstance(timeout, float):
                    return NotCompared("timeouts are seconds, and may be 0")
                given["wait_any"] = True
            case "newer":
                if op.get("via") == "id" or "exec_id" in op:
                    return NotCompared("newer than at the call")
                handle = self.handle(op)
                if handle.is_behind:
                    given["newer_than"] = handle.values[op["node"]].revision
                else:
                    given["wait_new"] = True
            case {"newer_than": str(label)} if label.startswith("$"):
                given["newer_than"] = self._labels[label.removeprefix("$")]
            case {"newer_than": revision}:
                given["newer_than"] = revision
            case other:
                given[str(other)] = True
        return given

    async def _reason(self, error: ComputationFailed) -> str:
        """`not_set` for the failures that the original does not report, as `rules` say."""
        rows = await self.journey.computations(error.execution_id, error.node)
        abandoned = rows[-1].state is ComputationState.ABANDONED
        if abandoned or error.last_error == "max_iterations_reached":
            return "not_set"
        return "computation_failed"

    # --- time ---------------------------------------------------------------------------------

    async def op_sleep(self, op: Op) -> Any:
        await self.clock.sleep(op["ms"])

    async def op_advance(self, op: Op) -> Any:
        settled = await sweeping.look_at(self.journey, self.handle(op).execution.id)
        self.bind(op, handles.as_it_is(await self.journey.load(self.ref(op))))
        return {
            "revision": settled.state.revision,
            "archived": settled.state.archived_at is not None,
        }

    async def op_sweep(self, op: Op) -> Any:
        return await sweeping.sweep(self.journey, self.clock, self._swept(op), op)

    def _swept(self, op: Op) -> list[str]:
        if op.get("all_executions"):
            return list(self.names)
        return [self.handle(op).execution.id]

    async def op_sweeps_start(self, op: Op) -> Any:
        sweeping.start(self.journey, self.clock)

    async def op_sweeps_stop(self, op: Op) -> Any:
        await sweeping.stop(self.journey, self.clock)


def _given(op: Op, *names: str) -> dict[str, Any]:
    return {name: op[name] for name in names if name in op}
