"""The command `journey` as a whole."""

import click

from journey_async.cli.commands import (
    dashboard,
    doctor,
    reading,
    schema,
    searching,
    worker,
    writing,
)

EPILOG = """\b
Exit codes: 0 done; 1 something failed, or is not well; 2 the call was wrong; 3 not found, or not
set; 4 what was waited for did not come in time; 5 no usable database.
"""


def build() -> click.Group:
    """The group of all commands."""
    group = click.Group(
        "journey",
        help="Durable reactive workflows on PostgreSQL, from the shell.",
        epilog=EPILOG,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    modules = (schema, worker, writing, reading, searching, doctor, dashboard)
    for module in modules:
        for command in module.COMMANDS:
            group.add_command(command)
    click.version_option(package_name="journey-async")(group)
    return group
