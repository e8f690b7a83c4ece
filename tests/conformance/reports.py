"""The operations that only look: values, computations, lists, texts, figures."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from journey_async import NOT_SET, Computation, Execution
from journey_async.core.nodes import MutateNode
from journey_async.core.state import shown_state
from journey_async.core.values import ComputationState, NodeKind
from journey_async.errors import UnknownNodeError
from tests.conformance import rules
from tests.conformance.outcome import NotCompared
from tests.conformance.steps import Op, Steps

ANY_GRAPH = "*any*"
COLUMNS = {"inserted_at": "created_at"}
OTHER_NAMES = {
    "value_filters": "filter_by",
    "order_by_execution_fields": "order_by",
    "sort_by": "order_by",
}
PENDING = {
    "computed_with": None,
    "error": None,
    "rev_end": None,
    "rev_start": None,
    "state": "not_set",
}
ENDED = (ComputationState.SUCCESS, ComputationState.FAILED)
CLEARED = ("success", "not_set")
PENDING_STATES = ("not_set", "computing")
UNFINISHED = (ComputationState.COMPUTING, ComputationState.ABANDONED)


class Reports(Steps):
    """The operations that look."""

    # --- values -------------------------------------------------------------------------------

    async def op_values(self, op: Op) -> Any:
        unset = op.get("include_unset_as_nil", False)
        found = await self._all_values(op, unset)
        if unset:
            return {name: None if held is NOT_SET else held for name, held in found.items()}
        return {name: held for name, held in found.items() if held is not NOT_SET}

    async def op_values_all(self, op: Op) -> Any:
        found = await self._all_values(op, True)
        return {n: "not_set" if held is NOT_SET else {"set": held} for n, held in found.items()}

    async def _all_values(self, op: Op, unset: Any) -> dict[str, Any]:
        options = dict(op.get("options") or {})
        if op.get("via") == "id" and "reload" in op:
            options["reload"] = op["reload"]
        if not isinstance(unset, bool):
            options["include_unset_as_nil"] = unset
        if op.get("reload") is False and not options:
            held = self.handle(op).values
            return {name: v.value if v.is_set else NOT_SET for name, v in held.items()}
        return await self.journey.values_all(self.ref(op), **options)

    async def op_history(self, op: Op) -> Any:
        return [
            {
                "computation_or_value": entry.kind,
                "node_name": entry.node,
                "node_type": entry.node_kind.value,
                "revision": entry.revision,
                **({"value": entry.value} if entry.kind == "value" else {}),
            }
            for entry in await self.journey.history(self.ref(op))
        ]

    # --- computations -------------------------------------------------------------------------

    async def op_computations(self, op: Op) -> Any:
        rows = await self.computation_rows(self.handle(op).execution)
        return [row for row in rows if op.get("node") in (None, row["node"])]

    async def computation_rows(self, execution: Execution | str) -> list[dict[str, Any]]:
        """The rows that the original would hold, those that only wait included."""
        now = await self.journey.load(execution, include_archived=True)
        rows: list[dict[str, Any]] = [
            row(computation)
            for computation in await self.journey.computations(now)
            if computation.state not in (ComputationState.AVAILABLE, ComputationState.CANCELLED)
        ]
        for name, step in now._graph.steps.items():
            if shown_state(now._state, name) == "not_set":
                pending: dict[str, Any] = {**PENDING, "node": name, "type": step.kind.value}
                if step.kind is NodeKind.LOOP:
                    newest = now._state.newest.get(name)
                    waits = newest is not None and newest.state is ComputationState.AVAILABLE
                    pending["iteration"] = newest.iteration if newest and waits else 1
                    pending["loop_state"] = None
                rows.append(pending)
        return sorted(rows, key=_order)

    async def op_computation_state(self, op: Op) -> Any:
        now = await self.journey.load(self.ref(op), include_archived=True)
        try:
            node = now._graph.node_named(op["node"])
        except UnknownNodeError:
            return "node_not_found"
        if node.kind is NodeKind.INPUT:
            return "not_compute_node"
        if await self._hides(now, node.name):
            return NotCompared("the state of a node")
        return shown_state(now._state, node.name)

    async def _hides(self, now: Execution, *nodes: str, but_cleared: bool = False) -> bool:
        """Whether the original shows another state than ours: rule "the state of a node"."""
        last: dict[str, Computation] = {}
        for computation in await self.journey.computations(now):
            if computation.state in ENDED:
                last[computation.node] = computation
        for node in nodes:
            if node in last and node in now._graph.steps:
                theirs, ours = last[node].state.value, shown_state(now._state, node)
                if theirs != ours and not (but_cleared and (theirs, ours) == CLEARED):
                    return True
        return False

    async def op_retry_computation(self, op: Op) -> Any:
        try:
            execution = await self._verb("retry_computation")(self.ref(op), op["node"])
        except UnknownNodeError:
            return {"error": "node_not_found"}
        return {"revision": execution.revision, "archived": execution.archived_at is not None}

    async def op_abandon_computation(self, op: Op) -> Any:
        for computation in await self.journey.computations(self.ref(op), op["node"]):
            if computation.state is ComputationState.COMPUTING:
                abandoned = await self._verb("abandon_computation")(computation.id)
                return {"state": abandoned.state.value}
        return {"error": "nothing computing"}

    async def op_calls(self, op: Op) -> Any:
        return self.stage.calls.of(self.handle(op).execution.id)

    async def op_on_save_events(self, op: Op) -> Any:
        execution = self.handle(op).execution
        return await self.stage.saves.of(self.journey, execution.id)

    # --- lists --------------------------------------------------------------------------------

    async def op_list(self, op: Op) -> Any:
        options = self._selection(op)
        if "sort_by" in op:
            options["order_by"] = [_ordering(item) for item in op["sort_by"]]
        options |= {name: op[name] for name in ("limit", "offset") if name in op}
        if rules.asks_about_null(op) or await self._meets_null(op):
            return NotCompared("null is a value")
        found = await self.journey.list_executions(**options)
        known = [execution for execution in found if execution.id in self.stage.names]
        if "show" in op:
            return [execution.values[op["show"]].value for execution in known]
        return [self.stage.names[execution.id] for execution in known]

    async def op_count(self, op: Op) -> Any:
        options = self._selection(op)
        options |= {name: op[name] for name in ("limit", "offset", "sort_by") if name in op}
        if rules.asks_about_null(op) or await self._meets_null(op):
            return NotCompared("null is a value")
        return await self.journey.count_executions(**options)

    async def _meets_null(self, op: Op) -> bool:
        """Whether an execution holds null in a node that a search is about."""
        asked = {item[0] for item in op.get("filter_by") or [] if isinstance(item[0], str)}
        asked |= {item if isinstance(item, str) else item[0] for item in op.get("sort_by") or []}
        for execution_id in self.stage.names if asked else ():
            now = await self.journey.load(execution_id, include_archived=True)
            held = [now.values[name] for name in asked if name in now.values]
            if any(value.is_set and value.value is None for value in held):
                return True
        return False

    def _selection(self, op: Op) -> dict[str, Any]:
        options = {OTHER_NAMES.get(k, k): v for k, v in (op.get("options") or {}).items()}
        if "order_by" in options:
            options["order_by"] = [_ordering(item) for item in options["order_by"]]
        ref = op.get("graph", "main")
        if ref == "*unknown*":
            options["graph_name"] = "a graph that nobody knows"
        elif ref != ANY_GRAPH:
            options["graph_name"] = self.graph(op).name
        options |= {n: op[n] for n in ("graph_version", "include_archived") if n in op}
        if "filter_by" in op:
            options["filter_by"] = [tuple(item) for item in op["filter_by"]]
        return options

    # --- texts and figures --------------------------------------------------------------------

    async def op_introspect(self, op: Op) -> Any:
        return await self.journey.introspect(self.ref(op))

    async def op_waiting_for(self, op: Op) -> Any:
        return await self._verb("what_am_i_waiting_for")(self.ref(op), op["node"])

    async def op_computation_status_text(self, op: Op) -> Any:
        if await self._hides(await self._now(op), op["node"]):
            return NotCompared("the state of a node")
        return await self._verb("computation_status")(self.ref(op), op["node"])

    async def op_mermaid_graph(self, op: Op) -> Any:
        return self.graph(op).to_mermaid(**_diagram_options(op))

    async def op_mermaid_execution(self, op: Op) -> Any:
        now = await self._now(op)
        if await self._hides(now, *now._graph.steps, but_cleared=True):
            return NotCompared("the state of a node")
        return await self._verb("mermaid")(self.ref(op), **_diagram_options(op))

    async def op_summary_data(self, op: Op) -> Any:
        summary = await self._verb("summary")(self.ref(op))
        of = getattr(summary, "state", summary)  # the execution, or its figures themselves
        rows = await self.computation_rows(self.handle(op).execution)
        ended = [row(c) for c in (*summary.completed, *summary.abandoned)]
        names = {getattr(item, "node", item) for item in summary.outstanding}
        waiting = [r for r in rows if r["node"] in names and r["state"] in PENDING_STATES]
        return {
            "archived": of.archived_at is not None,
            "graph_name": of.graph_name,
            "graph_version": of.graph_version,
            "revision": of.revision,
            "set": sorted(held.name for held in summary.set_values),
            "not_set": sorted(held.name for held in summary.not_set),
            "completed": sorted((r for r in ended if r["rev_end"] is not None), key=_order),
            "outstanding": sorted(
                [*waiting, *(r for r in ended if r["rev_end"] is None)], key=_order
            ),
        }

    async def op_status(self, op: Op) -> Any:
        status = await self.journey.status()
        return status.to_text() if op.get("format") == "text" else plain(status)

    async def op_flow_analytics(self, op: Op) -> Any:
        graph = self.graph(op)
        flow = await self.journey.flow_analytics(
            graph.name, graph.version, **(op.get("options") or {})
        )
        return flow.to_text() if op.get("format") == "text" else plain(flow)

    async def _now(self, op: Op) -> Execution:
        return await self.journey.load(self.ref(op), include_archived=True)

    def _verb(self, name: str) -> Any:
        verb = getattr(self.journey, name, None)
        if verb is None:
            raise NotImplementedError(f"Journey has no {name}()")
        return verb

    def mutate_markers(self) -> dict[str, str]:
        """What the mutate nodes of all graphs hold after a mutation."""
        return {
            node.name: node.marker
            for graph in self.stage.graph_of.values()
            for node in graph.nodes
            if isinstance(node, MutateNode)
        }


def row(computation: Computation) -> dict[str, Any]:
    """A computation as the original's row shows it."""
    unfinished = computation.state in UNFINISHED
    shown: dict[str, Any] = {
        "node": computation.node,
        "type": computation.kind.value,
        "state": computation.state.value,
        "rev_start": computation.revision_at_start,
        "rev_end": None if unfinished else computation.revision_at_completion,
        "computed_with": None if unfinished else dict(computation.computed_with),
        "error": None if unfinished else computation.error,
    }
    if computation.kind is NodeKind.LOOP:
        shown["iteration"] = computation.iteration
        shown["loop_state"] = None
        if computation.disposition is not None:
            shown["loop_state"] = {
                "disposition": computation.disposition,
                "value": computation.carried,
            }
    return shown


def plain(model: Any) -> Any:
    """A model as dicts and lists."""
    if isinstance(model, BaseModel):
        return {name: plain(getattr(model, name)) for name in type(model).model_fields}
    if dataclasses.is_dataclass(model):
        return {f.name: plain(getattr(model, f.name)) for f in dataclasses.fields(model)}
    if isinstance(model, Mapping):
        return {str(key): plain(item) for key, item in model.items()}
    if isinstance(model, list | tuple):
        return [plain(item) for item in model]
    return model


def _order(shown: Mapping[str, Any]) -> tuple[Any, ...]:
    def last(revision: int | None) -> tuple[bool, int]:
        return revision is None, revision or 0

    return shown["node"], last(shown["rev_start"]), last(shown["rev_end"])


def _ordering(item: Any) -> Any:
    if isinstance(item, str):
        return COLUMNS.get(item, item)
    name, *direction = item
    return (COLUMNS.get(name, name), *direction)


def _diagram_options(op: Op) -> dict[str, Any]:
    dropped = ("include_timestamp", "include_legend")
    return {k: v for k, v in (op.get("options") or {}).items() if k not in dropped}
