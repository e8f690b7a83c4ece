"""why(): where a value came from, as a tree of causes; or what an unset node waits for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from journey_async.client.explaining import Blocker, blockers
from journey_async.client.texts import stamp, value_text
from journey_async.client.trees import reading_of
from journey_async.core import jsonvalue
from journey_async.core.graph import SYSTEM_NAMES, Graph
from journey_async.core.nodes import MutateNode
from journey_async.core.state import State
from journey_async.core.values import Computation, ComputationState, NodeKind, NodeValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A node at one of its revisions, and what made it so.

    `computation` is the id of what computed or mutated it; None for an input that a caller set,
    or if the computation is no longer kept. `inputs` are the upstream nodes as they were then.
    `is_current`: the node still holds this; only then `value` and `set_time` are known. A node
    that is not set has no revision, and `waits_for` names the conditions that do not hold.
    """

    node: str
    kind: NodeKind
    revision: int | None = None
    is_current: bool = True
    value: Any = None
    set_time: datetime | None = None
    computation: str | None = None
    attempt: int | None = None
    inputs: "tuple[Cause, ...]" = ()
    waits_for: tuple[Blocker, ...] = field(default=())

    def to_text(self) -> str:
        """The tree for a person; a node at a revision is explained once."""
        return "\n".join(_lines(self, "", "", set()))


def cause_of(
    state: State, graph: Graph, computations: Iterable[Computation], node: str, now: datetime
) -> Cause:
    """What made a node what it is."""
    return _Causes(state, graph, computations).of(node, now)


class _Causes:
    def __init__(self, state: State, graph: Graph, computations: Iterable[Computation]) -> None:
        self._state = state
        self._graph = graph
        self._written: dict[tuple[str, datetime], Computation] = {}
        self._completed: dict[tuple[str, int], Computation] = {}
        for computation in computations:
            if computation.state is ComputationState.SUCCESS and computation.completed_at:
                self._note(computation, computation.completed_at)
        self._known: dict[tuple[str, int], Cause] = {}

    def _note(self, computation: Computation, at: datetime) -> None:
        step = self._graph.steps.get(computation.node)
        targets = step.mutates if isinstance(step, MutateNode) else ()
        for node in (computation.node, *targets):
            # a value and the computation that wrote it were written at the same moment
            self._written[node, at] = computation
        if computation.revision_at_completion is not None:
            self._completed[computation.node, computation.revision_at_completion] = computation

    def of(self, name: str, now: datetime) -> Cause:
        node = self._graph.node_named(name)
        value = self._state.value_of(node)
        if value.is_set:
            return self._at(name, value.revision)
        step = self._graph.steps.get(name)
        waits_for: tuple[Blocker, ...] = ()
        if step is not None:
            waits_for = tuple(blockers(step, reading_of(self._state, self._graph, now)))
        return Cause(node=name, kind=node.kind, waits_for=waits_for)

    def _at(self, name: str, revision: int) -> Cause:
        known = self._known.get((name, revision))
        if known is None:
            known = self._known[name, revision] = self._find(name, revision)
        return known

    def _find(self, name: str, revision: int) -> Cause:
        node = self._graph.by_name.get(name)
        value = self._state.values.get(name) if node is None else self._state.value_of(node)
        is_current = value is not None and value.is_set and value.revision == revision
        computation = self._completed.get((name, revision))
        if is_current and value is not None and value.set_time is not None:
            computation = self._written.get((name, value.set_time), computation)
        kind = node.kind if node is not None else NodeKind.INPUT if value is None else value.kind
        return Cause(
            node=name,
            kind=kind,
            revision=revision,
            is_current=is_current,
            value=_value(value) if is_current else None,
            set_time=value.set_time if is_current and value is not None else None,
            computation=None if computation is None else computation.id,
            attempt=None if computation is None else computation.attempt,
            inputs=tuple(self._inputs(computation)),
        )

    def _inputs(self, computation: Computation | None) -> Iterator[Cause]:
        if computation is None:
            return
        for name, revision in computation.computed_with.items():
            if name not in SYSTEM_NAMES and (name != computation.node):
                yield self._at(name, revision)


def _value(value: NodeValue | None) -> Any:
    return None if value is None else jsonvalue.copied(value.value)


def _lines(cause: Cause, first: str, rest: str, told: set[tuple[str, int]]) -> Iterator[str]:
    if cause.revision is None:
        yield f"{first}{cause.node} | {cause.kind} | not set"
        yield from (f"{rest}  waits for {one.condition}" for one in cause.waits_for)
        return
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
    key = (cause.node, cause.revision)
    if cause.inputs and key in told:
        yield f"{first}{' | '.join(parts)} | see above"
        return
    told.add(key)
    yield f"{first}{' | '.join(parts)}"
    for place, item in enumerate(cause.inputs, start=1):
        last = place == len(cause.inputs)
        branch, below = (" └─ ", "    ") if last else (" ├─ ", " │  ")
        yield from _lines(item, rest + branch, rest + below, told)
