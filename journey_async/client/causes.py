"""why(): where a value came from, as a tree of causes; or what an unset node waits for."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from journey_async.client.explaining import Blocker, blockers, hindrance
from journey_async.client.texts import stamp, value_text
from journey_async.client.trees import reading_of
from journey_async.core import jsonvalue
from journey_async.core.graph import Graph
from journey_async.core.nodes import SYSTEM_NAMES, MutateNode
from journey_async.core.state import State
from journey_async.core.values import Computation, ComputationState, NodeKind, NodeValue

_Key: TypeAlias = tuple[str, int]  # a node at one of its revisions


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A node at one of its revisions, and what made it so.

    `computation` is the id of what computed or mutated it; None for an input that a caller set,
    or if the computation is no longer kept. `inputs` are the upstream nodes as they were then.
    `is_current`: the node still holds this; only then `value` and `set_time` are known. A node
    that is not set has no revision; `waits_for` names the conditions that do not hold, or `kept_by`
    says what else keeps it: no worker yet, a retry to come, a failure.

    Causes are compared, and shown by `repr`, without their inputs, which may be the same ones by
    any number of ways.
    """

    node: str
    kind: NodeKind
    revision: int | None = None
    is_current: bool = True
    value: Any = None
    set_time: datetime | None = None
    computation: str | None = None
    attempt: int | None = None
    inputs: "tuple[Cause, ...]" = field(default=(), repr=False, compare=False)
    waits_for: tuple[Blocker, ...] = ()
    kept_by: str | None = None

    def to_text(self) -> str:
        """The tree for a person; a node at a revision is explained once."""
        return "\n".join(_lines(self))


def cause_of(
    state: State, graph: Graph, computations: Iterable[Computation], node: str, now: datetime
) -> Cause:
    """What made a node what it is."""
    return _Causes(state, graph, computations).of(node, now)


