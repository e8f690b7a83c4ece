"""Servers and DSNs that are not as they should be, and what is said of them."""

from typing import Any
from urllib.parse import quote

import pytest

from journey_async import Graph, Journey, Retry, compute, input_node, value
from journey_async.errors import ComputationFailed, DatabaseUnavailable, InvalidOptionError
from tests.support.encodings import latin1


def with_option(dsn: str, option: str) -> str:
    return f"{dsn}{'&' if '?' in dsn else '?'}{option}"


async def test_a_setting_of_the_dsn_that_is_none_is_told(direct_dsn: str) -> None:
    for setting in ("connect_timeout=3", "statement_timeout=secret"):
        with pytest.raises(InvalidOptionError, match="the DSN has a setting") as refused:
            async with Journey(with_option(direct_dsn, setting)):
                pass
        assert "secret" not in str(refused.value)


SETTINGS = {
    "TimeZone": "Asia/Kathmandu",
    "DateStyle": "German",
    "IntervalStyle": "sql_standard",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "extra_float_digits": "-10",
    "search_path": "pg_temp",
    "default_transaction_isolation": "serializable",
    "transform_null_equals": "on",
    "array_nulls": "off",
}


async def test_settings_of_a_role_do_not_matter(direct_dsn: str) -> None:
    odd = with_option(direct_dsn, "&".join(f"{name}={quote(s)}" for name, s in SETTINGS.items()))
    held = {"s": 'it\'s \\ "odd" 漢字', "f": 0.1 + 0.2, "n": 12345678901234567890, "none": None}
    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], lambda x: x)])
    async with Journey(odd, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": held})
        assert await journey.get_value(execution, "y", wait_any=True) == held
        written = await journey.load(execution)
    async with Journey(odd) as journey, Journey(direct_dsn) as usual:
        for reader in (journey, usual):
            assert (await reader.load(execution.id)).updated_at == written.updated_at
            assert await reader.values(execution.id) == await journey.values(execution.id)
            found = await reader.list_executions(where=value("x") == held)
            assert [one.id for one in found] == [execution.id]


async def test_a_server_that_is_read_only_is_told_apart(direct_dsn: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="target_session_attrs=primary"):
        async with Journey(with_option(direct_dsn, "default_transaction_read_only=on")):
            pass


async def test_a_result_that_the_database_cannot_hold_fails_its_attempt(
    direct_dsn: str, connection: Any
) -> None:
    def raises(x: int) -> None:
        raise ValueError("漢字")

    once = Retry(max_attempts=1)
    steps = [
        compute("returned", ["x"], lambda x: "漢字", retry=once),
        compute("raised", ["x"], raises, retry=once),
    ]
    graph = Graph("g", "v1", [input_node("x"), *steps])
    async with latin1(direct_dsn, connection) as dsn, Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        for node in ("returned", "raised"):
            with pytest.raises(ComputationFailed, match="refused the data"):
                await journey.get_value(execution.id, node, wait_any=True)
