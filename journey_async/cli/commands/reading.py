"""Commands that look at one execution."""

from contextlib import aclosing
from typing import Any

import click
from pydantic_core import to_jsonable_python

from journey_async.cli.parsing import parse_values
from journey_async.cli.shapes import causes_data, computation_data, execution_data, node_data
from journey_async.cli.terminal import Terminal, command
from journey_async.client.execution import stored_values
from journey_async.client.texts import stamp, value_text

GLANCE = 200  # characters of a value in a table


@command("get")
@click.argument("execution")
@click.argument("node")
@click.option("--wait", is_flag=True, help="Wait until the node is set.")
@click.option("--wait-new", is_flag=True, help="Wait for a newer value than the present one.")
@click.option("--settled", is_flag=True, help="Wait until it reflects everything that was set.")
@click.option("--newer-than", type=int, metavar="REVISION", help="Wait for a later revision.")
@click.option("--timeout", type=float, default=30.0, show_default=True, help="Seconds.")
async def get(
    terminal: Terminal,
    *,
    execution: str,
    node: str,
    wait: bool,
    wait_new: bool,
    settled: bool,
    newer_than: int | None,
    timeout: float,
) -> None:
    """Print the value of NODE of EXECUTION, as JSON.

    Exit code 3 if it is not set, 4 if it was waited for in vain. With --json: the node with its
    revision, metadata and time.
    """
    async with terminal.journey() as journey:
        found = await journey.get_node(
            execution,
            node,
            wait_any=wait,
            wait_new=wait_new,
            settled=settled,
            newer_than=newer_than,
            timeout=timeout,
        )
    terminal.data(node_data(found) if terminal.as_json else found.value)


@command("values")
@click.argument("execution")
@click.option("--all", "unset_too", is_flag=True, help="Also the nodes that are not set.")
async def values(terminal: Terminal, execution: str, unset_too: bool) -> None:
    """Print the values of EXECUTION."""
    async with terminal.journey() as journey:
        loaded = await journey.load(execution, include_archived=True)
    nodes = [node for node in stored_values(loaded) if node.is_set or unset_too]
    if terminal.as_json:
        terminal.data({node.name: node_data(node) for node in nodes})
        return
    terminal.table(
        ["node", "revision", "value"],
        [[n.name, n.revision, glance(n.value) if n.is_set else "(not set)"] for n in nodes],
    )


@command("show")
@click.argument("execution")
@click.option("--mermaid", is_flag=True, help="As a Mermaid diagram.")
async def show(terminal: Terminal, execution: str, mermaid: bool) -> None:
    """Tell everything about EXECUTION, archived or not."""
    async with terminal.journey() as journey:
        if mermaid:
            drawn = await journey.mermaid(execution)
            terminal.say({"mermaid": drawn}, drawn)
        elif terminal.as_json:
            loaded = await journey.load(execution, include_archived=True)
            computations = await journey.computations(execution)
            terminal.data(
                execution_data(loaded)
                | {"nodes": [node_data(node) for node in stored_values(loaded)]}
                | {"computations": [computation_data(c) for c in computations]}
            )
        else:
            terminal.text(await journey.introspect(execution))


@command("waiting")
@click.argument("execution")
@click.argument("node")
async def waiting(terminal: Terminal, execution: str, node: str) -> None:
    """Tell what NODE of EXECUTION waits for."""
    async with terminal.journey() as journey:
        if terminal.as_json:
            terminal.data(await journey.blockers(execution, node))
            return
        conditions = await journey.what_am_i_waiting_for(execution, node)
        status = await journey.computation_status(execution, node)
    terminal.text(conditions)
    terminal.text(status)


@command("why")
@click.argument("execution")
@click.argument("node")
async def why(terminal: Terminal, execution: str, node: str) -> None:
    """Tell where the value of NODE came from, back to what callers set.

    Of a node that is not set: what it waits for.
    """
    async with terminal.journey() as journey:
        cause = await journey.why(execution, node)
    terminal.say(causes_data(cause), cause.to_text())


@command("preview")
@click.argument("execution")
@click.argument("values", metavar="[NODE=VALUE]...", nargs=-1)
@click.option("--unset", multiple=True, metavar="NODE", help="Unset this input.")
async def preview(
    terminal: Terminal, execution: str, values: tuple[str, ...], unset: tuple[str, ...]
) -> None:
    """Tell what would follow from setting and unsetting inputs; nothing is written."""
    given = parse_values(values)
    async with terminal.journey() as journey:
        found = await journey.preview(execution, set=given, unset=unset)
    terminal.say(found, found.to_text())


@command("watch")
@click.argument("execution")
@click.option("--node", "nodes", multiple=True, help="Only this node.")
@click.option("--since", type=int, metavar="REVISION", help="Also what happened after it.")
async def watch(
    terminal: Terminal, execution: str, nodes: tuple[str, ...], since: int | None
) -> None:
    """Tell what happens in EXECUTION, as it happens, until interrupted."""
    async with (
        terminal.journey() as journey,
        aclosing(journey.watch(execution, nodes=nodes or None, since_revision=since)) as events,
    ):
        async for event in events:
            if terminal.as_json:
                terminal.data(event)
            else:
                said = glance(event.value) if event.kind == "set" else event.error or ""
                terminal.text(f"{event.revision:6} {event.kind:10} {event.node or ''} {said}")


@command("history")
@click.argument("execution")
async def history(terminal: Terminal, execution: str) -> None:
    """Tell the values of EXECUTION and the computations that succeeded, by revision.

    What failed is told by `computations`.
    """
    async with terminal.journey() as journey:
        entries = await journey.history(execution)
    if terminal.as_json:
        terminal.data(entries)
        return
    terminal.table(
        ["revision", "node", "what", "value"],
        [
            [e.revision, e.node, e.kind, glance(e.value) if e.kind == "value" else ""]
            for e in entries
        ],
    )


@command("computations")
@click.argument("execution")
@click.argument("node", required=False)
async def computations(terminal: Terminal, execution: str, node: str | None) -> None:
    """List the computations of EXECUTION, or of one NODE of it, oldest first."""
    async with terminal.journey() as journey:
        found = await journey.computations(execution, node)
    if terminal.as_json:
        terminal.data([computation_data(computation) for computation in found])
        return
    terminal.table(
        ["id", "state", "attempt", "started", "completed", "error"],
        [
            [
                c.id,
                c.state,
                c.attempt,
                "" if c.started_at is None else stamp(c.started_at),
                "" if c.completed_at is None else stamp(c.completed_at),
                c.error or "",
            ]
            for c in found
        ],
    )


def glance(value: Any) -> str:
    """A value as JSON on one line, cut where it is long."""
    text = value_text(to_jsonable_python(value))
    return text if len(text) <= GLANCE else f"{text[: GLANCE - 1]}…"


COMMANDS = (get, values, show, why, waiting, preview, watch, history, computations)
