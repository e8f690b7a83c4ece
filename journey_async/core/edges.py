"""Checks the types along the edges of a graph when it is built.

An edge leads from a node to a parameter of a function that takes its value, to a condition that
compares it, and from a mutate node to its targets. What a node gives is known by the `type` of an
input, by what the function of a compute node or a loop says that it returns, and by the kind of
other nodes. Only what is surely wrong is refused; what somebody didn't annotate isn't.
"""

from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, Union, get_args, get_origin

from journey_async.core.annotations import Hints, hints_of
from journey_async.core.assignable import assignable, members_of, overlaps
from journey_async.core.binding import Binding
from journey_async.core.conditions import (
    Compare,
    Contains,
    In,
    IsFalse,
    IsTrue,
    Leaf,
    Provided,
    leaves,
    text,
)
from journey_async.core.jsontypes import as_stored, kinds_of, not_json, readable
from journey_async.core.jsonvalue import BOOLEAN, STRING, json_of, kind_of
from journey_async.core.loops import Continue, Done
from journey_async.core.nodes import (
    SYSTEM_TYPES,
    ArchiveNode,
    ComputeNode,
    HistorianNode,
    InputNode,
    LoopNode,
    MutateNode,
    Node,
    Step,
    Tick,
    function_of,
)
from journey_async.core.types import name_of_type
from journey_async.errors import (
    ConditionError,
    InvalidNodeError,
    MutationTargetError,
    ParameterError,
)


