"""Drives `settle` through a story, and checks after each command what must always hold."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from journey_async.core.alarm import next_time, wants_attention
from journey_async.core.change import Change, Outcome
from journey_async.core.commands import (
    Abandon,
    Archive,
    Command,
    Evolve,
    Fail,
    Release,
    RetryNode,
    SetValues,
    Start,
    Succeed,
    Unarchive,
    UnsetValues,
    Wake,
)
from journey_async.core.draft import Env
from journey_async.core.graph import Graph
from journey_async.core.jsonvalue import JSON
from journey_async.core.nodes import Node
from journey_async.core.settle import settle
from journey_async.core.state import NOT_SET_STATE, State, new_state, nodes_in, shown_state
from journey_async.core.values import ACTIVE, Computation, ComputationState, NodeValue

NOON = datetime(2024, 3, 1, 12, 0, tzinfo=UTC)
WORKER = "worker-1"


def everyone(node: Node) -> bool:
    """The code of every node is here."""
    return True


def some_function() -> None:
    """A node's function that is never called: the story says what comes of it."""


def state_at(graph: Graph, now: datetime = NOON) -> State:
    """An execution that is about to be created."""
    return new_state("EXEC1", graph, now)


@dataclass
class Story:
    """One execution, its clock, and what was written for it."""

    graph: Graph
    now: datetime = NOON
    slots: int = 100
    chance: float = 0.5
    can_run: Callable[[Node], bool] = everyone
    worker: str = WORKER
    tokens: Callable[[], int] = field(default_factory=lambda: count(1).__next__)
    changes: list[Change] = field(default_factory=list)
    state: State = field(init=False)

    def __post_init__(self) -> None:
        self.state = state_at(self.graph, self.now)

    # --- commands -----------------------------------------------------------------------------

    def do(self, command: Command) -> Change:
        """Settle a command, apply the change, and check it."""
        before = self.state
        change = settle(self.graph, before, command, self.env(command))
        self.changes.append(change)
        self.state = change.state
        check_change(before, command, change)
        _check_waiting(self.graph, change)
        _check_alarm(self.graph, change, self.now)
        if not self.graph.is_opaque:
            looks_at_everything = Evolve()
            again = settle(self.graph, self.state, looks_at_everything, self.env())
            assert not again.written, f"deciding again after {command} gave {again}"
        return change

    def env(self, command: Command | None = None) -> Env:
        """The world as it is: this worker's free slots, the clock, and no surprises.

        What a command ends has left its slot by then.
        """
        running = self.running(self.worker)
        if isinstance(command, Succeed | Fail | Abandon):
            newest = self.state.newest[command.key.node]
            if newest.key == command.key and newest.token == command.token:
                running.remove(newest.node)
        elif isinstance(command, Release) and command.worker == self.worker:
            running.clear()
        return Env(
            now=self.now,
            worker=self.worker,
            capacity=self.slots - len(running),
            can_run=self.can_run,
            chance=lambda: self.chance,
            fresh_token=self.tokens,
        )

    def start(self, **values: JSON) -> Change:
        return self.do(Start(values))

    def set(self, *, metadata: JSON = None, **values: JSON) -> Change:
        return self.do(SetValues(values, metadata))

    def unset(self, *nodes: str) -> Change:
        return self.do(UnsetValues(nodes))

    def succeed(self, node: str, value: JSON = None) -> Change:
        return self.do(Succeed(self.newest(node).key, self.token(node), value))

    def carry_on(self, node: str, value: JSON, *, fallback: bool = False) -> Change:
        """A loop's iteration returns Continue."""
        return self.do(
            Succeed(
                self.newest(node).key, self.token(node), value, continues=True, fallback=fallback
            )
        )

    def fail(self, node: str, error: str = "no", *, permanent: bool = False) -> Change:
        return self.do(Fail(self.newest(node).key, self.token(node), error, permanent))

    def abandon(self, node: str) -> Change:
        return self.do(Abandon(self.newest(node).key, self.token(node)))

    def release(self, worker: str | None = None, *, died: bool = True) -> Change:
        return self.do(Release(worker or self.worker, died))

    def retry(self, node: str) -> Change:
        return self.do(RetryNode(node))

    def wake(self) -> Change:
        return self.do(Wake())

    def archive(self) -> Change:
        return self.do(Archive())

    def unarchive(self) -> Change:
        return self.do(Unarchive())

    def evolve(self, graph: Graph) -> Change:
        self.graph = graph
        return self.do(Evolve())

    def later(self, seconds: float) -> None:
        """Time passes; nobody looks."""
        self.now += timedelta(seconds=seconds)

    def sleep(self) -> Change:
        """Time passes until the execution wants to be looked at."""
        assert self.state.wake_at is not None
        self.now = max(self.now, self.state.wake_at)
        return self.wake()

    # --- reading ------------------------------------------------------------------------------

    def node(self, name: str) -> NodeValue:
        return self.state.value_of(self.graph.by_name[name])

    def value(self, name: str) -> Any:
        assert self.node(name).is_set, f"{name} is not set"
        return self.node(name).value

    def is_set(self, name: str) -> bool:
        return self.node(name).is_set

    def newest(self, name: str) -> Computation:
        return self.state.newest[name]

    def has_run(self, name: str) -> bool:
        """Whether there was ever a computation of the node."""
        return name in self.state.newest

    def token(self, name: str) -> int:
        token = self.newest(name).token
        assert token is not None, f"{name} is not computing"
        return token

    def shown(self, name: str) -> ComputationState | None:
        newest = self.state.newest.get(name)
        return newest.state if newest else None

    def running(self, worker: str | None = None) -> list[str]:
        return [
            c.node
            for c in self.state.newest.values()
            if c.state is ComputationState.COMPUTING and (worker is None or c.worker == worker)
        ]

    @property
    def revision(self) -> int:
        return self.state.revision

    @property
    def wakes_in(self) -> float | None:
        """Seconds until the execution wants to be looked at."""
        wake_at = self.state.wake_at
        return None if wake_at is None else (wake_at - self.now).total_seconds()

    @property
    def outcomes(self) -> list[tuple[str, Outcome]]:
        """Everything that callbacks were told, in order."""
        return [outcome for change in self.changes for outcome in change.outcomes]

    def computations(self, node: str) -> list[Computation]:
        """All computations of a node that were ever written, as they are now."""
        found: dict[int, Computation] = {}
        for change in self.changes:
            for key, computation in change.computations.items():
                if key.node == node:
                    found[key.number] = computation
        return [found[number] for number in sorted(found)]


