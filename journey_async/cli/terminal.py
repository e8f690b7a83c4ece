"""What every command shares: its options, its way to the database, its output, its exit code."""

import asyncio
import functools
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import click
from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.table import Table
from rich.text import Text

from journey_async.cli.application import load_application
from journey_async.client.journey import Journey
from journey_async.client.opening import EMBEDDED, VARIABLE
from journey_async.errors import (
    ComputationNotFound,
    DatabaseUnavailable,
    EmbeddedPostgresError,
    ExecutionNotFound,
    GraphError,
    GraphNotRegisteredError,
    InvalidOptionError,
    InvalidValueError,
    JourneyError,
    MigrationError,
    NotAnInputError,
    NotSetError,
    UnknownNodeError,
    WaitTimeout,
)

FAILED, USAGE, NOT_FOUND, TIMEOUT, UNAVAILABLE, INTERRUPTED = 1, 2, 3, 4, 5, 130

# The first that fits counts: a WaitTimeout is a NotSetError as well.
EXIT_CODES: Sequence[tuple[type[JourneyError], int]] = (
    (WaitTimeout, TIMEOUT),
    (ExecutionNotFound, NOT_FOUND),
    (ComputationNotFound, NOT_FOUND),
    (GraphNotRegisteredError, NOT_FOUND),
    (UnknownNodeError, NOT_FOUND),
    (NotSetError, NOT_FOUND),
    (DatabaseUnavailable, UNAVAILABLE),
    (MigrationError, UNAVAILABLE),
    (EmbeddedPostgresError, UNAVAILABLE),
    (InvalidOptionError, USAGE),
    (InvalidValueError, USAGE),
    (NotAnInputError, USAGE),
    (GraphError, USAGE),
)
SCHEMA = "journey"
WIDE = 100_000  # columns where nobody looks: nothing is cut or wrapped
# Control characters but for tab and newline, and those that turn the direction of what follows.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
PATIENCE = 5.0  # seconds for a database that cannot be reached: somebody sits and waits


@dataclass
class Terminal:
    """The options that every command has, and where its output goes."""

    dsn: str | None = None
    listen_dsn: str | None = None
    schema: str = SCHEMA
    app: str | None = None
    as_json: bool = False
    console: Console = field(default_factory=lambda: _console(sys.stdout.isatty()))
    errors: Console = field(default_factory=lambda: Console(stderr=True))

    @asynccontextmanager
    async def journey(self) -> AsyncIterator[Journey]:
        """A client that computes nothing, and migrates nothing but the usual schema of an embedded
        database: another one may be a typing mistake.
        """
        graphs = load_application(self.app).graphs if self.app else ()
        async with Journey(
            self.dsn,
            listen_dsn=self.listen_dsn,
            schema=self.schema,
            graphs=graphs,
            run_computations=False,
            migrate=self.schema == SCHEMA and (self.dsn or "").startswith(EMBEDDED),
            patience=PATIENCE,
        ) as journey:
            yield journey

    def data(self, data: object) -> None:
        """One line of JSON."""
        self.console.out(_json(to_jsonable_python(data), self.console), highlight=False)

    def text(self, text: str) -> None:
        """A text, never markup."""
        self.console.out(printable(text.removesuffix("\n")), highlight=False)

    def say(self, data: object, text: str) -> None:
        """The data where JSON is wanted, else the text."""
        if self.as_json:
            self.data(data)
        else:
            self.text(text)

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A table; its cells are texts, never markup."""
        table = Table(box=None, header_style="bold", pad_edge=False)
        for heading in headings:
            table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(str(cell))) for cell in row))
        self.console.print(table)

    def complain(self, error: JourneyError) -> None:
        """Say on standard error what was wrong."""
        if self.as_json:
            told = {"error": {"type": type(error).__name__, "message": str(error)}}
            self.errors.out(_json(told, self.errors), highlight=False)
        else:
            said = Text.assemble(("error: ", "bold red"), printable(str(error)))
            self.errors.print(said, soft_wrap=True)


def _json(data: object, console: Console) -> str:
    return printable(json.dumps(data, ensure_ascii=not console.encoding.startswith("utf")))


def printable(text: str) -> str:
    """The text with what would move the cursor, or do worse, escaped as in JSON.

    Values, names and errors are whatever somebody has sent to the application.
    """
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _console(is_terminal: bool) -> Console:
    return Console() if is_terminal else Console(width=WIDE, color_system=None)


def exit_code_of(error: JourneyError) -> int:
    """The exit code that tells a script what kind of error it was."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), FAILED)


# --- commands ---------------------------------------------------------------------------------

Body = Callable[..., Awaitable[int | None]]


def command(name: str) -> Callable[[Body], click.Command]:
    """Make a coroutine function a command.

    It is given a Terminal, and its own options and arguments by name; what it returns is the exit
    code (None: 0). A JourneyError is told in one sentence, and decides the exit code.
    """

    def decorate(body: Body) -> click.Command:
        @functools.wraps(body)
        def run(**arguments: Any) -> None:
            context = click.get_current_context()
            context.exit(_run(context.ensure_object(Terminal), body, arguments))

        made = click.command(name, short_help=_first_line(body))(run)
        made.params.extend(_shared_options())
        return made

    return decorate


def _run(terminal: Terminal, body: Body, arguments: dict[str, Any]) -> int:
    try:
        return asyncio.run(_interruptible(body(terminal, **arguments))) or 0
    except JourneyError as error:
        terminal.complain(error)
        return exit_code_of(error)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED


async def _interruptible(body: Awaitable[int | None]) -> int | None:
    """SIGTERM ends a command as Ctrl-C does: politely."""
    task = asyncio.current_task()
    assert task is not None
    with suppress(RuntimeError, NotImplementedError):  # not the main thread; Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await body


def _first_line(body: Body) -> str:
    return (body.__doc__ or "").partition("\n")[0].rstrip(".")


def _shared_options() -> list[click.Option]:
    """The options of all commands, which these do not see themselves."""

    def shared(*names: str, **settings: Any) -> click.Option:
        return click.Option(names, expose_value=False, callback=_remember, **settings)

    return [
        shared(
            "--dsn",
            envvar=VARIABLE,
            help=f"The database; by default that of {VARIABLE}.",
        ),
        shared(
            "--listen-dsn",
            envvar="JOURNEY_LISTEN_DATABASE_URL",
            help="The same past a pooler, if --dsn leads through one.",
        ),
        shared(
            "--schema",
            envvar="JOURNEY_SCHEMA",
            default=SCHEMA,
            show_default=True,
            help="The schema in which everything is.",
        ),
        shared(
            "--app",
            metavar="MODULE:NAME",
            help="Code of the application: a Journey, a graph, a list of graphs, or a function "
            "that gives one of these.",
        ),
        shared("--json", "as_json", is_flag=True, help="Print JSON, one document a line."),
    ]


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    assert parameter.name is not None
    setattr(context.ensure_object(Terminal), parameter.name, value)
    return value
