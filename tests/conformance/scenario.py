"""Builds our graphs from GRAPH, NODE, GATE and PRED of a scenario."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from journey_async import (
    Graph,
    NodeValue,
    Retry,
    all_of,
    any_of,
    archive,
    compute,
    historian,
    input_node,
    is_false,
    is_true,
    loop,
    mutate,
    not_,
    provided,
    tick_once,
    tick_recurring,
    unblocked_when,
    value,
)
from journey_async.core.conditions import Condition, ValueOf
from journey_async.core.jsonvalue import equal
from tests.conformance.functions import Menu
from tests.conformance.outcome import NoCounterpart

OnSave = Callable[[str, str, Any], Awaitable[None]]
OURS = {
    "keep_latest_completed_computations": "keep_latest_computations",
    "keep_oldest_completed_computations": "keep_oldest_computations",
}
HEARTBEATS = frozenset({"heartbeat_interval_seconds", "heartbeat_timeout_seconds"})
COMPARISONS: dict[str, Callable[[ValueOf, Any], Condition]] = {
    "eq": lambda held, operand: held == operand,
    "neq": lambda held, operand: held != operand,
    "in": lambda held, operand: held.in_(operand),
    "gt": lambda held, operand: held > operand,
    "gte": lambda held, operand: held >= operand,
    "lt": lambda held, operand: held < operand,
    "lte": lambda held, operand: held <= operand,
}
KINDS: dict[str, Callable[..., Any]] = {
    "compute": compute,
    "mutate": mutate,
    "tick_once": tick_once,
    "tick_recurring": tick_recurring,
    "loop": loop,
}


@dataclass(frozen=True)
class Builder:
    """Makes graphs; `menu` makes the functions, `on_save` the callbacks of a scope."""

    menu: Menu
    on_save: Callable[[str], OnSave]
    retry: Mapping[str, Any] = field(
        default_factory=lambda: {"initial_delay": 0.0, "jitter": False}
    )

    def graph(self, given: Mapping[str, Any]) -> Graph:
        """The graph; raises what our constructors raise."""
        nodes = [self.node(node) for node in given["nodes"]]
        options = _ours(given.get("options") or {})
        if options.get("on_save"):
            options["on_save"] = self.on_save("graph")
        name = given.get("name") or f"graph_{_digest(given['nodes'])}"
        return Graph(name, given.get("version") or "v1.0", nodes, **options)

    def node(self, given: Mapping[str, Any]) -> Any:
        """One node."""
        name, kind = given["name"], given["type"]
        options = _ours(given.get("options") or {})
        if given.get("on_save"):
            options["on_save"] = self.on_save("node")
        if kind == "input":
            return input_node(name, **options)
        options["retry"] = self._retry(options.pop("max_retries", 3))
        gated_by = gate(given.get("gated_by", []))
        for option in ("mutates", "update_revision_on_change", "max_entries", "max_iterations"):
            if option in given:
                options[option] = given[option]
        if kind == "historian":
            return historian(name, gated_by, **options)
        if kind == "archive":
            return archive(name, gated_by, **options)
        if kind not in KINDS:
            raise NoCounterpart(f"the node type {kind!r}")
        return KINDS[kind](name, gated_by, self.menu(given["compute"], name), **options)

    def _retry(self, max_retries: Any) -> Retry:
        if isinstance(max_retries, int):
            max_retries = max(max_retries, 1)
        return Retry(max_attempts=max_retries, **self.retry)


def gate(given: Any) -> Any:
    """A GATE: a list, or a tree."""
    if isinstance(given, list):
        return [item if isinstance(item, str) else tree(item) for item in given]
    return tree(given)


def tree(given: Mapping[str, Any]) -> Condition:
    """A tree of conditions."""
    if "and" in given:
        return all_of(*map(tree, given["and"]))
    if "or" in given:
        return any_of(*map(tree, given["or"]))
    if "not" in given:
        return not_(tree(given["not"]))
    return predicate(given["node"], given.get("when", "provided"))


def predicate(node: str, when: Any) -> Condition:
    """A PRED on a node."""
    if when == "provided":
        return provided(node)
    if when == "true":
        return is_true(node)
    if when == "false":
        return is_false(node)
    if not isinstance(when, Mapping) or len(when) != 1:
        raise NoCounterpart(f"the predicate {when!r}")
    ((kind, operand),) = when.items()
    if kind == "raw_eq":
        return unblocked_when(node, _raw(operand, wanted=True))
    if kind == "raw_neq":
        return unblocked_when(node, _raw(operand, wanted=False))
    if kind not in COMPARISONS:
        raise NoCounterpart(f"the predicate {when!r}")
    return COMPARISONS[kind](value(node), operand)


def _raw(operand: Any, *, wanted: bool) -> Callable[[NodeValue], bool]:
    return lambda upstream: equal(upstream.value, operand) is wanted


def _ours(options: Mapping[str, Any]) -> dict[str, Any]:
    return {OURS.get(k, k): v for k, v in options.items() if k not in HEARTBEATS}


def _digest(nodes: Any) -> str:
    return hashlib.sha256(json.dumps(nodes, sort_keys=True).encode()).hexdigest()[:8]
