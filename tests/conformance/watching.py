"""Watches the states of an execution for improvements over the original that set in.

Each is told by what happened here, never by what was recorded. From then on the execution goes
another way than the recorded one: the nodes concerned, and those downstream of them, are not
compared any more, nor are revisions after that point. Everything else still is.

    B6   an archive node has run: nothing downstream of it begins
    B7   the attempts of a node that never succeeded were used up, and it runs on newer inputs
    B10  a condition that held no longer does, and the node is computed without it
    B11  a function returned null: the node is set
    B13  a mutation clears what no longer holds
    B14  a tick returned no time: its computation fails, nothing else does
    B26  a write on an archived execution was refused before it was written
    B27  a write on a system node was refused
    B33  the inputs of a loop changed while it ran: it begins anew
    B47  a changed graph clears what no longer holds: there, it stays until somebody sets a value
    B57  an unarchived execution carries on at once: there, when somebody next moves it
    B59  a historian forgot the last entry of a node: it is not recorded a second time
"""

import json
import re
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from journey_async import Graph, Journey, NodeValue
from journey_async.core.nodes import (
    ArchiveNode,
    ComputeNode,
    HistorianNode,
    LoopNode,
    MutateNode,
    Step,
)
from journey_async.core.state import State
from journey_async.core.values import TICKS, UNSUCCESSFUL, Computation, ComputationState
from journey_async.engine.waiters import NOT_YET

REVISION = re.compile(r"\.(revision|rev_start|rev_end|computed_with\.[^.]+)$")
BY_NODE = frozenset({"values", "values_all", "calls"})
ROWS = {"computations": "node", "history": "node_name", "on_save_events": "node"}
TOGETHER = frozenset({"introspect", "mermaid_execution", "summary_data"})
OF_ALL = frozenset({"status", "flow_analytics", "list", "count"})
NEVER = 1 << 62  # a revision that is not reached
MOVES = frozenset({"set", "set_many", "unset", "advance", "sweep", "sweeps_start"})


@dataclass
class Divergence:
    """What is not compared any more: nodes, and revisions after `since`."""

    nodes: set[str] = field(default_factory=set)
    since: int | None = None

    def add(self, nodes: Iterable[str], since: int) -> None:
        self.nodes.update(nodes)
        self.since = since if self.since is None else min(self.since, since)

    def covers(self, op: Any) -> bool:
        """Whether nothing of a step can be compared."""
        if self.since is None:
            return False
        if op["op"] in ("list", "count"):
            order = [name if isinstance(name, str) else name[0] for name in op.get("sort_by", ())]
            asked = [item[0] for item in op.get("filter_by", ())]
            return not self.nodes.isdisjoint([*asked, *order, op.get("show")])
        return op["op"] in TOGETHER | OF_ALL or op.get("node") in self.nodes

    def masked(self, op: str, result: Any) -> Any:
        """A result of either side without what is not compared."""
        if self.since is None:
            return result
        if op in BY_NODE and isinstance(result, dict):
            result = {name: held for name, held in result.items() if name not in self.nodes}
        if op in ROWS and isinstance(result, list):
            result = [row for row in result if row[ROWS[op]] not in self.nodes]
            if op == "history":
                result = [row for row in result if row["node_name"] != "last_updated_at"]
        if op == "load" and isinstance(result, dict):
            result = {**result, "computations": None}
        if op == "history":
            result = sorted(result, key=lambda row: json.dumps({**row, "revision": 0}))
        return result

    def passes(self, path: str, ours: Any, theirs: Any) -> bool:
        """Whether two revisions may differ: one of them lies after the divergence."""
        if self.since is None or not REVISION.search(path):
            return False
        return any(isinstance(r, int) and r > self.since for r in (ours, theirs))


