"""An execution as a Mermaid diagram, each node with a sign for where it stands."""

from datetime import datetime
from enum import StrEnum

from journey_async.client.texts import stamp
from journey_async.client.trees import reading_of
from journey_async.core import mermaid
from journey_async.core.graph import Graph
from journey_async.core.nodes import InputNode, Node, Step
from journey_async.core.state import State, shown_state

LEGEND = """
    %% Legend
    subgraph StatusLegend["🏷️ Status"]
        StatusSuccess["✅ Success / Set"]
        StatusComputing["⏳ Computing"]
        StatusBlocked["🚫 Blocked"]
        StatusNotSet["⬜ Not yet set / picked up"]
        StatusFailed["❌ Failed"]
        StatusAbandoned["❓ Abandoned"]
        StatusCancelled["🛑 Cancelled"]
    end"""
STYLES = {
    "setNode": "fill:#e1f5fe,stroke:#01579b,stroke-width:2px,color:#000000",
    "computingNode": "fill:#fff8e1,stroke:#f57f17,stroke-width:2px,color:#000000",
    "errorNode": "fill:#f8bbd0,stroke:#b71c1c,stroke-width:2px,color:#000000",
    "neutralNode": "fill:#f8f9fa,stroke:#495057,stroke-width:2px,color:#000000",
}


class Standing(StrEnum):
    """Where a node of an execution stands."""

    SET = "set"
    UNSET = "unset"  # or about to run
    BLOCKED = "blocked"
    COMPUTING = "computing"
    FAILED = "failed"
    ABANDONED = "abandoned"


# What the newest computation is shown as, if that decides.
RUN = {
    "computing": Standing.COMPUTING,
    "failed": Standing.FAILED,
    "abandoned": Standing.ABANDONED,
}
SIGNS = {
    Standing.SET: "✅",
    Standing.UNSET: "⬜",
    Standing.BLOCKED: "🚫",
    Standing.COMPUTING: "⏳",
    Standing.FAILED: "❌",
    Standing.ABANDONED: "❓",
}
CLASSES = {
    Standing.SET: "setNode",
    Standing.UNSET: "neutralNode",
    Standing.BLOCKED: "neutralNode",
    Standing.COMPUTING: "computingNode",
    Standing.FAILED: "errorNode",
    Standing.ABANDONED: "errorNode",
}


def execution_diagram(
    state: State, graph: Graph, now: datetime, *, legend: bool = False, timestamp: bool = False
) -> str:
    """The diagram; without a newline at its end."""
    standings = {node.name: standing(state, graph, node, now) for node in graph.nodes}

    def box(node: Node) -> str:
        label = f'"{SIGNS[standings[node.name]]} {mermaid.node_text(node)}"'
        return f"[{label}]" if isinstance(node, InputNode) else f"[[{label}]]"

    title = f"'{graph.name}', version {graph.version}, {state.execution_id}"
    lines = mermaid.structure(graph, title, box)
    if legend:
        lines.append(LEGEND)
    if timestamp:
        lines += ["", "    %% Caption", f'    caption[/"Generated at {stamp(now)} UTC"/]']
    lines += ["", "    %% Styling"]
    lines += [f"    classDef {name} {style}" for name, style in STYLES.items()]
    lines += ["", "    %% Apply styles to nodes"]
    ids = mermaid.node_ids(graph)
    for name in STYLES:
        styled = [ids[n] for n, s in standings.items() if CLASSES[s] == name]
        if styled:
            lines.append(f"    class {','.join(reversed(styled))} {name}")
    return "\n".join(lines)


def standing(state: State, graph: Graph, node: Node, now: datetime) -> Standing:
    """Where a node stands: an input, or a step by its newest computation and its gate."""
    if not isinstance(node, Step):
        return Standing.SET if state.value_of(node).is_set else Standing.UNSET
    shown = shown_state(state, node.name)
    holds = reading_of(state, graph, now).evaluation.holds(node.gated_by)
    if shown in RUN:
        return RUN[shown]
    if shown == "success" and holds and state.value_of(node).is_set:
        return Standing.SET
    return Standing.UNSET if holds else Standing.BLOCKED
