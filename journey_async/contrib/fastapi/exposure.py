"""What of a graph the router shows, and what of it can be set there."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property

from journey_async.core.graph import Graph
from journey_async.core.nodes import InputNode, Node
from journey_async.core.values import NodeKind
from journey_async.errors import InvalidOptionError, NotAnInputError, UnknownNodeError


@dataclass(frozen=True)
class Exposure:
    """A graph without its hidden nodes; those that are read-only are shown, and cannot be set."""

    graph: Graph
    hidden: frozenset[str] = field(default=frozenset())
    read_only: frozenset[str] = field(default=frozenset())

    @cached_property
    def nodes(self) -> dict[str, Node]:
        """The nodes that are shown, by name."""
        return {name: n for name, n in self.graph.by_name.items() if name not in self.hidden}

    @cached_property
    def inputs(self) -> dict[str, InputNode]:
        """The inputs that can be set, by name."""
        kept = self.hidden | self.read_only
        return {name: node for name, node in self.graph.inputs.items() if name not in kept}

    def check_shown(self, names: Iterable[str]) -> None:
        """Raises UnknownNodeError for a node that is not shown."""
        for name in names:
            if name not in self.nodes:
                raise UnknownNodeError(name, self.graph.name, list(self.nodes))

    def check_settable(self, names: Iterable[str]) -> None:
        """Raises NotAnInputError for what cannot be set, whatever the reason."""
        for name in names:
            if name not in self.inputs:
                raise NotAnInputError(name, self.graph.name, list(self.inputs))


def refuse_historians_of_hidden(hidden: frozenset[str], graphs: Iterable[Graph]) -> None:
    """Raises InvalidOptionError for one that is shown, and records what is not to be."""
    for graph in graphs:
        for name, node in graph.steps.items():
            if node.kind is not NodeKind.HISTORIAN or name in hidden:
                continue
            if told := sorted(hidden.intersection(graph.upstream[name])):
                raise InvalidOptionError(
                    f"hidden names {told[0]!r}, whose values the historian {name!r} of graph "
                    f"{graph.name!r} records; hide {name!r}, too"
                )


def checked_names(option: str, names: Collection[str], graphs: Iterable[Graph]) -> frozenset[str]:
    """The names of nodes that an option lists; raises InvalidOptionError for what none has."""
    if isinstance(names, str):
        raise InvalidOptionError(f"{option} must be a list of names, not {names!r:.80}")
    known = {name for graph in graphs for name in graph.by_name}
    for name in names:
        if name not in known:
            raise InvalidOptionError(f"{option} names {name!r:.80}, which no graph here has")
    return frozenset(names)
