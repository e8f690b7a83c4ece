"""The doctor: what is well, what is not, and what to do about it."""

import re
from typing import Any

import asyncpg
import pytest

from journey_async import Journey
from journey_async.store.sql import as_script
from tests.cli.conftest import Answer, Run
from tests.cli.graphs_of_a_shop import shop
from tests.support.encodings import latin1
from tests.support.roles import Role
from tests.support.routes import grant


def problems(answer: Answer) -> set[str]:
    return {finding["check"] for finding in answer.lines if finding["state"] == "problem"}


async def test_the_doctor_finds_a_healthy_system_well(dsn: str, journey: Run) -> None:
    async with Journey(dsn, graphs=[shop]):
        found = (await journey("doctor", "--json")).lines
    states = {finding["check"]: finding["state"] for finding in found}
    assert {check for check, state in states.items() if state == "problem"} == set()
    assert {"connection", "schema", "listener", "clock", "indexes", "bloat", "stuck work"} <= set(
        states
    )
    assert "✓ schema" in (await journey("doctor")).out


@pytest.mark.parametrize(
    "damage, check",
    [
        ("DROP INDEX journey.executions_wake", "indexes"),
        ("DELETE FROM journey.migrations", "schema"),
        (
            "INSERT INTO journey.executions "
            "SELECT 'EXEC1', 'g', 'v', 'h', 1, 0, t, t, NULL, t, t, 0, 0 "
            "FROM (SELECT now() - interval '1 hour' AS t) AS past",
            "stuck work",
        ),
    ],
)
async def test_the_doctor_finds_what_is_wrong_and_says_what_to_do(
    direct_dsn: str, journey: Run, damage: str, check: str
) -> None:
    connection = await asyncpg.connect(direct_dsn)
    try:
        await connection.execute(damage)
    finally:
        await connection.close()
    answer = await journey("doctor", "--json", "--dsn", direct_dsn, code=1)
    [problem] = [finding for finding in answer.lines if finding["state"] == "problem"]
    assert problem["check"] == check
    assert problem["advice"]


async def test_the_doctor_says_what_to_do_where_there_is_no_schema(
    empty_dsn: str, journey: Run
) -> None:
    answer = await journey("doctor", "--json", "--dsn", empty_dsn, code=1)
    [problem] = [finding for finding in answer.lines if finding["state"] == "problem"]
    assert (problem["check"], problem["advice"]) == ("schema", "run: journey migrate")


def granted() -> list[tuple[str, str]]:
    """The rights of sql/grants.sql on tables, each with its table."""
    script = as_script("grants", "journey", "somebody")
    grants = re.findall(r'GRANT ([A-Z, ]+) ON "journey"\.(\S+) TO', script)
    return [(right, table) for rights, table in grants for right in rights.split(", ")]


async def test_the_doctor_misses_each_right_that_is_granted(
    direct_dsn: str, journey: Run, role: Role, connection: Any
) -> None:
    dsn = role.dsn(direct_dsn)
    ungranted = await journey("doctor", "--json", "--dsn", dsn, code=1)
    assert problems(ungranted) == {"rights"}
    refused = await journey("migrate", "--check", "--dsn", dsn, code=5)
    assert "journey sql grants" in refused.err
    await grant(direct_dsn, role.name)
    await journey("doctor", "--dsn", dsn)
    for right, table in granted():
        name = f'journey.{table} FROM "{role.name}"'
        await connection.execute(f"REVOKE {right} ON {name}")
        answer = await journey("doctor", "--json", "--dsn", dsn, code=1)
        assert problems(answer) == {"rights"}
        assert any(f"{right} on {table.strip(chr(34))}" in f["found"] for f in answer.lines)
        await connection.execute(f"GRANT {right} ON {name.replace('FROM', 'TO')}")


async def test_a_role_that_sees_only_its_own_sessions_is_told_so(
    direct_dsn: str, journey: Run, role: Role, connection: Any
) -> None:
    await grant(direct_dsn, role.name)

    async def findings() -> dict[str, dict[str, Any]]:
        answer = await journey("doctor", "--json", "--dsn", role.dsn(direct_dsn))
        return {finding["check"]: finding for finding in answer.lines}

    found = await findings()
    assert int(found["connections"]["found"].split()[0]) >= 2  # the superuser's, too
    assert "only this role's own" in found["transactions"]["found"]
    assert "GRANT pg_read_all_stats" in found["transactions"]["advice"]
    await connection.execute(f'GRANT pg_read_all_stats TO "{role.name}"')
    assert "only" not in (await findings())["transactions"]["found"]


async def test_the_doctor_sees_that_rows_are_hidden(
    direct_dsn: str, journey: Run, role: Role, connection: Any
) -> None:
    await grant(direct_dsn, role.name)
    await connection.execute("ALTER TABLE journey.executions ENABLE ROW LEVEL SECURITY")
    answer = await journey("doctor", "--json", "--dsn", role.dsn(direct_dsn), code=1)
    assert problems(answer) == {"rights"}
    assert "hides rows of executions" in answer.out


async def test_the_doctor_sees_what_a_database_does_not_take(
    direct_dsn: str, journey: Run, connection: Any
) -> None:
    read_only = f"{direct_dsn}{'&' if '?' in direct_dsn else '?'}default_transaction_read_only=on"
    answer = await journey("doctor", "--json", "--dsn", read_only, code=1)
    assert problems(answer) == {"writes"}
    async with latin1(direct_dsn, connection) as dsn:
        await journey("migrate", "--dsn", dsn)
        answer = await journey("doctor", "--json", "--dsn", dsn)
        assert ("encoding", "warning") in {(f["check"], f["state"]) for f in answer.lines}


@pytest.mark.parametrize(
    ("setting", "is_short"),
    [
        ("statement_timeout=200ms", True),
        ("statement_timeout=1min", False),
        ("idle_session_timeout=3s", True),
    ],
)
async def test_the_doctor_warns_of_timeouts_that_are_too_short(
    direct_dsn: str, journey: Run, setting: str, is_short: bool
) -> None:
    dsn = f"{direct_dsn}{'&' if '?' in direct_dsn else '?'}{setting}"
    answer = await journey("doctor", "--json", "--dsn", dsn)
    [found] = [finding for finding in answer.lines if finding["check"] == "timeouts"]
    assert found["state"] == ("warning" if is_short else "ok")
    assert found["found"].startswith(setting.partition("=")[0]) is is_short
    if is_short:  # a warning counts for who asks for it
        await journey("doctor", "--strict", "--dsn", dsn, code=1)
