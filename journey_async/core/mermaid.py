"""Mermaid diagrams of graphs."""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from journey_async.core.conditions import (
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Contains,
    In,
    Leaf,
    Not,
    Predicate,
    Provided,
    leaf_text,
)
from journey_async.core.nodes import MutateNode, Node, function_of
from journey_async.core.values import TICKS, NodeKind

if TYPE_CHECKING:
    from journey_async.core.graph import Graph

DEFAULT_STYLE = "fill:#f8f9fa,stroke:#495057,stroke-width:2px,color:#000000"


def of_graph(graph: "Graph") -> str:
    """The graph: a box a node, an arrow a condition, with a caption where it is not `provided`."""
    ids = ",".join(node_id(node.name) for node in graph.nodes)
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
    """The lines of a diagram up to its styling; `label` draws a node."""
    lines = ["graph TD", "    %% Graph", f'    subgraph Graph["🧩 {_escaped(title)}"]']
    lines += [f"        {label(node)}" for node in graph.nodes]
    edges = [
        edge for step in graph.steps.values() for edge in _edges(step.name, step.gated_by, False)
    ]
    if edges:
        lines += ["", *(f"        {edge}" for edge in edges)]
    return [*lines, "    end"]


def node_id(name: str) -> str:
    """A node's name as a Mermaid id."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


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
        plain = re.fullmatch(r"\w+", text, re.ASCII)
        return f"{node_id(node.name)}[{text}]" if plain else f'{node_id(node.name)}["{text}"]'
    return f'{node_id(node.name)}[["{text}"]]'


def _edges(step: str, condition: Condition, negated: bool) -> Iterator[str]:
    if isinstance(condition, AllOf | AnyOf):
        for item in condition.conditions:
            yield from _edges(step, item, negated)
    elif isinstance(condition, Not):
        yield from _edges(step, condition.condition, not negated)
    elif isinstance(condition, Leaf):
        caption = _caption(condition, negated)
        arrow = f"--> |{_escaped(caption)}|" if caption else "--> "
        yield f"{node_id(condition.node)} {arrow} {node_id(step)}"


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


def _escaped(text: str) -> str:
    return (
        text.replace("&", "#amp;").replace('"', "#quot;").replace("|", "#124;").replace("\n", " ")
    )
