"""The command that looks whether everything is well."""

import click
from rich.text import Text

from journey_async.cli.terminal import FAILED, UNAVAILABLE, Terminal, command, printable
from journey_async.client.doctor import Finding, judge
from journey_async.client.opening import EMBEDDED, VARIABLE
from journey_async.errors import DatabaseUnavailable, InvalidOptionError
from journey_async.store.examination import examine
from journey_async.store.sql import checked_schema

SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "bold red")}


@command("doctor")
@click.option("--strict", is_flag=True, help="Exit code 1 for warnings (!), too.")
async def doctor(terminal: Terminal, strict: bool) -> int:
    """Look whether everything is well, and say what to do where it is not.

    Connection, versions, whether the server takes writes, encoding, rights, indexes, pooler,
    timeouts, listener, clock, bloat, stuck work. Exit code 1 if there is a problem (✗), 5 if the
    database cannot be reached.
    """
    dsn = terminal.dsn
    if not dsn:
        raise InvalidOptionError(
            f"doctor wants the DSN of a database: pass --dsn, or set {VARIABLE}"
        )
    if dsn.startswith(EMBEDDED):
        raise InvalidOptionError("doctor looks at servers of your own, not at an embedded one")
    try:
        findings = judge(await examine(dsn, terminal.listen_dsn, checked_schema(terminal.schema)))
    except DatabaseUnavailable as error:
        advice = "look at the DSN, at the network, at pg_hba.conf, and whether the server runs"
        found = Finding(check="connection", state="problem", found=str(error), advice=advice)
        _show(terminal, [found])
        return UNAVAILABLE
    _show(terminal, findings)
    bad = {"problem", "warning"} if strict else {"problem"}
    return FAILED if any(finding.state in bad for finding in findings) else 0


def _show(terminal: Terminal, findings: list[Finding]) -> None:
    if terminal.as_json:
        for finding in findings:
            terminal.data(finding)
        return
    for finding in findings:
        sign, style = SIGNS[finding.state]
        line = Text.assemble((sign, style), f" {finding.check:13} {printable(finding.found)}")
        terminal.console.print(line, soft_wrap=True)
        if finding.advice is not None:
            advice = printable(finding.advice)
            terminal.console.print(Text(f"{'':16}→ {advice}"), soft_wrap=True)


COMMANDS = (doctor,)
