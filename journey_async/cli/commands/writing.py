"""Commands that change executions."""

from collections.abc import Sequence

import click
from rich.progress import track

from journey_async.cli.known import names_of, refuse_unknown
from journey_async.cli.parsing import parse_duration, parse_value, parse_values
from journey_async.cli.shapes import computation_data, execution_data
from journey_async.cli.terminal import Terminal, command
from journey_async.client.execution import Execution
from journey_async.client.journey import Journey
from journey_async.core.condition_parser import parse_condition
from journey_async.core.conditions import Condition, value
from journey_async.core.graph import Graph
from journey_async.core.values import Computation
from journey_async.errors import (
    ExecutionNotFound,
    GraphNotRegisteredError,
    InvalidOptionError,
    JourneyError,
)

PAGE = 500  # executions that are looked up at once


@command("start")
@click.argument("graph")
@click.argument("values", metavar="[NODE=VALUE]...", nargs=-1)
@click.option("--version", help="The graph's version; by default the one registered last.")
@click.option("--id", "execution_id", help="An id of your own; if it is there, it is left alone.")
async def start(
    terminal: Terminal,
    graph: str,
    values: tuple[str, ...],
    version: str | None,
    execution_id: str | None,
) -> None:
    """Start an execution of GRAPH, and print its id.

    Values are JSON where they are JSON, else texts: x=12 name=Mario. Of a singleton graph the
    live execution is found, and started if there is none.
    """
    given = parse_values(values)
    async with terminal.journey() as journey:
        found = await _graph(journey, graph, version)
        if found.singleton and execution_id is None:
            execution = await journey.find_or_start(found)
            if given:
                execution = await journey.set_values(execution, given)
        else:
            execution = await journey.start_execution(found, given, execution_id=execution_id)
    terminal.say(execution_data(execution), execution.id)


async def _graph(journey: Journey, name: str, version: str | None) -> Graph:
    """The code for a graph, if `--app` brought it, else its newest definition."""

    def fits(graph: Graph) -> bool:
        return graph.name == name and version in (None, graph.version)

    if (found := next(filter(fits, journey.own_graphs), None)) is not None:
        return found
    known = await journey.graphs()
    if (found := next(filter(fits, known), None)) is not None:
        return found
    raise GraphNotRegisteredError(
        name, version, known=names_of([*journey.own_graphs, *known], version)
    )


@command("set")
@click.argument("execution")
@click.argument("values", metavar="NODE=VALUE...", nargs=-1, required=True)
@click.option("--metadata", help="JSON, kept with the values.")
async def set_values(
    terminal: Terminal, execution: str, values: tuple[str, ...], metadata: str | None
) -> None:
    """Set inputs of EXECUTION: all or none of them.

    Values are JSON where they are JSON, else texts: x=12 name=Mario; '"12"' is a text.
    """
    given = parse_values(values)
    kept = None if metadata is None else parse_value(metadata)
    async with terminal.journey() as journey:
        _tell(terminal, await journey.set_values(execution, given, metadata=kept))


@command("unset")
@click.argument("execution")
@click.argument("nodes", nargs=-1, required=True)
async def unset(terminal: Terminal, execution: str, nodes: tuple[str, ...]) -> None:
    """Unset inputs of EXECUTION, and clear what depended on them."""
    async with terminal.journey() as journey:
        _tell(terminal, await journey.unset_value(execution, *nodes))


