"""The command that computes."""

import asyncio
import logging
import signal

import click

from journey_async.cli.application import load_application
from journey_async.cli.terminal import Terminal, command
from journey_async.client.journey import Journey
from journey_async.errors import InvalidOptionError


@command("worker")
@click.option("--concurrency", type=int, default=100, show_default=True, help="Functions at once.")
@click.option("--log-level", default="INFO", show_default=True)
async def worker(terminal: Terminal, concurrency: int, log_level: str) -> None:
    """Compute what there is to compute, until SIGTERM or Ctrl-C.

    --app names the code: a Journey, which is opened as it is, or graphs, for which --dsn, --schema
    and --concurrency count. A function that runs gets the Journey's grace period to end.
    """
    if terminal.app is None:
        raise InvalidOptionError("worker wants --app MODULE:NAME: the code that it is to run")
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(message)s")
    application = load_application(terminal.app)
    journey = application.journey or Journey(
        terminal.dsn,
        listen_dsn=terminal.listen_dsn,
        schema=terminal.schema,
        graphs=application.graphs,
        max_concurrency=concurrency,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with journey:
        names = sorted(f"{graph.name} {graph.version}" for graph in application.graphs)
        terminal.say({"ready": names}, f"ready for {', '.join(names)}")
        await stop.wait()
        terminal.errors.print("stopping: functions that run may end first")


COMMANDS = (worker,)
