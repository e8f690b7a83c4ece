"""flow_analytics(): how far the executions of a graph get, and where they end."""

from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Any, Literal, get_args

from journey_async.client import options
from journey_async.client.status import Figures
from journey_async.client.texts import compact, rounded
from journey_async.core.pieces import each
from journey_async.core.values import NodeKind
from journey_async.engine.engine import Engine
from journey_async.errors import InvalidOptionError
from journey_async.store.breath import in_turn

Included = Literal["active", "archived", "all"]


class FlowExecutions(Figures):
    """The executions looked at; durations, from creation to the last update, in whole seconds."""

    count: int
    duration_median_seconds_to_last_update: int
    duration_avg_seconds_to_last_update: int


class FlowNode(Figures):
    """A node that is set in some of the executions.

    `average_time_to_reach` is in whole seconds, from an execution's creation until the node was
    set last. Percentages are of all executions, or of those that reached the node.
    """

    node_name: str
    node_type: NodeKind
    reached_count: int
    reached_percentage: float
    average_time_to_reach: int
    flow_ends_here_count: int
    flow_ends_here_percentage_of_all: float
    flow_ends_here_percentage_of_reached: float


class FlowNodes(Figures):
    """The nodes, the one most often reached first."""

    nodes: list[FlowNode]


class FlowAnalytics(Figures):
    """How far executions get; `analyzed_at` by ISO 8601, in UTC, to the microsecond."""

    graph_name: str
    graph_version: str
    analyzed_at: str
    executions: FlowExecutions
    node_stats: FlowNodes

    def to_text(self) -> str:
        """The figures for a person."""
        executions = self.executions
        header = (
            f"Graph: '{self.graph_name}'\n"
            f"Version: '{self.graph_version}'\n"
            f"Analyzed at: {self.analyzed_at}\n"
            "\nEXECUTION STATS:\n----------\n"
            f"Total executions: {compact(executions.count)}\n"
            f"Average duration: {_seconds(executions.duration_avg_seconds_to_last_update)}\n"
            f"Median duration: {_seconds(executions.duration_median_seconds_to_last_update)}\n"
        )
        nodes = self.node_stats.nodes
        if not nodes:
            return f"{header}\nNODE STATS: No nodes found.\n"
        texts = "\n".join(_node_text(node) for node in nodes)
        return f"{header}\nNODE STATS ({len(nodes)} nodes):\n----------\n{texts}"


async def flow_analytics(
    engine: Engine,
    graph_name: str,
    graph_version: str,
    *,
    include_executions: Included = "active",
    flow_ends_here_after: float = 86400,
) -> FlowAnalytics:
    """How far the executions of a graph get; of one that nobody knows there are none.

    An execution has ended at the node that was set last, once nothing was set for
    `flow_ends_here_after` seconds. Raises InvalidOptionError, DatabaseUnavailable.
    """
    for name, given in (("graph_name", graph_name), ("graph_version", graph_version)):
        options.storable_text(name, given)
    if include_executions not in get_args(Included):
        raise InvalidOptionError(
            f'include_executions must be "active", "archived" or "all", not {include_executions!r}'
        )
    quiet = options.seconds("flow_ends_here_after", flow_ends_here_after)
    now = engine.clock.now()
    try:
        ended_before = now - timedelta(seconds=quiet)
    except OverflowError:
        raise InvalidOptionError(f"flow_ends_here_after is too long ago: {quiet:g}") from None
    rows = await engine.patiently(
        lambda: engine.store.flow_figures(
            graph_name, graph_version, include_executions, ended_before
        )
    )
    together = rows[0]
    nodes = await in_turn(each(_node, [row for row in rows if row["node"] is not None]))
    return FlowAnalytics(
        graph_name=graph_name,
        graph_version=graph_version,
        analyzed_at=f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z",
        executions=FlowExecutions(
            count=together["executions"],
            duration_median_seconds_to_last_update=together["median_duration"],
            duration_avg_seconds_to_last_update=together["average_duration"],
        ),
        node_stats=FlowNodes(nodes=nodes),
    )


def _node(row: Mapping[str, Any]) -> FlowNode:
    executions, reached, ended = row["executions"], row["reached"], row["ended"]
    return FlowNode(
        node_name=row["node"],
        node_type=NodeKind(row["kind"]),
        reached_count=reached,
        reached_percentage=rounded(reached / executions * 100, 1),
        average_time_to_reach=row["average_seconds"],
        flow_ends_here_count=ended,
        flow_ends_here_percentage_of_all=rounded(ended / executions * 100, 1),
        flow_ends_here_percentage_of_reached=rounded(ended / reached * 100, 2),
    )


def _node_text(node: FlowNode) -> str:
    of_all = rounded(node.flow_ends_here_percentage_of_all, 1)
    of_reached = rounded(node.flow_ends_here_percentage_of_reached, 1)
    return (
        f"Node Name: '{node.node_name}'\n"
        f"Type: {node.node_type}\n"
        f"Reached by: {compact(node.reached_count)} executions"
        f" ({rounded(node.reached_percentage, 1)}%)\n"
        f"Average time to reach: {_seconds(node.average_time_to_reach)}\n"
        f"Flow ends here: {compact(node.flow_ends_here_count)} executions"
        f" ({of_all}% of all, {of_reached}% of reached)\n"
    )


def _seconds(number: int) -> str:
    return "1 second" if number == 1 else f"{number} seconds"
