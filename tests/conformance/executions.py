"""The operations on executions as a whole."""

import asyncio
from typing import Any

from journey_async import Execution, ExecutionNotFound, Graph
from journey_async.core.values import ComputationState
from tests.conformance import handles
from tests.conformance.outcome import NotCompared
from tests.conformance.reports import Reports
from tests.conformance.steps import Op

ULID_LENGTH = 26


class Executions(Reports):
    """Starting, loading, archiving."""

    async def op_start(self, op: Op) -> Any:
        graph = self.graph(op)
        execution = await self.journey.start_execution(graph)
        handle = handles.as_returned(None, execution, [], many=False)
        self._watch(execution, graph)
        self.bind(op, handle, name=op.get("as", "e"))
        return {**handle.result, "id_prefix": execution.id[:-ULID_LENGTH]}

    def _watch(self, execution: Execution, graph: Graph) -> None:
        self.stage.graph_of.setdefault(execution.id, graph)
        self.stage.watch.begin(execution._state, graph)

    async def op_find_or_start(self, op: Op) -> Any:
        graph = self.graph(op)
        execution = await self.journey.find_or_start(graph)
        name = op.get("as", "e")
        known = self.stage.names.get(execution.id)
        self._watch(execution, graph)
        self.bind(op, handles.as_it_is(execution), name=name)
        return {**self.stage.handles[name].result, "same_as": known}

    async def op_find_or_start_concurrently(self, op: Op) -> Any:
        graph = self.graph(op)
        found = await asyncio.gather(*(self.journey.find_or_start(graph) for _ in range(op["n"])))
        return {"distinct": len({execution.id for execution in found})}

    async def op_start_many(self, op: Op) -> Any:
        for item in op["items"]:
            await self.op_start({**op, "as": item["as"]})
            if item.get("values"):
                await self.op_set_many(
                    {"op": "set_many", "exec": item["as"], "values": item["values"]}
                )
        return len(op["items"])

    async def op_new_graph(self, op: Op) -> Any:
        graph = self.stage.build(op["graph"])
        await self.journey._engine.registry.register(graph)  # rule "advance"
        for ref, known in self.stage.graphs.items():
            if (known.name, known.version) == (graph.name, graph.version):
                self.stage.graphs[ref] = graph
        for execution_id, known in self.stage.graph_of.items():
            if (known.name, known.version) == (graph.name, graph.version):
                self.stage.graph_of[execution_id] = graph
                self.stage.watch.read_by(execution_id, graph)
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
        self.stage.handles[op["as"]] = self.handle(op)

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
        self.stage.watch.carries_on(execution.id, begun, execution.revision - len(begun))

    async def op_set_many(self, op: Op) -> Any:
        raise NotImplementedError