class _Causes:
    """The causes of the values of a state, each made once."""

    def __init__(self, state: State, graph: Graph, computations: Iterable[Computation]) -> None:
        self._state = state
        self._graph = graph
        self._written: dict[tuple[str, datetime], list[Computation]] = {}
        self._left: dict[datetime, list[Computation]] = {}  # mutations that the graph has no more
        self._completed: dict[_Key, Computation] = {}
        for computation in computations:
            if computation.state is ComputationState.SUCCESS and computation.completed_at:
                self._note(computation, computation.completed_at)
        self._known: dict[_Key, Cause] = {}

    def _note(self, computation: Computation, at: datetime) -> None:
        step = self._graph.steps.get(computation.node)
        targets = step.mutates if isinstance(step, MutateNode) else ()
        if computation.kind is NodeKind.MUTATE and not targets:
            self._left.setdefault(at, []).append(computation)
        for node in (computation.node, *targets):
            # a value and the computation that wrote it were written at the same moment
            self._written.setdefault((node, at), []).append(computation)
        if computation.revision_at_completion is not None:
            self._completed[computation.node, computation.revision_at_completion] = computation

    def of(self, name: str, now: datetime) -> Cause:
        node = self._graph.node_named(name)
        value = self._state.value_of(node)
        if value.is_set:
            return self._at(name, value.revision)
        step = self._graph.steps.get(name)
        if step is None:
            return Cause(node=name, kind=node.kind)
        waits_for = tuple(blockers(step, reading_of(self._state, self._graph, now)))
        kept_by = None if waits_for else hindrance(self._state, self._graph, name, now)
        return Cause(node=name, kind=node.kind, waits_for=waits_for, kept_by=kept_by)

    def _at(self, name: str, revision: int) -> Cause:
        """The cause, made after those of its inputs; a loop, for a chain may be of any length."""
        wanted = (name, revision)
        ahead, entered = [wanted], set[_Key]()
        while ahead:
            key = ahead[-1]
            if key not in entered and key not in self._known:
                entered.add(key)
                ahead += [k for k in self._inputs(key) if k not in entered and k not in self._known]
                continue
            ahead.pop()
            if key not in self._known:
                self._known[key] = self._made(key)
        return self._known[wanted]

    def _made(self, key: _Key) -> Cause:
        name, revision = key
        value = self._current(key)
        computation = self._computation(key)
        return Cause(
            node=name,
            kind=self._kind(name),
            revision=revision,
            is_current=value is not None,
            value=None if value is None else jsonvalue.copied(value.value),
            set_time=None if value is None else value.set_time,
            computation=None if computation is None else computation.id,
            attempt=None if computation is None else computation.attempt,
            inputs=tuple(self._known.get(i) or self._before(i) for i in self._inputs(key)),
        )

    def _before(self, key: _Key) -> Cause:
        """What a node held before a mutation gave it another value at the same revision.

        The mutation saw the node at that revision, and caused it: the circle ends here.
        """
        name, revision = key
        return Cause(node=name, kind=self._kind(name), revision=revision, is_current=False)

    def _kind(self, name: str) -> NodeKind:
        node, value = self._graph.by_name.get(name), self._state.values.get(name)
        if node is not None:
            return node.kind
        return NodeKind.INPUT if value is None else value.kind

    def _current(self, key: _Key) -> NodeValue | None:
        """What the node holds, if it is still that revision."""
        name, revision = key
        node = self._graph.by_name.get(name)
        value = self._state.values.get(name) if node is None else self._state.value_of(node)
        is_current = value is not None and value.is_set and value.revision == revision
        return value if is_current else None

    def _computation(self, key: _Key) -> Computation | None:
        """The computation that made the node so, if it is still kept."""
        completed = self._completed.get(key)
        value = self._current(key)
        if value is None or value.set_time is None:
            return completed
        ended_then = self._written.get((value.name, value.set_time), [])
        wrote = [c for c in ended_then if self._wrote(c, value)]
        if not wrote and value.kind is NodeKind.INPUT:  # nobody knows its targets any more
            left = self._left.get(value.set_time, [])
            wrote = [c for c in left if value.revision <= (c.revision_at_completion or 0)]
        return max(wrote, key=lambda c: c.revision_at_completion or 0, default=completed)

    def _wrote(self, computation: Computation, value: NodeValue) -> bool:
        """Whether it wrote the value that was set when it ended: others may have ended then, too.

        A mutation that keeps revisions does not write over what is newer than its beginning.
        """
        if computation.revision_at_completion == value.revision:
            return True
        step = self._graph.steps.get(computation.node)
        if not isinstance(step, MutateNode) or step.update_revision_on_change:
            return False
        return step.name != value.name and value.revision <= (computation.revision_at_start or 0)

    def _inputs(self, key: _Key) -> list[_Key]:
        """The upstream nodes of that computation, at the revisions that it saw."""
        computation = self._computation(key)
        if computation is None:
            return []
        seen = computation.computed_with.items()
        return [i for i in seen if i[0] not in SYSTEM_NAMES and i[0] != computation.node]


def _lines(cause: Cause) -> Iterator[str]:
    told: set[_Key] = set()
    ahead = [(cause, "", "")]  # each with what precedes its first line, and the lines below that
    while ahead:
        one, first, rest = ahead.pop()
        yield f"{first}{_line(one, told)}"
        if one.revision is None:
            yield from (f"{rest}  waits for {blocker.condition}" for blocker in one.waits_for)
            if one.kept_by is not None:
                yield f"{rest}  {one.kept_by}"
        elif (key := (one.node, one.revision)) not in told:
            told.add(key)
            last = len(one.inputs) - 1
            for place in range(last, -1, -1):
                branch, below = (" └─ ", "    ") if place == last else (" ├─ ", " │  ")
                ahead.append((one.inputs[place], rest + branch, rest + below))


def _line(cause: Cause, told: Collection[_Key]) -> str:
    if cause.revision is None:
        return f"{cause.node} | {cause.kind} | not set"
    parts = [cause.node, cause.kind.value, f"rev {cause.revision}"]
    if cause.is_current and cause.set_time is not None:
        parts[0] += f": {value_text(cause.value)}"
        parts.append(f"set at {stamp(cause.set_time)}")
    elif not cause.is_current:
        parts.append("changed since")
    if cause.computation is not None:
        parts.append(f"by {cause.computation}")
    elif cause.kind is NodeKind.INPUT:
        parts.append("by a caller")
    if cause.inputs and (cause.node, cause.revision) in told:
        parts.append("see above")
    return " | ".join(parts)
