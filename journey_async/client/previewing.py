"""preview(): what would follow from setting and unsetting, decided by the core, not written."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from journey_async.core.commands import Command, SetValues, UnsetValues
from journey_async.core.draft import nobody
from journey_async.core.graph import Graph
from journey_async.core.jsonvalue import JSON
from journey_async.core.settle import settle
from journey_async.core.state import State
from journey_async.errors import JourneyError


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What would become of the nodes of an execution, each list in the order of the graph.

    `set` and `unset` are the inputs that would change; `cleared` lose their value; `computed` are
    queued at once; `perhaps` follow if a result of those is another one than before; `kept` are
    set and stay as they are.
    """

    set: tuple[str, ...]
    unset: tuple[str, ...]
    cleared: tuple[str, ...]
    computed: tuple[str, ...]
    perhaps: tuple[str, ...]
    kept: tuple[str, ...]

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
            f"{graph.version!r} whose code is not here; ask where it is, or pass the graph to "
            f"Journey(graphs=[…])"
        )
    commands: list[Command] = []
    if values:
        commands.append(SetValues(values))
    if unset:
        commands.append(UnsetValues(unset))
    after = state
    for command in commands:
        after = settle(graph, after, command, nobody(now)).state
    return _compared(graph, state, after)


def _compared(graph: Graph, before: State, after: State) -> Preview:
    was, stays, changed = set(), set(), set()
    for node in graph.nodes:
        old, new = before.value_of(node), after.value_of(node)
        was |= {node.name} if old.is_set else set()
        stays |= {node.name} if new.is_set else set()
        changed |= {node.name} if old is not new and old != new else set()
    computed = after.queued - before.queued
    perhaps = graph.descendants(computed) - computed
    inputs = changed & graph.inputs.keys()

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
    )
