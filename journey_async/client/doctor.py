"""Judges what was found about a database: what is well, what is not, and what to do about it."""

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

from journey_async.client.texts import compact
from journey_async.store.examination import OVERDUE, Facts

OLDEST_SERVER = 140000  # server_version_num
SLOW = 1.0  # seconds for a connection or a notification
SKEW = 5.0  # seconds between two clocks
LONG_TRANSACTION = 600.0  # seconds
SHORT_STATEMENT = 5.0  # seconds for a statement
SHORT_IDLENESS = 15.0  # seconds: connections that listen and show life are asked more often
CROWDED = 0.8  # of the connections that the server allows
DEAD_SHARE, DEAD_ROWS = 0.3, 10_000  # when a table counts as bloated


class Finding(BaseModel):
    """What one check found, and what to do if that is not well."""

    model_config = ConfigDict(frozen=True)

    check: str
    state: Literal["ok", "warning", "problem"]
    found: str
    advice: str | None = None


def judge(facts: Facts) -> list[Finding]:
    """A finding for each check, in the order in which one would look."""
    return [
        *_connection(facts),
        *_server(facts),
        *_rights(facts),
        *_schema(facts),
        *_listener(facts),
        *_clock(facts),
        *_upkeep(facts),
        *_stuck_work(facts),
    ]


def _ok(check: str, found: str) -> Finding:
    return Finding(check=check, state="ok", found=found)


def _warning(check: str, found: str, advice: str) -> Finding:
    return Finding(check=check, state="warning", found=found, advice=advice)


def _problem(check: str, found: str, advice: str) -> Finding:
    return Finding(check=check, state="problem", found=found, advice=advice)


def _connection(facts: Facts) -> Iterator[Finding]:
    took = f"connected in {facts.connected * 1000:.0f} ms"
    if facts.connected > SLOW:
        yield _warning("connection", took, "look at the network, at DNS, and at the server's load")
    else:
        yield _ok("connection", took)
    used, most = facts.server["connections"], facts.server["max_connections"]
    found = f"{used} of {most} in use"
    if used > CROWDED * most:
        advice = "raise max_connections, lower pool_size, or put a pooler in between"
        yield _warning("connections", found, advice)
    else:
        yield _ok("connections", found)


def _server(facts: Facts) -> Iterator[Finding]:
    version = f"PostgreSQL {facts.server['version']}"
    if facts.server["version_number"] < OLDEST_SERVER:
        yield _problem("server", version, "upgrade to PostgreSQL 14 or newer")
    else:
        yield _ok("server", version)
    if facts.takes_writes:
        yield _ok("writes", "are taken")
    elif facts.server["is_standby"]:
        advice = "give the primary's DSN; of several hosts target_session_attrs=primary finds it"
        yield _problem("writes", "this server is a standby, which takes none", advice)
    else:
        advice = "turn it off for this role and this database"
        yield _problem("writes", "default_transaction_read_only is on", advice)
    if facts.server["encoding"] != "UTF8":
        found = f"of the database: {facts.server['encoding']}"
        advice = "move to one in UTF8: texts that cannot be written in this one are refused"
        yield _warning("encoding", found, advice)
    yield from _timeouts(facts)
    lax = [name for name in ("fsync", "full_page_writes") if not facts.server[name]]
    lax += ["synchronous_commit"] * (facts.server["synchronous_commit"] == "off")
    if lax:
        advice = "turn it on: what was committed can be lost when the server crashes"
        yield _warning("durability", f"{', '.join(lax)} is off", advice)
    else:
        yield _ok("durability", "commits survive a crash of the server")


def _timeouts(facts: Facts) -> Iterator[Finding]:
    """Limits that the server sets for this role, in seconds; 0: none."""
    limits = {"statement_timeout": SHORT_STATEMENT, "idle_session_timeout": SHORT_IDLENESS}
    short = [name for name, least in limits.items() if 0 < facts.server[name] < least]
    for name in short:
        found = f"{name} is {facts.server[name]:g} s"
        yield _warning("timeouts", found, f"give this role {limits[name]:g} s or more")
    if not short:
        yield _ok("timeouts", "leave time enough")


def _rights(facts: Facts) -> Iterator[Finding]:
    lacks = [f"{', '.join(t['lacks'])} on {t['name']}" for t in facts.tables if t["lacks"]]
    if facts.server["may_use_schema"] is False:
        lacks = ["USAGE on the schema"]
    if lacks:
        found = f"this role lacks {'; '.join(lacks)}"
        yield _problem("rights", found, "grant what `journey sql grants --role ROLE` prints")
    hidden = [table["name"] for table in facts.tables if table["hides_rows"]]
    if hidden:
        found = f"row security hides rows of {', '.join(hidden)} from this role"
        yield _problem("rights", found, "disable it there, or give the role BYPASSRLS")
    if facts.tables and not lacks and not hidden:
        yield _ok("rights", "this role may read and write the tables")