@command("archive")
@click.argument("executions", nargs=-1)
@click.option("--where", help="Instead of ids: archive all that meet a condition, as in list.")
@click.option("--graph", help="With --where: only of this graph.")
@click.option("--version", help="With --where and --graph: only of this version of it.")
async def archive(
    terminal: Terminal,
    executions: tuple[str, ...],
    where: str | None,
    graph: str | None,
    version: str | None,
) -> None:
    """Archive executions: they can be read, and nothing of them runs."""
    if bool(executions) is (where is not None):
        raise InvalidOptionError("archive wants ids of executions, or --where, and not both")
    if where is None and (graph, version) != (None, None):
        raise InvalidOptionError("--graph and --version go with --where; leave them out")
    async with terminal.journey() as journey:
        ids: Sequence[str] = executions
        if where is not None:
            ids = await _all_ids(journey, parse_condition(where), graph, version)
        archived = 0
        for execution in _progress(terminal, ids, "archiving"):
            try:
                found = await journey.archive(execution)
            except ExecutionNotFound:
                if where is None:
                    raise
                continue  # purged since it was found
            archived += 1
            _tell(terminal, found, quiet=where is not None)
    if where is not None and not terminal.as_json:
        terminal.text(f"{archived} archived")


async def _all_ids(
    journey: Journey, where: Condition, graph: str | None, version: str | None
) -> list[str]:
    """All that are found now: each page begins after an id, so that no change shifts it."""
    await refuse_unknown(journey, graph=graph, version=version, where=where)
    ids: list[str] = []
    while True:
        rest = where & (value("execution_id") > ids[-1]) if ids else where
        page = await journey.list_executions(
            graph_name=graph, graph_version=version, where=rest, order_by=["id"], limit=PAGE
        )
        ids += [execution.id for execution in page]
        if len(page) < PAGE:
            return ids


@command("unarchive")
@click.argument("executions", nargs=-1, required=True)
async def unarchive(terminal: Terminal, executions: tuple[str, ...]) -> None:
    """Carry on with archived executions."""
    async with terminal.journey() as journey:
        for execution in executions:
            _tell(terminal, await journey.unarchive(execution))


@command("purge")
@click.option("--older-than", required=True, help="Archived longer ago than this: 90d, 12h, 30m.")
async def purge(terminal: Terminal, older_than: str) -> None:
    """Delete for good what was archived long ago, with all that belongs to it."""
    age = parse_duration(older_than)
    async with terminal.journey() as journey:
        with terminal.errors.status("purging"):
            purged = await journey.purge(older_than=age)
    terminal.say({"purged": purged}, f"{purged} executions are gone")


@command("retry")
@click.argument("execution")
@click.argument("node")
async def retry(terminal: Terminal, execution: str, node: str) -> None:
    """Give NODE of EXECUTION one more attempt, whatever has been used up."""
    async with terminal.journey() as journey:
        before = await journey.load(execution, include_archived=True)
        after = await journey.retry_computation(execution, node)
    was, newest = (_newest(found, node) for found in (before, after))
    if newest is None:
        raise JourneyError(
            f"{node} is blocked and was not tried, but will be once its conditions hold; "
            f"`journey waiting {after.id} {node}` shows them"
        )
    if newest == was:
        raise JourneyError(f"{node} runs or is queued already; there is nothing to retry")
    _tell(terminal, after)


def _newest(execution: Execution, node: str) -> Computation | None:
    """The newest computation of a node; None if there was none, or it was withdrawn."""
    return next((found for found in execution.computations if found.node == node), None)


@command("abandon")
@click.argument("computation")
async def abandon(terminal: Terminal, computation: str) -> None:
    """Give up COMPUTATION, which is running; it is retried if attempts are left.

    Its id is that of `journey show`: EXECUTION:NODE:NUMBER.
    """
    async with terminal.journey() as journey:
        abandoned = await journey.abandon_computation(computation)
    terminal.say(computation_data(abandoned), f"{abandoned.id}: {abandoned.state}")


def _tell(terminal: Terminal, execution: Execution, *, quiet: bool = False) -> None:
    if terminal.as_json:
        terminal.data(execution_data(execution))
    elif not quiet:
        terminal.text(f"{execution.id} is at revision {execution.revision}")


def _progress(terminal: Terminal, ids: Sequence[str], what: str) -> Sequence[str]:
    if len(ids) < 2:
        return ids
    return track(ids, what, console=terminal.errors, transient=True)  # type: ignore[return-value]


COMMANDS = (start, set_values, unset, archive, unarchive, purge, retry, abandon)
