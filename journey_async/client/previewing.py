"""preview(): what would follow from setting and unsetting, decided by the core, not written."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import datetime

from journey_async.core.commands import Command, SetValues, UnsetValues
from journey_async.core.draft import Draft, nobody
from journey_async.core.graph import Graph
from journey_async.core.jsonvalue import JSON
from journey_async.core.nodes import MutateNode
from journey_async.core.queueing import is_stale
from journey_async.core.settle import settle
from journey_async.core.state import State
from journey_async.errors import JourneyError


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What would become of the nodes of an execution, each list in the order of the graph.

    `set` and `unset` are the inputs that would change; `cleared` lose their value; `computed` are
    queued at once, or when the attempt that runs has ended, or computed at once where that needs
    no function; `perhaps` follow if a result of those is another one than before; `kept` are set
    and stay as they are. If the execution would be `archived`, nothing else follows.
    """

    set: tuple[str, ...]
    unset: tuple[str, ...]
    cleared: tuple[str, ...]
    computed: tuple[str, ...]
    perhaps: tuple[str, ...]
    kept: tuple[str, ...]
    archived: bool = False

    def to_text(self) -> str:
        """A line for each list that is not empty."""
        lists = {
            "set": self.set,
            "unset": self.unset,
            "cleared": self.cleared,
            "computed": self.computed,
            "perhaps computed": self.perhaps,
            "kept": self.kept,
        }
        lines = [f"{what}: {', '.join(nodes)}" for what, nodes in lists.items() if nodes]
        if self.archived:
            lines.append("and the execution is archived")
        return "\n".join(lines) or "nothing would change"


def previewed(
    graph: Graph,
    state: State,
    values: Mapping[str, JSON],
    unset: tuple[str, ...],
    now: datetime,
) -> Preview:
    """What would follow; raises what the core refuses with, JourneyError where nobody can tell."""
    if graph.is_opaque:
        raise JourneyError(
            f"what would follow depends on predicates of graph {graph.name!r} version "
            f"{graph.version!r} whose code is not here, or on schedules that want the package "
            f"cronsim; ask where they are, or pass the graph to Journey(graphs=[…])"
        )
    commands: list[Command] = []
    if values:
        commands.append(SetValues(values))
    if unset:
        commands.append(UnsetValues(unset))
    after = state
    for command in commands:
        after = settle(graph, after, command, nobody(now)).state
        if after.archived_at is not None and state.archived_at is None:
            break  # and takes no more
    return _compared(graph, state, after, now)


def _compared(graph: Graph, before: State, after: State, now: datetime) -> Preview:
    was, stays, changed = set(), set(), set()
    for node in graph.nodes:
        old, new = before.value_of(node), after.value_of(node)
        was |= {node.name} if old.is_set else set()
        stays |= {node.name} if new.is_set else set()
        changed |= {node.name} if old is not new and old != new else set()
    inputs = changed & graph.inputs.keys()
    archived = after.archived_at is not None and before.archived_at is None
    computed = changed & stays & graph.steps.keys()  # by what is built in
    if not archived:
        computed |= _queued_anew(graph, before, after, now)
    perhaps = frozenset() if archived else _reached(graph, computed) - computed

    def ordered(names: set[str] | frozenset[str]) -> tuple[str, ...]:
        return tuple(sorted(names & graph.by_name.keys(), key=graph.position.__getitem__))

    system = graph.by_name.keys() - graph.inputs.keys() - graph.steps.keys()
    return Preview(
        set=ordered(inputs & stays),
        unset=ordered(inputs - stays),
        cleared=ordered((was - stays) - inputs),
        computed=ordered(computed),
        perhaps=ordered(perhaps),
        kept=ordered((was & stays) - changed - computed - perhaps - system),
        archived=archived,
    )


def _queued_anew(graph: Graph, before: State, after: State, now: datetime) -> set[str]:
    """The steps that are to be computed by what differs: also those that are queued or run already
    on what was there before.
    """
    queued = {name for name in after.queued if after.newest[name] is not before.newest.get(name)}
    running = after.computing & graph.steps.keys()
    return queued | (_outdated(graph, after, running, now) - _outdated(graph, before, running, now))


def _outdated(graph: Graph, state: State, running: Set[str], now: datetime) -> set[str]:
    """Those of the running steps that will be computed anew when they have ended."""
    draft = Draft(graph, state, nobody(now))
    evaluation = draft.evaluation()
    return {
        name
        for name in running & state.computing
        if evaluation.holds(graph.steps[name].gated_by, keeping=True)
        and is_stale(draft, state.newest[name], evaluation.met(graph.steps[name].gated_by))
    }


def _reached(graph: Graph, steps: Set[str]) -> frozenset[str]:
    """What may follow from the results of steps; mutations reach what they write to, too."""
    reached: set[str] = set()
    ahead = set(steps)
    while ahead:
        found = set(graph.descendants(ahead))
        for step in map(graph.by_name.__getitem__, ahead):
            found.update(step.mutates if isinstance(step, MutateNode) else ())
        ahead = found - reached
        reached |= found
    return frozenset(reached)
