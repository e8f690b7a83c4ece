"""The command that serves the dashboard."""

import asyncio
import logging
import secrets
import signal
import socket
from contextlib import nullcontext
from urllib.parse import quote

import click

from journey_async.cli.terminal import Terminal, command
from journey_async.errors import InvalidOptionError

LINGER = 1  # seconds until who still looks is cut off: a page that is open never ends by itself


@command("dashboard")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8700, show_default=True)
@click.option("--writable", is_flag=True, help="With buttons that retry, abandon and archive.")
@click.option("--token", envvar="JOURNEY_DASHBOARD_TOKEN", help="Instead of one made by chance.")
async def dashboard(
    terminal: Terminal, host: str, port: int, writable: bool, token: str | None
) -> None:
    """Serve the dashboard, until SIGTERM or Ctrl-C; prints the address that lets you in.

    With --port 0 a free port is taken.
    """
    try:
        import uvicorn

        from journey_async.dashboard import dashboard as application
        from journey_async.dashboard import token_auth
    except ModuleNotFoundError as error:
        raise InvalidOptionError(
            f"{error}; the dashboard wants an extra: pip install 'journey-async[dashboard]'"
        ) from None
    token = token or secrets.token_urlsafe(24)
    async with terminal.journey() as journey:
        app = application(journey, auth=token_auth(token), read_only=not writable)
        config = uvicorn.Config(
            app,
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=LINGER,
        )
        server = uvicorn.Server(config)

        def stop() -> None:
            server.should_exit = True
            # that some are cut off is no news
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)

        # uvicorn's own handling would end the process before the Journey is closed
        server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        with _listening(host, port) as listening:
            url = _url(host, listening.getsockname()[1], token)
            terminal.say({"url": url}, f"the dashboard is at {url}")
            await server.serve(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    """A socket there; raises InvalidOptionError for an address that is not to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise InvalidOptionError(f"--host {host} --port {port}: {error}") from None


def _url(host: str, port: int, token: str) -> str:
    """The address that lets in; one of IPv6 stands in brackets."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/?token={quote(token, safe='')}"


COMMANDS = (dashboard,)