def _schema(facts: Facts) -> Iterator[Finding]:
    if not facts.readable:
        return
    if facts.schema_error is not None:
        yield _problem("schema", facts.schema_error, "use the version of the package that made it")
        return
    if facts.missing_migrations:
        found = f"lacks {', '.join(facts.missing_migrations)}"
        yield _problem("schema", found, "run: journey migrate")
        return
    yield _ok("schema", "up to date")
    if facts.missing_indexes:
        found = f"missing or invalid: {', '.join(facts.missing_indexes)}"
        advice = "create them as `journey sql migrations` does, with CONCURRENTLY, or REINDEX them"
        yield _problem("indexes", found, advice)
    else:
        yield _ok("indexes", "all there, and valid")


def _listener(facts: Facts) -> Iterator[Finding]:
    if facts.behind_pooler:
        yield _ok("pooler", "the DSN leads through a transaction pooler")
    else:
        yield _ok("pooler", "none in between")
    if not facts.takes_writes:
        return
    if not facts.listens_directly:
        advice = "give a listen_dsn that leads past the pooler; processes poll every second now"
        yield _warning("listener", "notifications cannot be heard through the pooler", advice)
    elif facts.notified is None:
        advice = "look for something between here and the server that holds traffic back"
        yield _problem("listener", "a notification did not come back", advice)
    else:
        yield _ok("listener", f"a notification came back in {facts.notified * 1000:.0f} ms")


def _clock(facts: Facts) -> Iterator[Finding]:
    ahead = f"this machine is {abs(facts.skew):.1f} s {'ahead' if facts.skew > 0 else 'behind'}"
    if abs(facts.skew) > SKEW:
        advice = "synchronise both clocks; a Journey goes by the database's, your own code may not"
        yield _warning("clock", ahead, advice)
    else:
        yield _ok("clock", "agrees with the database's")


def _upkeep(facts: Facts) -> Iterator[Finding]:
    bloated = [
        f"{table['name']} ({compact(table['dead_rows'])} dead rows)"
        for table in facts.tables
        if table["dead_rows"] > DEAD_ROWS
        and table["dead_rows"] > DEAD_SHARE * (table["live_rows"] + table["dead_rows"])
    ]
    size = sum(table["bytes"] for table in facts.tables) / 1e6
    if not facts.server["autovacuum"]:
        yield _warning("bloat", "autovacuum is off", "turn it on, or VACUUM the tables regularly")
    elif bloated:
        advice = "let autovacuum come more often, look for long transactions, or VACUUM by hand"
        yield _warning("bloat", ", ".join(bloated), advice)
    else:
        yield _ok("bloat", f"none to speak of; {size:,.1f} MB in all")
    longest = facts.server["longest_transaction"] or 0.0
    found = f"the longest is {longest:.0f} s old"
    if longest > LONG_TRANSACTION:
        advice = "end it (pg_stat_activity, pg_terminate_backend): it keeps dead rows from going"
        yield _warning("transactions", found, advice)
    elif not facts.server["sees_all_sessions"]:
        advice = "to see those of other roles: GRANT pg_read_all_stats TO this role"
        yield Finding(
            check="transactions",
            state="ok",
            found=f"{found}; only this role's own can be seen",
            advice=advice,
        )
    else:
        yield _ok("transactions", found)


def _stuck_work(facts: Facts) -> Iterator[Finding]:
    work = facts.work
    if work is None:
        return
    found = f"{work['workers']} live, {work['computing']} computations run"
    if work["expired_workers"]:
        advice = "start a worker: it will take over what the dead ones left"
        yield _warning("workers", f"{found}; {work['expired_workers']} gone silent", advice)
    else:
        yield _ok("workers", found)
    graphs, example = ", ".join(work["overdue_graphs"]), work["overdue_example"]
    late = f"for more than {OVERDUE.total_seconds():.0f} s"
    stuck = [
        f"{work[key]} {what}"
        for key, what in (
            ("overdue_executions", f"executions of {graphs} due {late} (as {example})"),
            ("overdue_computations", f"computations past their deadline {late}"),
            ("orphans", "computations of workers that are gone"),
        )
        if work[key]
    ]
    if stuck:
        advice = "start a worker that has the code of these graphs: journey worker --app …"
        yield _problem("stuck work", "; ".join(stuck), advice)
    else:
        yield _ok("stuck work", "none")
