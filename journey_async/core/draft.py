"""A change in the making: the state being edited, and notes of what was touched."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from heapq import heappop, heappush
from typing import Any, Literal, NamedTuple, TypeAlias

from journey_async.core.change import Begun, Change, Outcome, Pruning, Saved
from journey_async.core.conditions import Predicate
from journey_async.core.evaluation import Evaluation
from journey_async.core.graph import Graph
from journey_async.core.jsonvalue import JSON
from journey_async.core.nodes import LAST_UPDATED_AT, SYSTEM_NAMES, Node
from journey_async.core.state import NO_NODES, State, next_version, system_value
from journey_async.core.tally import steps_not_set, tally_of
from journey_async.core.values import (
    AVAILABLE,
    COMPUTING,
    TICKS,
    Computation,
    ComputationKey,
    NodeKind,
    NodeValue,
)

# The place of a built-in step in line: historians (False) first, then in the order of the graph.
_Place: TypeAlias = tuple[bool, int, str]


class Env(NamedTuple):
    """What the core may not find out by itself.

    `capacity` is how many computations may be begun here, `can_run` tells for which nodes the
    code is here; `chance` draws from [0, 1), `fresh_token` gives fencing tokens. `trace_context`
    leads to the call that wants the command, where calls are traced; it is kept, and means nothing.
    """

    now: datetime
    worker: str
    capacity: int
    can_run: Callable[[Node], bool]
    chance: Callable[[], float]
    fresh_token: Callable[[], int]
    trace_context: str | None = None


def nobody(now: datetime) -> Env:
    """Surroundings in which nothing begins: it is queued."""
    return Env(
        now=now,
        worker="",
        capacity=0,
        can_run=lambda _: False,
        chance=lambda: 0.0,
        fresh_token=lambda: 1,
    )


class Draft:
    """Edits a state; `finish` gives the Change."""

    def __init__(self, graph: Graph, state: State, env: Env) -> None:
        self.graph = graph
        self.env = env
        self.now = env.now
        self.capacity = env.capacity
        self.values = dict(state.values)
        self.newest = dict(state.newest)
        self.queued = set(state.queued)
        self.computing = set(state.computing)
        self.revision = state.revision
        self.archived_at = state.archived_at
        self.graph_hash = state.graph_hash
        self.values_at = state.values_at
        self.values_revision = state.values_revision
        self.inputs_revision = state.inputs_revision
        self.slot: str | None = None
        # Leads to the call that wants the command; of a result, to the one that unblocked its step.
        self.trace_context = env.trace_context
        # What must be looked at: what follows from nodes that changed, steps, or everything.
        self.changed: set[str] = set()
        self.to_reconsider: set[str] = set()
        self.everything = False
        # The command could not be followed here; another process must look at once.
        self.needs_attention = False
        # Attempts that ended badly, by node: an outcome, if they turn out to have been the last.
        self.ended_badly: dict[str, Literal["error", "timeout", "max_iterations"]] = {}
        self.before = state
        self._touched_values: set[str] = set()
        self._touched: dict[ComputationKey, Computation] = {}
        self._values_are_shared = False
        self._to_run: list[tuple[str, Mapping[str, NodeValue], datetime | None]] = []
        self._outcomes: list[tuple[str, Outcome]] = []
        self._came: list[tuple[str, Outcome]] = []  # of events that have ended
        self._prunings: list[Pruning] = []
        self._failures: list[tuple[str, Predicate, BaseException]] = []
        # Built-in steps that were queued, in heaps by their place: those that are no ticks; ticks.
        self._lined_up: tuple[list[_Place], list[_Place]] = ([], [])
        if self.queued:
            for node in graph.built_in & self.queued:
                self._line_up(node)

    # --- reading ------------------------------------------------------------------------------

    @property
    def execution_id(self) -> str:
        """The execution that is being edited."""
        return self.before.execution_id

    @property
    def touched(self) -> frozenset[str]:
        """The nodes of which the value, or a computation, is not as it was."""
        return frozenset(self._touched_values).union(key.node for key in self._touched)

    def value_of(self, name: str) -> NodeValue:
        """What a node holds by now."""
        found = self.values.get(name)
        if found is not None:
            return found
        if name in SYSTEM_NAMES:
            return system_value(
                name, self.execution_id, self.before.created_at, self._newest_change
            )
        return self.graph.unset[name]

    def gate_value_of(self, name: str) -> NodeValue:
        """What a gate sees: `last_updated_at` changes there only with what callers set or unset.

        (With every write, a step gated by it would trigger itself.)
        """
        found = self.values.get(name)  # most are there, and a gate may name a thousand
        if found is None:
            found = self.value_of(name)
            if name == LAST_UPDATED_AT:
                return replace(found, revision=self.inputs_revision)
        return found

    def evaluation(self) -> Evaluation:
        """Reads conditions against the values as they are by now."""
        return Evaluation(self.gate_value_of, self.now, self.graph.types, self.execution_id)

    def is_due(self, name: str) -> bool:
        """Whether the queued computation of a node may begin by now."""
        due_at = self.newest[name].due_at
        return due_at is None or due_at <= self.now

    def next_built_in(self, *, ticks: bool) -> str | None:
        """The first built-in step in line that is queued and due, if there is one.

        With `ticks` among the ticks, else among the others. What is passed over need not be looked
        at again: a draft is of one moment, and whatever is queued anew is lined up anew.
        """
        line = self._lined_up[ticks]
        while line:
            name = line[0][-1]
            if name in self.queued and self.is_due(name):
                return name
            heappop(line)
        return None

    @property
    def _newest_change(self) -> tuple[int, datetime]:
        return self.values_revision, self.values_at

    # --- writing ------------------------------------------------------------------------------

    def bump(self) -> int:
        """Count an event that anybody can see; its revision."""
        self.revision += 1
        return self.revision

    def set_value(self, name: str, value: JSON, *, metadata: Any = None) -> None:
        """The node holds a value as of the current revision."""
        kind = self.graph.by_name[name].kind
        self._put(NodeValue(name, kind, value, metadata, self.revision, self.now))
        self._values_changed()

    def replace_value(self, name: str, value: JSON) -> None:
        """The node holds another value, at the revision that it had."""
        old = self.value_of(name)
        self._put(NodeValue(name, old.kind, value, old.metadata, old.revision, self.now))

    def adopt_kind(self, node: Node) -> None:
        """The node is of another kind by now; what it holds stays."""
        self._put(replace(self.values[node.name], kind=node.kind))

    def clear_value(self, name: str) -> None:
        """The node holds nothing as of the current revision."""
        self._put(NodeValue(name, self.value_of(name).kind, None, None, self.revision, None))
        self._values_changed()

    def take_back(self, name: str) -> bool:
        """Let a node that was not set, and was given a value at no revision of its own, be as it
        was; whether it was such a node.
        """
        before, value = self.before.values.get(name), self.values.get(name)
        was_set, revision = (False, 0) if before is None else (before.is_set, before.revision)
        if was_set or value is None or not value.is_set or value.revision != revision:
            return False
        self._unshare_values()
        if before is None:
            del self.values[name]
        else:
            self.values[name] = before
        self._touched_values.discard(name)
        return True

    def _put(self, value: NodeValue) -> None:
        self._unshare_values()
        self.values[value.name] = value
        self._touched_values.add(value.name)
        self.changed.add(value.name)

    def _unshare_values(self) -> None:
        if self._values_are_shared:
            self.values = dict(self.values)
            self._values_are_shared = False

    def _values_changed(self) -> None:
        self.values_revision = self.revision
        self.values_at = self.now
        self.changed.add(LAST_UPDATED_AT)

    def put(self, computation: Computation) -> None:
        """The computation is new, or is now like this; it is the newest of its node."""
        node = computation.node
        self.newest[node] = computation
        if computation.state is AVAILABLE:
            self.computing.discard(node)
            self.queued.add(node)
            if node in self.graph.built_in:
                self._line_up(node)
        else:
            self.queued.discard(node)
            if computation.state is COMPUTING:
                self.computing.add(node)
            else:
                self.computing.discard(node)
        self._touched[computation.key] = computation

    def _line_up(self, name: str) -> None:
        step = self.graph.steps[name]
        place = (step.kind is not NodeKind.HISTORIAN, self.graph.position[name], name)
        heappush(self._lined_up[step.kind in TICKS], place)

    def run(self, computation: Computation, due_at: datetime | None) -> None:
        """This process has to run the computation, which was due, once the change is written.

        It sees the values as they are by now, whatever the change goes on to do.
        """
        self.put(computation)
        self._to_run.append((computation.node, self.values, due_at))
        self._values_are_shared = True
        self.capacity -= 1

    def outcome(self, node: str, outcome: Outcome) -> None:
        """Somebody may want to be called back about the node."""
        self._outcomes.append((node, outcome))

    def take_slot(self) -> None:
        """The execution is to be the live one, if the graph may have only one."""
        if self.graph.singleton:
            self.slot = self.graph.name

    def prune(self, pruning: Pruning) -> None:
        """Old computations of a node are to go."""
        self._prunings.append(pruning)

    def note_failures(self, step: str, evaluation: Evaluation) -> None:
        """Predicates of the step's gate raised: to be logged."""
        if evaluation.failures:
            self._failures += [(step, predicate, error) for predicate, error in evaluation.failures]
            evaluation.failures.clear()

    def _came_of_it(self, node: str, outcome: Outcome) -> bool:
        """Whether an outcome holds at the end: a value that was cleared again was not saved."""
        if not isinstance(outcome, Saved):
            return True
        value = self.values.get(node)
        return value is not None and value.is_set and value.revision == outcome.revision

    # --- the end ------------------------------------------------------------------------------

    def event_ended(self) -> None:
        """All has followed from an event; another one may be applied upon it."""
        self._came += [pair for pair in self._outcomes if self._came_of_it(*pair)]
        self._outcomes.clear()
        self.ended_badly.clear()
        self.trace_context = self.env.trace_context

    def finish(self, wake_at: datetime | None) -> Change:
        """The Change; not `written` if nothing differs."""
        before = self.before
        differs = (
            bool(self._touched_values or self._touched)
            or before.version == 0
            or wake_at != before.wake_at
            or self.revision != before.revision
            or self.graph_hash != before.graph_hash
        )
        if not differs:
            return Change(before.version, before, failures=tuple(self._failures))
        state = State(
            execution_id=before.execution_id,
            graph_name=before.graph_name,
            graph_version=before.graph_version,
            graph_hash=self.graph_hash,
            version=next_version(before.version, self.env.chance),
            revision=self.revision,
            created_at=before.created_at,
            updated_at=self.now if self.revision != before.revision else before.updated_at,
            archived_at=self.archived_at,
            wake_at=wake_at,
            values_at=self.values_at,
            values_revision=self.values_revision,
            inputs_revision=self.inputs_revision,
            not_set=steps_not_set(self.graph, before, self, self.touched),
            values=self.values,
            newest=self.newest,
            queued=frozenset(self.queued) if self.queued else NO_NODES,
            computing=frozenset(self.computing) if self.computing else NO_NODES,
        )
        return Change(
            expected=before.version,
            state=state,
            values=frozenset(self._touched_values),
            computations=self._touched,
            begun=tuple(
                Begun(
                    self.newest[node],
                    state if values is self.values else state._replace(values=values),
                    due_at,
                )
                for node, values, due_at in self._to_run
            ),
            outcomes=tuple(self._came),
            prunings=tuple(self._prunings),
            announces=wake_at is not None and wake_at != before.wake_at,
            is_due=wake_at is not None and wake_at <= self.now,
            slot=self.slot if self.archived_at is None else None,
            tally=tally_of(before, state, self._touched),
            failures=tuple(self._failures),
        )
