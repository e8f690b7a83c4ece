"""Mermaid diagrams of graphs."""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from journey_async.core.conditions import (
    Compare,
    Condition,
    Contains,
    In,
    Leaf,
    Predicate,
    Provided,
    leaf_text,
    negatable_leaves,
)
from journey_async.core.nodes import MutateNode, Node, function_of
from journey_async.core.values import TICKS, NodeKind

if TYPE_CHECKING:
    from journey_async.core.graph import Graph

RESERVED = frozenset({"end", "graph", "subgraph", "class", "classdef", "click", "style", "default"})
ESCAPES = {"#": "#35;", "&": "#amp;", '"': "#quot;", "|": "#124;", "<": "#lt;", "\n": " "}
DEFAULT_STYLE = "fill:#f8f9fa,stroke:#495057,stroke-width:2px,color:#000000"


def of_graph(graph: "Graph") -> str:
    """The graph: a box a node, an arrow a condition, with a caption where it is not `provided`."""
    ids = ",".join(node_ids(graph).values())
    return "\n".join(
        [
            *structure(graph, f"'{graph.name}', version {graph.version}", _label),
            "",
            "    %% Styling",
            f"    classDef defaultNode {DEFAULT_STYLE}",
            "",
            "    %% Apply styles to nodes",
            f"    class {ids} defaultNode",
        ]
    )


def structure(graph: "Graph", title: str, label: Callable[[Node], str]) -> list[str]:
    """The lines of a diagram up to its styling; `label` draws a node's box."""
    ids = node_ids(graph)
    lines = ["graph TD", "    %% Graph", f'    subgraph Graph["🧩 {_escaped(title)}"]']
    lines += [f"        {ids[node.name]}{label(node)}" for node in graph.nodes]
    edges = [
        f"{ids[upstream]} {arrow} {ids[step.name]}"
        for step in graph.steps.values()
        for upstream, arrow in _arrows(step.gated_by)
    ]
    if edges:
        lines += ["", *(f"        {edge}" for edge in edges)]
    return [*lines, "    end"]


def node_ids(graph: "Graph") -> dict[str, str]:
    """A Mermaid id for each node: its name where that can be one, and no two alike."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    numbers: dict[str, int] = {}  # the last ones that were given, by what names have in common
    for node in graph.nodes:
        plain = re.sub(r"[^A-Za-z0-9_]", "_", node.name)
        candidate = f"{plain}_" if plain.lower() in RESERVED else plain
        while candidate in taken:
            numbers[plain] = numbers.get(plain, 1) + 1
            candidate = f"{plain}_{numbers[plain]}"
        found[node.name] = candidate
        taken.add(candidate)
    return found


def node_text(node: Node) -> str:
    """A node's name and, below it, what computes it."""
    name = _escaped(node.name)
    if node.kind is NodeKind.INPUT:
        return name
    if node.kind is NodeKind.ARCHIVE:
        return f"{name}<br/>archive"
    function = function_of(node)
    caption = (
        "anonymous fn"
        if function is None or function.is_anonymous
        else _escaped(function.short_name)
    )
    text = f"{name}<br/>({caption})"
    if node.kind in TICKS:
        text += f"<br/>{node.kind}"
    if isinstance(node, MutateNode):
        text += f"<br/>mutates: {_escaped(', '.join(node.mutates))}"
    return text


def _label(node: Node) -> str:
    text = node_text(node)
    if node.kind is NodeKind.INPUT:
        return f"[{text}]" if re.fullmatch(r"\w+", text, re.ASCII) else f'["{text}"]'
    return f'[["{text}"]]'


def _arrows(gate: Condition) -> Iterator[tuple[str, str]]:
    """The upstream node and the arrow of each leaf, in the order of writing."""
    for leaf, negated in negatable_leaves(gate):
        caption = _caption(leaf, negated)
        yield leaf.node, f"--> |{_quoted(caption)}|" if caption else "--> "


def _caption(leaf: Leaf, negated: bool) -> str:
    match leaf:
        case Provided():
            caption = "provided" if negated else ""
        case Predicate(function=function, label=None) if function.is_anonymous:
            caption = "predicate" if negated else ""
        case Compare() | In() | Contains():
            caption = leaf_text(leaf).removeprefix(leaf.node).strip()
        case _:
            caption = leaf_text(leaf)
    return f"not {caption}" if negated else caption


def _quoted(caption: str) -> str:
    escaped = _escaped(caption)
    return f'"{escaped}"' if re.search(r"[\[\](){}#;]", escaped) else escaped


def _escaped(text: str) -> str:
    for character, code in ESCAPES.items():
        text = text.replace(character, code)
    return text