class Watch:
    """Looks at every state that is committed."""

    def __init__(self, journey: Journey) -> None:
        self._journey = journey
        self._stack = ExitStack()
        self._states: dict[str, State] = {}
        self._graphs: dict[str, Graph] = {}
        self._lasting: dict[str, Divergence] = {}
        self._passing: dict[str, Divergence] = {}

    def begin(self, state: State, graph: Graph) -> None:
        """Watch an execution, from a state on."""
        self.read_by(state.execution_id, graph)
        if state.execution_id not in self._lasting:
            self._lasting[state.execution_id] = Divergence()
            waiters = self._journey._engine.waiters
            wait = self._stack.enter_context(waiters.waiting(state.execution_id, self._look))
            wait.begin(state)

    def read_by(self, execution_id: str, graph: Graph) -> None:
        """Read the execution by a graph from now on."""
        self._graphs[execution_id] = graph

    def close(self) -> None:
        self._stack.close()

    def of(self, execution_id: str | None) -> Divergence:
        """What is not compared any more of an execution."""
        both = Divergence()
        for found in (self._lasting, self._passing):
            divergence = found.get(execution_id or "")
            if divergence is not None and divergence.since is not None:
                both.add(divergence.nodes, divergence.since)
        return both

    def of_all(self) -> Divergence:
        """What is not compared any more of any execution."""
        both = Divergence()
        for execution_id in self._lasting:
            divergence = self.of(execution_id)
            if divergence.since is not None:
                both.add(divergence.nodes, divergence.since)
        return both

    def refused(self, execution_id: str, nodes: Iterable[str], revision: int) -> None:
        """A write was refused that the original lets happen (B26, B27)."""
        self._diverges(execution_id, nodes, revision)

    def carries_on(self, execution_id: str, nodes: Iterable[str], revision: int) -> None:
        """What was unarchived began to compute these nodes (B57)."""
        nodes = set(nodes)
        if nodes:
            passing = self._passing.setdefault(execution_id, Divergence())
            passing.add(self._with_downstream(execution_id, nodes), revision)

    def moves(self, execution_id: str) -> None:
        """The original moves the execution, too."""
        self._passing.pop(execution_id, None)

    # --- what has happened ----------------------------------------------------------------------

    def _look(self, state: State) -> object:
        execution_id = state.execution_id
        previous = self._states.get(execution_id)
        if previous is None or previous.version < state.version:
            self._states[execution_id] = state
            self._compare(previous, state, self._graphs[execution_id])
        return NOT_YET

    def _compare(self, previous: State | None, state: State, graph: Graph) -> None:
        mutated = False
        for name, step in graph.steps.items():
            now = state.newest.get(name)
            before = None if previous is None else previous.newest.get(name)
            if now is None:
                continue
            if before is not None and now.number != before.number:
                began = (now.revision_at_start or state.revision + 1) - 1
                if _ran_out(before) and before.successes == 0 and now.attempt == 1:
                    self._diverges(state.execution_id, [name], began)  # B7
                if _lost(graph, before, now, state.values.get(name)):
                    self._diverges(state.execution_id, [name], began)  # B10
                if _restarted(step, before, now, previous, state):
                    self._diverges(state.execution_id, [name], began)  # B33
                if _forgot(step, now, previous):
                    self._diverges(state.execution_id, [name], NEVER)  # B59
            ended = before is not None and before.state is ComputationState.COMPUTING
            succeeded = now.state is ComputationState.SUCCESS
            mutated |= ended and succeeded and isinstance(step, MutateNode)
            if isinstance(step, ArchiveNode) and succeeded and graph.downstream.get(name):
                self._diverges(state.execution_id, graph.downstream[name], state.revision)  # B6
            if step.kind in TICKS and "of a tick must be" in (now.error or ""):
                self._diverges(state.execution_id, graph.by_name, now.revision_at_start or 0)  # B14
            held = state.values.get(name)
            if isinstance(step, ComputeNode) and held is not None and held.is_set:
                was = None if previous is None else previous.values.get(name)
                if held.value is None and (was is None or not was.is_set):
                    self._diverges(state.execution_id, [name], held.revision - 1)  # B11
        evolved = previous is not None and previous.graph_hash != state.graph_hash
        if (mutated or evolved) and previous is not None:
            cleared = [
                name
                for name, value in state.values.items()
                if not value.is_set and name in previous.values and previous.values[name].is_set
            ]
            if cleared:
                since = previous.revision + 1 if mutated else previous.revision
                self._diverges(state.execution_id, cleared, since)  # B13, B47

    def _diverges(self, execution_id: str, nodes: Iterable[str], since: int) -> None:
        self._lasting[execution_id].add(self._with_downstream(execution_id, nodes), since)

    def _with_downstream(self, execution_id: str, nodes: Iterable[str]) -> set[str]:
        graph = self._graphs[execution_id]
        found: set[str] = set()
        ahead = list(nodes)
        while ahead:
            name = ahead.pop()
            if name not in found:
                found.add(name)
                ahead.extend(graph.downstream.get(name, ()))
                node = graph.by_name.get(name)
                ahead.extend(node.mutates if isinstance(node, MutateNode) else ())
        return found


def _ran_out(before: Computation) -> bool:
    return before.state in UNSUCCESSFUL and before.permanent


def _lost(graph: Graph, before: Computation, now: Computation, held: NodeValue | None) -> bool:
    """Whether a node is computed again only because a condition no longer holds."""
    ran = before.state in (ComputationState.SUCCESS, ComputationState.COMPUTING)
    if not ran or now.attempt != 1 or held is None or not held.is_set:
        return False
    ticks = {n for n in before.computed_with if n in graph.ticks}
    gone = before.computed_with.keys() - now.computed_with.keys() - ticks
    newer = any(r > before.computed_with.get(n, -1) for n, r in now.computed_with.items())
    return bool(gone) and not newer


def _restarted(
    step: Step, before: Computation, now: Computation, previous: State | None, state: State
) -> bool:
    """Whether a loop begins anew before it has come to an end."""
    if not isinstance(step, LoopNode) or now.iteration != 1 or previous is None:
        return False
    if before.state is ComputationState.COMPUTING:
        held = state.values.get(step.name)
        return held is None or held.revision <= previous.revision
    return before.disposition is not None and not before.permanent


def _forgot(step: Step, now: Computation, previous: State | None) -> bool:
    """Whether a historian ran whose full history holds no entry of a node that it records."""
    if not isinstance(step, HistorianNode) or previous is None:
        return False
    held = previous.values.get(step.name)
    if held is None or not held.is_set or len(held.value) != step.max_entries:
        return False
    return not now.computed_with.keys() <= {entry["node"] for entry in held.value}