class Edges:
    """The types of a graph's nodes, as far as they are known."""

    def __init__(self, nodes: Mapping[str, Node], bindings: Mapping[str, Binding | None]) -> None:
        self._nodes = nodes
        self._bindings = bindings
        self._hints = {
            name: hints_of(function.call)
            for name, binding in bindings.items()
            if binding is not None
            and (function := function_of(nodes[name])) is not None
            and function.call is not None
        }

    def given_by(self, name: str) -> Any:
        """The type of what a node gives to functions; Any where it is not known."""
        node = self._nodes[name]
        match node:
            case InputNode():
                return SYSTEM_TYPES.get(name, node.type.annotation)
            case ComputeNode():
                return self._returned(name)
            case LoopNode():
                return _ended_with(self._returned(name))
            case MutateNode():
                return str
            case HistorianNode():
                return list[dict[str, Any]]
            case ArchiveNode() | Tick():  # a tick's time need not be whole, but often is
                return int
        return Any

    def check(self) -> None:
        """Refuse what cannot be right; raises ParameterError, MutationTargetError, ConditionError.

        Only of functions whose code is here.
        """
        mutated: set[str] = set()
        for node in self._nodes.values():
            if isinstance(node, MutateNode):
                mutated.update(node.mutates)
                self._check_targets(node)
        for name, hints in self._hints.items():
            step, binding = self._nodes[name], self._bindings[name]
            assert isinstance(step, Step)
            assert binding is not None
            if hints.parameters:
                self._check_parameters(step, binding, hints)
            if isinstance(step, ComputeNode | LoopNode):
                self._check_result(step)
        for node in self._nodes.values():
            if isinstance(node, Step):
                for leaf in leaves(node.gated_by):
                    if leaf.node not in mutated or isinstance(self._nodes[leaf.node], InputNode):
                        self._check_condition(node, leaf)

    # --- parameters -----------------------------------------------------------------------------

    def _check_parameters(self, step: Step, binding: Binding, hints: Hints) -> None:
        # A gate that asks more than whether one is set may let only some of its values through.
        narrowed = {x.node for x in leaves(step.gated_by) if not isinstance(x, Provided)}
        for name in binding.nodes:
            wanted = hints.parameters.get(name, Any)
            given = self.given_by(name)
            if name == step.name and isinstance(step, LoopNode):
                given = _carried(self._returned(name))
            judge = overlaps if name in narrowed else assignable
            if wanted is Any or given is Any or self._fits(name, wanted, given, judge):
                continue
            raise ParameterError(
                step.name,
                name,
                f"the function of node {step.name!r} takes {name!r} as "
                f"{name_of_type(wanted)}, but {self._said(name, given)}",
            )
        mapping = binding.values
        if mapping is not None and not assignable(hints.parameters.get(mapping, Any), dict):
            raise ParameterError(
                step.name,
                mapping,
                f"the function of node {step.name!r} takes {mapping!r} as "
                f"{name_of_type(hints.parameters[mapping])}, but {mapping!r} names no node and "
                f"gets the dict of all values; name a node, annotate it as a dict, or name it "
                f"'context' for what is known of the attempt",
            )

    def _fits(self, name: str, wanted: Any, given: Any, judge: Callable[[Any, Any], bool]) -> bool:
        computed = not isinstance(self._nodes[name], InputNode)
        possible = (given, as_stored(given)) if computed else (given,)
        return any(judge(wanted, option) for option in possible)

    def _said(self, name: str, given: Any) -> str:
        """Where it is said what a node gives, and what would be right."""
        kind, shown = self._nodes[name].kind, name_of_type(given)
        if isinstance(self._nodes[name], ComputeNode | LoopNode):
            return f"the function of node {name!r} returns {shown}; make the two agree"
        if name in SYSTEM_TYPES or not isinstance(self._nodes[name], InputNode):
            article = "system node" if name in SYSTEM_TYPES else f"{kind} node"
            return f"the {article} {name!r} gives {shown}; annotate it as that"
        return f"the node {name!r} is of the type {shown}; make the two agree"

    def _returned(self, name: str) -> Any:
        hints = self._hints.get(name)
        # `-> None` says that a function is called for its effect, not what others may take.
        return Any if hints is None or hints.returned is NoneType else hints.returned

    def _check_result(self, step: ComputeNode | LoopNode) -> None:
        given = self.given_by(step.name)
        cls = not_json(given)
        call = step.function.call
        if cls is None or hasattr(getattr(call, "func", call), "__wrapped__"):
            return  # what is around a function may make something else of what that one returns
        advice = json_of(cls)
        raise InvalidNodeError(
            f"the function of node {step.name!r} returns {name_of_type(given)}, and what is stored "
            f"of a step is JSON, which {cls.__name__} is not; let it return "
            f"{'strings, numbers, lists and dicts' if advice is None else f'its {advice}'}",
            node=step.name,
        )

    # --- targets --------------------------------------------------------------------------------

    def _check_targets(self, step: MutateNode) -> None:
        returned = self._returned(step.name)
        if returned is Any:
            return
        for target in step.mutates:
            node = self._nodes[target]
            if isinstance(node, InputNode) and not readable(node.type.annotation, returned):
                raise MutationTargetError(
                    step.name,
                    target,
                    f"its function returns {name_of_type(returned)}, but the node {target!r} is of "
                    f"the type {node.type.name}; make the two agree",
                )

    # --- conditions -----------------------------------------------------------------------------

    def _check_condition(self, step: Step, leaf: Leaf) -> None:
        given = self.given_by(leaf.node)
        if given is Any:
            return
        wanted, stored = _kinds_wanted(leaf), kinds_of(given)
        if wanted is None or stored is None or wanted & stored:
            return
        raise ConditionError(
            f"node {step.name!r} is gated by `{text(leaf)}`, which never holds: node "
            f"{leaf.node!r} is of the type {name_of_type(given)}, stored as {_listed(stored)}, and "
            f"that takes {_listed(wanted)}"
        )


def _kinds_wanted(leaf: Leaf) -> frozenset[str] | None:
    """The kinds of JSON on which a condition can hold; None: on every kind."""
    match leaf:
        case Compare(operator=operator, operand=operand) if operator != "!=":
            return frozenset({kind_of(operand)})
        case In(operands=operands):
            return frozenset(map(kind_of, operands))
        case Contains():
            return frozenset({STRING})
        case IsTrue() | IsFalse():
            return frozenset({BOOLEAN})
    return None


def _ended_with(returned: Any) -> Any:
    """The type of a loop's value: what `Done` was given, or a bare value."""
    ends = []
    for member in members_of(returned):
        if member is Done or member is Any:
            return Any
        if get_origin(member) is Done:
            ends.append(get_args(member)[0])
        elif member is not Continue and get_origin(member) is not Continue:
            ends.append(member)
    return Union[tuple(ends)] if ends else Any  # noqa: UP007


def _carried(returned: Any) -> Any:
    """The type of what one iteration of a loop carries into the next."""
    carried = [get_args(m)[0] for m in members_of(returned) if get_origin(m) is Continue]
    return Union[tuple(carried)] if carried else Any  # noqa: UP007


def _listed(kinds: frozenset[str]) -> str:
    return " or ".join(sorted(kinds)) or "nothing"
