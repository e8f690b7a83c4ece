"""Commands that look at many executions."""

import asyncio
import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal

import click
from rich.live import Live
from rich.text import Text

from journey_async.cli.commands.reading import glance
from journey_async.cli.known import names_of, refuse_unknown
from journey_async.cli.parsing import parse_duration, parse_order
from journey_async.cli.shapes import execution_data
from journey_async.cli.terminal import FAILED, Terminal, command, printable
from journey_async.client.execution import Execution, stored_values
from journey_async.client.texts import stamp
from journey_async.core.condition_parser import parse_condition
from journey_async.errors import GraphNotRegisteredError, InvalidOptionError

SHORTEST_PAUSE = 0.1  # seconds between two looks
BAR = 24  # characters of the longest bar
SEARCH = (
    click.option("--graph", help="Only executions of this graph."),
    click.option("--version", help="Only of this version of it."),
    click.option("--where", help="A condition on values: 'sum > 2 & provided(x)'."),
    click.option("--archived", is_flag=True, help="Archived ones, too."),
)


def _search_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(SEARCH):
        function = option(function)
    return function


def _search(
    graph: str | None, version: str | None, where: str | None, archived: bool
) -> dict[str, Any]:
    return {
        "graph_name": graph,
        "graph_version": version,
        "where": None if where is None else parse_condition(where),
        "include_archived": archived,
    }


@command("list")
@_search_options
@click.option(
    "--order-by",
    multiple=True,
    metavar="NAME[:desc]",
    default=("updated_at:desc",),
    show_default=True,
    help="A column (created_at, updated_at, id, …) or a node.",
)
@click.option("--show", "shown", multiple=True, metavar="NODE", help="Show this node's value.")
@click.option("--limit", type=int, default=50, show_default=True)
@click.option("--offset", type=int, default=0)
async def list_executions(
    terminal: Terminal,
    *,
    graph: str | None,
    version: str | None,
    where: str | None,
    archived: bool,
    order_by: tuple[str, ...],
    shown: tuple[str, ...],
    limit: int,
    offset: int,
) -> None:
    """List executions, those of a graph, or those whose values meet a condition.

    A condition reads as in Python: sum > 2, name contains "ari", state in ["new", "paid"],
    provided(x), is_true(ok), with & | ~ (or and, or, not) and brackets.
    """
    search, order = _search(graph, version, where, archived), parse_order(order_by)
    async with terminal.journey() as journey:
        nodes = (*shown, *(name for name, _ in order))
        await refuse_unknown(
            journey, graph=graph, version=version, where=search["where"], nodes=nodes
        )
        found = await journey.list_executions(**search, order_by=order, limit=limit, offset=offset)
    if terminal.as_json:
        for execution in found:
            terminal.data(execution_data(execution))
        return
    terminal.table(
        ["execution", "graph", "revision", "updated", *shown],
        [
            [e.id, f"{e.graph_name} {e.graph_version}", e.revision, _updated(e), *_cells(e, shown)]
            for e in found
        ],
    )


def _updated(execution: Execution) -> str:
    archived = " (archived)" if execution.archived_at is not None else ""
    return f"{stamp(execution.updated_at)}{archived}"


def _cells(execution: Execution, nodes: tuple[str, ...]) -> list[str]:
    held = {node.name: node for node in stored_values(execution)}
    found = [held.get(node) for node in nodes]
    return [glance(node.value) if node is not None and node.is_set else "" for node in found]


@command("count")
@_search_options
async def count(
    terminal: Terminal, graph: str | None, version: str | None, where: str | None, archived: bool
) -> None:
    """Count executions, as `list` would find them."""
    search = _search(graph, version, where, archived)
    async with terminal.journey() as journey:
        await refuse_unknown(journey, graph=graph, version=version, where=search["where"])
        found = await journey.count_executions(**search)
    terminal.say({"count": found}, str(found))


@command("graphs")
@click.option("--mermaid", metavar="GRAPH", help="Draw this one, as a Mermaid diagram.")
async def graphs(terminal: Terminal, mermaid: str | None) -> None:
    """List the graphs that were ever registered, the last one first."""
    async with terminal.journey() as journey:
        known = await journey.graphs()
    if mermaid is not None:
        for graph in known:
            if graph.name == mermaid:
                terminal.say({"mermaid": graph.to_mermaid()}, graph.to_mermaid())
                return
        raise GraphNotRegisteredError(mermaid, None, known=names_of(known))
    if terminal.as_json:
        for graph in known:
            terminal.data(graph.model_dump(mode="json"))
        return
    terminal.table(
        ["graph", "version", "inputs", "steps"],
        [[g.name, g.version, ", ".join(g.inputs), ", ".join(g.steps)] for g in known],
    )


@command("status")
@click.option("--watch", is_flag=True, help="Show it anew, again and again, until interrupted.")
@click.option(
    "--every",
    type=click.FloatRange(min=SHORTEST_PAUSE),
    default=2.0,
    show_default=True,
    help="Seconds, with --watch.",
)
async def status(terminal: Terminal, watch: bool, every: float) -> int:
    """Tell how many executions and computations there are, by graph.

    Exit code 1 if the system is not healthy.
    """
    if not math.isfinite(every):  # nan is in each range
        raise InvalidOptionError(f"--every wants seconds, not {every}")
    async with terminal.journey() as journey:
        found = await journey.status()
        if not watch:
            terminal.say(found, found.to_text())
            return 0 if found.status == "healthy" else FAILED
        if terminal.as_json:
            while True:
                terminal.data(found)
                await asyncio.sleep(every)
                found = await journey.status()
        with Live(
            Text(printable(found.to_text())), console=terminal.console, auto_refresh=False
        ) as live:
            while True:
                await asyncio.sleep(every)
                found = await journey.status()
                live.update(Text(printable(found.to_text())), refresh=True)


@command("funnel")
@click.argument("graph")
@click.argument("version")
@click.option(
    "--executions",
    type=click.Choice(["active", "archived", "all"]),
    default="active",
    show_default=True,
)
@click.option(
    "--ends-after",
    default="1d",
    show_default=True,
    help="An execution not updated for so long has ended where it is.",
)
@click.option("--chart", is_flag=True, help="Bars instead of figures.")
async def funnel(
    terminal: Terminal,
    *,
    graph: str,
    version: str,
    executions: Literal["active", "archived", "all"],
    ends_after: str,
    chart: bool,
) -> None:
    """Tell how far the executions of a graph get, and where they end."""
    after: timedelta = parse_duration(ends_after)
    async with terminal.journey() as journey:
        await refuse_unknown(journey, graph=graph, version=version)
        found = await journey.flow_analytics(
            graph,
            version,
            include_executions=executions,
            flow_ends_here_after=after.total_seconds(),
        )
    if not chart or terminal.as_json:
        terminal.say(found, found.to_text())
        return
    terminal.table(
        ["node", "reached", "", "end here"],
        [
            [
                node.node_name,
                node.reached_count,
                f"{'█' * round(BAR * node.reached_percentage / 100):{BAR}} "
                f"{node.reached_percentage:.1f} %",
                f"{node.flow_ends_here_count} ({node.flow_ends_here_percentage_of_all:.1f} %)",
            ]
            for node in found.node_stats.nodes
        ],
    )


COMMANDS = (list_executions, count, graphs, status, funnel)
