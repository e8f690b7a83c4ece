"""Binds the parameters of a node's function, by name, once, when the graph is built.

A parameter named like a node gets that node's value; `values` gets all set values, `context` the
call's context; a single parameter that names nothing else gets all set values.
"""

import inspect
from collections.abc import Callable, Collection, Mapping, Set
from dataclasses import dataclass
from typing import Any

from journey_async.core.annotations import signature_of
from journey_async.core.functions import Function
from journey_async.core.nodes import SYSTEM_NAMES, Node, Step, function_of
from journey_async.errors import ParameterError

VALUES = "values"
CONTEXT = "context"


@dataclass(frozen=True, slots=True)
class Binding:
    """How to call a node's function.

    `nodes` are the parameters that get the values of the nodes after which they are named;
    `values` is the one that gets the mapping of all values. `positional` lists parameters that
    can't be named.
    """

    nodes: tuple[str, ...]
    values: str | None
    takes_context: bool
    positional: tuple[str, ...]
    is_async: bool

    def arguments(
        self,
        value_of: Callable[[str], Any],
        is_set: Callable[[str], bool],
        all_values: Callable[[], Mapping[str, Any]],
        context: Any,
    ) -> tuple[list[Any], dict[str, Any]]:
        """Positional and named arguments; a node that isn't set is left to its default."""
        named = {node: value_of(node) for node in self.nodes if is_set(node)}
        if self.values is not None:
            named[self.values] = all_values()
        if self.takes_context:
            named[CONTEXT] = context
        ordered = []
        for parameter in self.positional:
            if parameter not in named:
                break  # it and those behind it keep their defaults
            ordered.append(named.pop(parameter))
        return ordered, {p: v for p, v in named.items() if p not in self.positional}


def bind(step: Step, nodes: Mapping[str, Node], set_nodes: Set[str]) -> Binding | None:
    """The binding of a step's function; None without a function whose code is here.

    `set_nodes` are those that are surely set when the step's gate holds. Raises ParameterError.
    """
    function = function_of(step)
    if function is None or function.call is None:
        return None
    parameters = _parameters(step, function)
    surely = set_nodes | SYSTEM_NAMES
    bound: list[str] = []
    values, takes_context = None, False
    for parameter in parameters:
        name = parameter.name
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ParameterError(
                step.name,
                name,
                f"the function of node {step.name!r} takes *{name}, which no node can fill; "
                f"name the nodes it needs, or take `values`",
            )
        if name in nodes:
            _check_set(step, parameter, surely)
            bound.append(name)
        elif name == CONTEXT:
            takes_context = True
        elif name == VALUES or (len(parameters) == 1 and parameter.default is parameter.empty):
            values = name
        elif parameter.default is parameter.empty:
            raise ParameterError(
                step.name,
                name,
                f"the function of node {step.name!r} has the parameter {name!r}, which names no "
                f"node; name one, take `values` or `context`, or give it a default",
            )
    return Binding(
        nodes=tuple(bound),
        values=values,
        takes_context=takes_context,
        positional=tuple(p.name for p in parameters if p.kind is p.POSITIONAL_ONLY),
        is_async=_is_async(function.call),
    )


def _parameters(step: Step, function: Function) -> list[inspect.Parameter]:
    assert function.call is not None
    try:
        return list(signature_of(function.call).parameters.values())
    except (TypeError, ValueError):
        raise ParameterError(
            step.name,
            "",
            f"the parameters of {function.name}, the function of node {step.name!r}, "
            f"cannot be read; wrap it in a def or a lambda",
        ) from None


def _is_async(call: Callable[..., Any]) -> bool:
    """Whether it is a coroutine function, an object that is called as one, or a partial of one."""
    candidates = (call, getattr(call, "__call__", None), getattr(call, "func", None))  # noqa: B004
    return any(map(inspect.iscoroutinefunction, candidates))


def _check_set(step: Step, parameter: inspect.Parameter, surely: Collection[str]) -> None:
    """A parameter without a default must name a node that is `surely` set if the gate holds."""
    name = parameter.name
    if parameter.default is parameter.empty and name not in surely:
        wants = f"{name!r}, which need not be set when its condition holds"
        advice = f"give the parameter a default, or gate the node by provided({name!r})"
        if name == step.name:
            wants = "its own earlier value, which is not there the first time"
            advice = "give the parameter a default"
        raise ParameterError(
            step.name, name, f"the function of node {step.name!r} wants {wants}; {advice}"
        )
