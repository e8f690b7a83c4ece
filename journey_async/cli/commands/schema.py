"""Commands about the schema: bringing it up to date, printing its SQL."""

from contextlib import AsyncExitStack

import click

from journey_async.cli.terminal import Terminal, command
from journey_async.client.opening import resolved
from journey_async.store import migrations
from journey_async.store.connecting import connect
from journey_async.store.sql import as_script, checked_schema


@command("migrate")
@click.option("--check", is_flag=True, help="Apply nothing; exit code 1 if something is missing.")
async def migrate(terminal: Terminal, check: bool) -> int:
    """Bring the schema up to date.

    Any number of processes may do so at once. Wants a role that may create the schema.
    """
    schema = checked_schema(terminal.schema)
    async with AsyncExitStack() as stack:
        dsn = await resolved(stack, terminal.listen_dsn or terminal.dsn)
        connection = await connect(dsn)
        stack.callback(connection.terminate)
        find = migrations.pending if check else migrations.migrate
        found = await find(connection, schema)
    data = {"schema": schema, "missing" if check else "applied": [m.number for m in found]}
    said = "\n".join(
        f"{'missing' if check else 'applied'}: {m.number:04} {m.name.replace('_', ' ')}"
        for m in found
    )
    terminal.say(data, said or f"schema {schema!r} is up to date")
    return int(check and bool(found))


SQL_FILES = {
    "schema": "schema",
    "grants": "grants",
    "grants-migrating": "grants_migrating",
    "recount": "recount",
}


@command("sql")
@click.argument("what", type=click.Choice(["migrations", *SQL_FILES]), default="migrations")
@click.option("--role", default="journey", show_default=True, help="Who gets the grants.")
async def sql(terminal: Terminal, what: str, role: str) -> None:
    """Print SQL, for those who migrate by their own tools.

    migrations: everything in one transaction, with the records that `migrate` would leave;
    schema: the tables, to read; grants: what an application's role needs;
    grants-migrating: what a role needs that migrates; recount: counts anew what status tells,
    after rows were changed by hand.
    """
    schema = checked_schema(terminal.schema)
    if what == "migrations":
        text = migrations.as_script(schema)
    else:
        text = as_script(SQL_FILES[what], schema, role)
    terminal.say({"sql": text}, text)


COMMANDS = (migrate, sql)
