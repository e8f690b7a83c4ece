"""The command that computes."""

import asyncio
import gc
import logging
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import click

from journey_async.cli.application import Application, load_application
from journey_async.cli.terminal import Terminal, command
from journey_async.client.journey import Journey
from journey_async.engine.instrumentation import Instrumentation
from journey_async.errors import InvalidOptionError

YOUNG = 5_000  # new objects until the collector looks through them; by itself it waits for 700


@command("worker")
@click.option("--concurrency", type=int, default=100, show_default=True, help="Functions at once.")
@click.option("--log-level", default="INFO", show_default=True)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    help="Serve metrics for Prometheus on this port.",
)
@click.option("--metrics-host", default="127.0.0.1", show_default=True)
async def worker(
    terminal: Terminal,
    concurrency: int,
    log_level: str,
    metrics_port: int | None,
    metrics_host: str,
) -> None:
    """Compute what there is to compute, until SIGTERM or Ctrl-C.

    --app names the code: a Journey, which is opened as it is, or graphs, for which --dsn, --schema
    and --concurrency count. A function that runs gets the Journey's grace period to end.
    --metrics-port wants the extra `telemetry`, and of a Journey an instrumentation.
    """
    if terminal.app is None:
        raise InvalidOptionError("worker wants --app MODULE:NAME: the code that it is to run")
    if log_level.upper() not in logging.getLevelNamesMapping():
        raise InvalidOptionError(f"--log-level is DEBUG, INFO, WARNING or ERROR, not {log_level!r}")
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(message)s")
    application = load_application(terminal.app)
    with ExitStack() as stack:
        instrumentation, address = None, None
        if metrics_port is not None:
            instrumentation = _instrumentation(application)
            address = _served(stack, metrics_port, metrics_host)
        journey = application.journey or Journey(
            terminal.dsn,
            listen_dsn=terminal.listen_dsn,
            schema=terminal.schema,
            graphs=application.graphs,
            max_concurrency=concurrency,
            instrumentation=instrumentation,
        )
        await _work(terminal, application, journey, address)


async def _work(
    terminal: Terminal, application: Application, journey: Journey, metrics: str | None
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with journey:
        _collect_less_often()
        names = sorted(f"{graph.name} {graph.version}" for graph in application.graphs)
        told = f"; metrics at {metrics}" if metrics else ""
        data = {"ready": names} | ({"metrics": metrics} if metrics else {})
        terminal.say(data, f"ready for {', '.join(names)}{told}")
        await stop.wait()
        terminal.errors.print("stopping: functions that run may end first")


def _collect_less_often() -> None:
    """What the cyclic collector looks through again and again is mostly not garbage.

    To leave out what is imported gives a tenth of the throughput back, to look a seventh as often
    at what has come since as much again, where many executions are cached (docs/performance.md).
    """
    gc.freeze()
    young, *older = gc.get_threshold()
    if young:  # else the application has turned it off
        gc.set_threshold(max(young, YOUNG), *older)


def _instrumentation(application: Application) -> Instrumentation:
    """What measures; a Journey of the application's own must bring its own."""
    with _extra_wanted():
        from journey_async.contrib.opentelemetry import OpenTelemetry
    if application.journey is not None and application.journey.instrumentation is None:
        raise InvalidOptionError(
            "--metrics-port wants a Journey that measures: Journey(…, "
            "instrumentation=journey_async.contrib.opentelemetry.OpenTelemetry())"
        )
    return OpenTelemetry()


def _served(stack: ExitStack, port: int, host: str) -> str:
    """The address at which metrics are served for as long as `stack` is open."""
    with _extra_wanted():
        from journey_async.contrib.prometheus import serving_metrics
    try:
        return stack.enter_context(serving_metrics(port, host))
    except OSError as error:
        raise InvalidOptionError(f"--metrics-port {port}: {error}") from None


@contextmanager
def _extra_wanted() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise InvalidOptionError(
            f"{error}; metrics want an extra: pip install 'journey-async[telemetry]'"
        ) from None


COMMANDS = (worker,)
