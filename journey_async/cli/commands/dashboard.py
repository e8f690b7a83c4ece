"""The command that serves the dashboard."""

import secrets

import click

from journey_async.cli.terminal import Terminal, command
from journey_async.errors import InvalidOptionError


@command("dashboard")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, default=8700, show_default=True)
@click.option("--writable", is_flag=True, help="With buttons that retry, abandon and archive.")
@click.option("--token", envvar="JOURNEY_DASHBOARD_TOKEN", help="Instead of one made by chance.")
async def dashboard(
    terminal: Terminal, host: str, port: int, writable: bool, token: str | None
) -> None:
    """Serve the dashboard, until Ctrl-C; prints the address that lets you in."""
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
        config = uvicorn.Config(app, host=host, port=port, log_level="warning", lifespan="off")
        url = f"http://{host}:{port}/?token={token}"
        terminal.say({"url": url}, f"the dashboard is at {url}")
        await uvicorn.Server(config).serve()


COMMANDS = (dashboard,)