# --- what must hold of every change -----------------------------------------------------------


def check_change(before: State, command: Command, change: Change) -> None:
    """The invariants of one change."""
    after = change.state
    assert change.expected == before.version
    assert (after.version > before.version) is change.written
    assert after.revision >= before.revision
    assert after.revision - before.revision == events_in(before, command, change)
    _check_rows(before, change)
    for name, computation in after.newest.items():
        assert computation.node == name
        earlier = before.newest.get(name)
        assert earlier is None or computation.number >= earlier.number
    for key, computation in change.computations.items():
        assert computation.key == key
        if computation.state in ACTIVE:
            assert after.newest[key.node] is computation, "only the newest may be active"
        computing = computation.state is ComputationState.COMPUTING
        assert (computation.token is not None) is computing
        assert (computation.deadline is not None) is computing
    for begun in change.begun:
        assert begun.computation is after.newest[begun.computation.node]
        assert begun.computation.state is ComputationState.COMPUTING
        assert begun.state._replace(values=after.values) == after
    assert after.queued == nodes_in(ComputationState.AVAILABLE, after.newest)
    assert after.computing == nodes_in(ComputationState.COMPUTING, after.newest)
    for value in after.values.values():
        assert value.revision <= after.revision
        assert value.is_set or value.value is None


def _check_waiting(graph: Graph, change: Change) -> None:
    """What is counted step by step is what a look at all of them finds."""
    after = change.state
    if change.written and after.graph_hash == graph.hash:
        shown = [shown_state(after, name) for name in graph.steps]
        assert after.not_set == shown.count(NOT_SET_STATE)


def _check_alarm(graph: Graph, change: Change, now: datetime) -> None:
    """The alarm is set for what comes first, whichever nodes were looked at."""
    after = change.state
    if change.written and after.archived_at is None and not wants_attention(graph, after):
        assert after.wake_at == next_time(after, after.queued, graph.ticks, now)


def _check_rows(before: State, change: Change) -> None:
    """What is to be written, over what was there, gives the whole."""
    values, newest = applied(before, change)
    assert values == change.state.values
    assert newest == change.state.newest


def applied(
    before: State, change: Change
) -> tuple[Mapping[str, NodeValue], Mapping[str, Computation]]:
    """Values and newest computations once the touched rows are written over a state."""
    values = {**before.values, **{name: change.state.values[name] for name in change.values}}
    newest = dict(before.newest)
    for computation in sorted(change.computations.values(), key=lambda c: c.number):
        newest[computation.node] = computation
    return values, newest


def events_in(before: State, command: Command, change: Change) -> int:
    """How many events that anybody can see are in a change, read off what it writes."""
    after = change.state
    touched = {name: after.values[name] for name in change.values}
    events = 0
    unset_by_caller: set[str] = set()
    if isinstance(command, Start | SetValues):
        events += any(
            name in touched and touched[name].revision > before.revision for name in command.values
        )
    elif isinstance(command, UnsetValues):
        unset_by_caller = set(command.nodes) & set(touched)
        events += bool(unset_by_caller)
    events += sum(
        not value.is_set and value.revision > before.revision and name not in unset_by_caller
        for name, value in touched.items()
    )
    for computation in change.computations.values():
        events += (computation.revision_at_start or 0) > before.revision
        ended = computation.state in {ComputationState.SUCCESS, ComputationState.FAILED}
        events += ended and (computation.revision_at_completion or 0) > before.revision
    was_live = before.archived_at is None or isinstance(command, Unarchive)
    events += before.archived_at is not None and was_live
    return events + (was_live and after.archived_at is not None)


def looked_at_as_a_whole(story: Story, command: Command) -> State:
    """What the command would give if everything were looked at, not just what is downstream."""
    unexplained = story.state._replace(wake_at=NOON - timedelta(days=1))
    return settle(story.graph, unexplained, command, story.env(command)).state
