"""A graph: named and versioned nodes, validated as a whole when it is built."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self, TypeAlias, TypeVar, overload

from pydantic import Field, field_validator, model_validator

from journey_async.core import mermaid
from journey_async.core.binding import Binding, bind
from journey_async.core.conditions import Predicate, leaves
from journey_async.core.edges import Edges
from journey_async.core.functions import FunctionField, callback
from journey_async.core.gates import surely_set
from journey_async.core.jsontypes import readable
from journey_async.core.model import Model, storable
from journey_async.core.nodes import (
    MAX_NAME,
    SYSTEM_NAMES,
    SYSTEM_NODES,
    AnyNode,
    InputNode,
    KeepLatest,
    MutateNode,
    Node,
    Step,
    is_built_in,
)
from journey_async.core.paths import Ancestors, reached
from journey_async.core.pieces import PIECE
from journey_async.core.reference import NodeName, NodeRef, name_of
from journey_async.core.schedules import Cron
from journey_async.core.soundness import (
    refuse_bad_targets,
    refuse_cycles,
    refuse_duplicates,
    refuse_unknown_upstream,
)
from journey_async.core.types import ANY, NodeType, as_type, name_of_type
from journey_async.core.values import TICKS, NodeValue
from journey_async.errors import (
    InvalidNodeError,
    InvalidOptionError,
    NotAnInputError,
    UnknownNodeError,
)

T = TypeVar("T")
GraphKey: TypeAlias = tuple[str, str]  # name and version

MAX_NODES = 20_000  # a graph is settled as a whole, and its definition is one row


class Graph(Model):
    """A blueprint of executions: inputs, and nodes that compute themselves.

    `nodes` begins with the system nodes `execution_id` and `last_updated_at`. A `singleton` has at
    most one live execution. Ids of executions begin with `execution_id_prefix`, in capitals.
    `on_save(execution_id, node, result)` is called after each commit with an outcome of a node,
    Saved or SaveFailed. `keep_latest_computations` is how many successful computations of a node
    are kept besides its first ones, where the node says nothing else (None: all).

    A graph is complete and right once it is built; what is not raises a GraphError that names the
    node.
    """

    name: str = Field(min_length=1, max_length=MAX_NAME, strict=True)
    version: str = Field(min_length=1, max_length=MAX_NAME, strict=True)
    nodes: tuple[AnyNode, ...]
    singleton: bool = Field(default=False, strict=True)
    execution_id_prefix: str = Field("EXEC", pattern=r"^[A-Za-z0-9_-]{1,32}$", strict=True)
    on_save: FunctionField | None = None
    keep_latest_computations: KeepLatest = None

    def __init__(
        self,
        name: str,
        version: str,
        nodes: Sequence[Node],
        *,
        singleton: bool = False,
        execution_id_prefix: str = "EXEC",
        on_save: Callable[..., Any] | None = None,
        keep_latest_computations: int | str | None = None,
        **unknown: Any,
    ) -> None:
        if unknown:
            options = ", ".join(sorted(unknown))
            raise InvalidNodeError(f"graph {name!r} was given options that do not exist: {options}")
        if not _is_description(nodes):
            callback(f"graph {name!r}", on_save)
        super().__init__(
            name=name,
            version=version,
            nodes=nodes,
            singleton=singleton,
            execution_id_prefix=execution_id_prefix,
            on_save=on_save,
            keep_latest_computations=keep_latest_computations,
        )

    @field_validator("name", "version")
    @classmethod
    def _storable(cls, given: str) -> str:
        return storable(given)

    @field_validator("nodes", mode="before")
    @classmethod
    def _with_system_nodes(cls, given: Any) -> Any:
        if isinstance(given, Node | str | Mapping) or not isinstance(given, Sequence):
            raise ValueError("must be a list of nodes")
        if len(given) > MAX_NODES:
            raise ValueError(f"are {len(given)}, and a graph has at most {MAX_NODES}")
        for item in given:
            if not isinstance(item, Node | Mapping):
                raise ValueError(f"must be a list of nodes, and {item!r:.80} is none")
        first = given[: len(SYSTEM_NODES)]
        complete = len(first) == len(SYSTEM_NODES) and all(map(_is_system, first, SYSTEM_NODES))
        return tuple(given) if complete else (*SYSTEM_NODES, *given)

    @model_validator(mode="after")
    def _validate(self) -> Self:
        refuse_duplicates(self.name, self.nodes)
        refuse_unknown_upstream(self.by_name, self.upstream)
        refuse_bad_targets(self.by_name)
        refuse_cycles(self.name, self.by_name, self.upstream)
        self.edges.check()
        return self

    # --- what is derived, once -----------------------------------------------------------------

    @cached_property
    def key(self) -> GraphKey:
        """Name and version: what may have several definitions, told apart by their hash."""
        return self.name, self.version

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """The nodes by name, in the order of the graph."""
        return MappingProxyType({node.name: node for node in self.nodes})

    @cached_property
    def steps(self) -> Mapping[str, Step]:
        """The nodes that compute themselves, by name."""
        return MappingProxyType({n.name: n for n in self.nodes if isinstance(n, Step)})

    @cached_property
    def inputs(self) -> Mapping[str, InputNode]:
        """The nodes that callers may set, by name."""
        return MappingProxyType(
            {
                n.name: n
                for n in self.nodes
                if isinstance(n, InputNode) and n.name not in SYSTEM_NAMES
            }
        )

    @cached_property
    def types(self) -> Mapping[str, NodeType]:
        """The types of the inputs that have one."""
        return MappingProxyType(
            {name: node.type for name, node in self.inputs.items() if not node.type.is_any}
        )

    @cached_property
    def unset(self) -> Mapping[str, NodeValue]:
        """What each node holds before it was ever set."""
        return MappingProxyType({n.name: NodeValue(n.name, n.kind) for n in self.nodes})

    @cached_property
    def upstream(self) -> Mapping[str, tuple[str, ...]]:
        """For each step the nodes that its gate names, in the order of their naming."""
        return MappingProxyType(
            {
                name: tuple(dict.fromkeys(leaf.node for leaf in leaves(step.gated_by)))
                for name, step in self.steps.items()
            }
        )

    @cached_property
    def breadth(self) -> Mapping[str, int]:
        """For each step how much work a look at its gate is, in looks at a narrow one.

        What a predicate is asked about may be large, and is copied.
        """
        found = {}
        for name, step in self.steps.items():
            gate = list(leaves(step.gated_by))
            asks = any(isinstance(leaf, Predicate) for leaf in gate)
            found[name] = PIECE if asks else max(len(gate) // 4, 1)
        return MappingProxyType(found)

    @cached_property
    def downstream(self) -> Mapping[str, tuple[str, ...]]:
        """For each node the steps whose gate names it."""
        found: dict[str, list[str]] = {node.name: [] for node in self.nodes}
        for name, upstream in self.upstream.items():
            for node in upstream:
                found[node].append(name)
        return MappingProxyType({name: tuple(steps) for name, steps in found.items()})

    @cached_property
    def may_start_at_once(self) -> frozenset[str]:
        """The steps whose gate may hold though nobody has set anything."""
        return frozenset(name for name, nodes in self._surely_set.items() if nodes <= SYSTEM_NAMES)

    @cached_property
    def position(self) -> Mapping[str, int]:
        """Each node's place in the order of the graph."""
        return MappingProxyType({node.name: place for place, node in enumerate(self.nodes)})

    @cached_property
    def _ancestors(self) -> Ancestors:
        """What is upstream of each node: while somebody waits, it is asked with each commit."""
        return Ancestors(self.upstream)

    @cached_property
    def _surely_set(self) -> Mapping[str, frozenset[str]]:
        """For each step the nodes that must be set for its gate to hold."""
        return {name: surely_set(step.gated_by) for name, step in self.steps.items()}

    @cached_property
    def bindings(self) -> Mapping[str, Binding | None]:
        """How to call each step's function; None where its code isn't here."""
        return MappingProxyType(
            {n: bind(step, self.by_name, self._surely_set[n]) for n, step in self.steps.items()}
        )

    @cached_property
    def edges(self) -> Edges:
        """What is known of the types of what nodes give."""
        return Edges(self.by_name, self.bindings)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over what decides persisted shape and readiness: names, types, conditions."""
        described = [
            [
                node.name,
                node.kind,
                node.type.name if isinstance(node, InputNode) else None,
                node.gated_by.model_dump(mode="json") if isinstance(node, Step) else None,
                list(node.mutates) if isinstance(node, MutateNode) else None,
            ]
            for node in sorted(self.nodes, key=lambda node: node.name)
        ]
        text = json.dumps(described, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def ticks(self) -> frozenset[str]:
        """The nodes that become provided at a time."""
        return frozenset(name for name, step in self.steps.items() if step.kind in TICKS)

    @cached_property
    def mutated(self) -> frozenset[str]:
        """The nodes that mutations write to."""
        mutations = [step for step in self.steps.values() if isinstance(step, MutateNode)]
        return frozenset(target for step in mutations for target in step.mutates)

    @cached_property
    def built_in(self) -> frozenset[str]:
        """The steps that compute themselves without a user's function."""
        return frozenset(name for name, step in self.steps.items() if is_built_in(step))

    @cached_property
    def with_function(self) -> frozenset[str]:
        """The steps that compute by a user's function."""
        return frozenset(self.steps) - self.built_in

    @cached_property
    def is_opaque(self) -> bool:
        """Whether something cannot be decided here: it asks a predicate whose code is elsewhere, or
        a schedule that wants a package which is not installed.
        """
        schedules = (getattr(step, "schedule", None) for step in self.steps.values())
        cron = next((schedule for schedule in schedules if isinstance(schedule, Cron)), None)
        if cron is not None and not cron.is_readable:
            return True
        return any(
            type(leaf) is Predicate and leaf.function.call is None
            for step in self.steps.values()
            for leaf in leaves(step.gated_by)
        )

    @cached_property
    def lacks_code(self) -> bool:
        """Whether this is a description: functions, predicates or types are elsewhere."""
        functions = [self.on_save, *(node.on_save for node in self.nodes)]
        return (
            self.is_opaque
            or any(self.bindings[name] is None for name in self.with_function)
            or any(function is not None and function.call is None for function in functions)
            or any(node.type.is_any and node.type != ANY for node in self.inputs.values())
        )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A graph with other fields, checked like any other.

        `deep` makes no difference: graphs and nodes do not change.
        """
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**{**fields, **(update or {})})

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """The graph itself, which does not change."""
        return self

    @overload
    def node(self, name: str, type: type[T]) -> NodeRef[T]: ...

    @overload
    def node(self, name: str, type: Any = ...) -> NodeRef[Any]: ...

    def node(self, name: str, type: Any = Any) -> NodeRef[Any]:
        """A reference to a node whose value is of a type, for the verbs to take.

        Raises UnknownNodeError; InvalidOptionError if what the node gives, as far as that is known,
        cannot be read as the type.
        """
        given = self.edges.given_by(self.node_named(name).name)
        if isinstance(type, str):
            raise InvalidOptionError(f"the type of node {name!r} is a text; give the type itself")
        if type is not Any and not readable(type, given):
            raise InvalidOptionError(
                f"node {name!r} of graph {self.name!r} gives {name_of_type(given)}, which cannot "
                f"be read as {name_of_type(type)}; ask for the type {name_of_type(given)}"
            )
        return NodeRef(name, as_type(type))

    def node_named(self, node: NodeName) -> Node:
        """The node of that name; raises UnknownNodeError."""
        name = name_of(node)
        found = self.by_name.get(name) if isinstance(name, str) else None
        if found is None:
            raise UnknownNodeError(name, self.name, list(self.by_name))
        return found

    def input_named(self, node: NodeName) -> InputNode:
        """The input that callers may set; raises UnknownNodeError, NotAnInputError."""
        name = name_of(node)
        found = self.inputs.get(name) if isinstance(name, str) else None
        if found is None:
            raise NotAnInputError(self.node_named(node).name, self.name, list(self.inputs))
        return found

    def ancestors(self, name: str) -> frozenset[str]:
        """All nodes upstream of a node, near and far, without itself."""
        return self._ancestors.of(name)

    def descendants(self, names: Iterable[str]) -> frozenset[str]:
        """All steps downstream of some nodes, near and far."""
        return reached(
            self.downstream, (step for n in names for step in self.downstream.get(n, ()))
        )

    def to_mermaid(self) -> str:
        """The graph as a Mermaid diagram."""
        return mermaid.of_graph(self)


def _is_description(nodes: object) -> bool:
    """Whether the nodes are data, as in a stored definition: functions are just named there."""
    return isinstance(nodes, Sequence) and any(isinstance(node, Mapping) for node in nodes)


def _is_system(item: object, node: InputNode) -> bool:
    """Whether the item is the system node itself, or its description."""
    return item is node or item == node.model_dump(mode="json")
