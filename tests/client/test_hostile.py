"""Whatever texts a caller brings along are just texts, and what is secret stays so."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from journey_async import Graph, Journey, compute, input_node, value
from journey_async.errors import (
    ComputationNotFound,
    DatabaseUnavailable,
    ExecutionNotFound,
    InvalidOptionError,
    InvalidValueError,
    JourneyError,
    UnknownNodeError,
)
from journey_async.store.channels import Channels
from tests.support.graphs import one_input

ATTACKS = st.sampled_from(
    [
        "'; DROP TABLE journey.executions; --",
        '"; DROP SCHEMA journey CASCADE; --',
        "x' OR '1'='1",
        "$1",
        "%s %(x)s {0} {x}",
        ':"schema"',
        "\\",
        "E'\\000'",
        "/* */ -- ;",
        "<script>alert(1)</script>",
        "../../etc/passwd",
        "\u202e\u2066 \ufeff\u00a0",
        "line\nbreak\ttab\r",
        "\r; DROP TABLE journey.executions; --",
        "NULL",
        "ſ",  # what lower() and upper() disagree about
    ]
)
TEXTS = st.one_of(
    ATTACKS, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
)
NAMES = TEXTS.map(lambda text: text[:200])
VALUES = st.recursive(
    TEXTS | st.integers(-(2**70), 2**70) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
FEW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(st.lists(NAMES, min_size=4, max_size=4, unique=True), VALUES, VALUES, TEXTS)
@FEW
async def test_texts_everywhere_come_back_as_they_were(
    dsn: str, names: list[str], given_value: Any, metadata: Any, text: str
) -> None:
    name, version, node, step = names
    graph = Graph(name, version, [input_node(node), compute(step, [node], lambda values: text)])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        await journey.set_value(execution, node, given_value, metadata=metadata)
        assert await journey.get_value(execution, step, settled=True) == text
        async with Journey(dsn, run_computations=False) as other:
            loaded = await other.load(execution.id)
            assert (loaded.graph_name, loaded.graph_version) == (name, version)
            assert loaded.values[node].value == given_value
            assert loaded.values[node].metadata == metadata
            assert loaded.values[step].value == text
            for found in (
                await other.list_executions(where=value(step) == text, graph_name=name),
                await other.list_executions(filter_by=[(step, "contains", text)]),
                await other.list_executions(
                    graph_name=name, graph_version=version, order_by=[(node, "desc"), step]
                ),
            ):
                assert execution.id in [one.id for one in found]
            none = await other.count_executions(where=value(step) == f"{text}x", graph_name=name)
            assert none == 0
            assert step in await other.introspect(execution.id)
            assert (await other.graphs())[0].name == name


@given(TEXTS.filter(lambda text: len(text.encode()) <= 63 and not text.startswith("pg_")))
@example("\r")
@example("\n; SELECT 1; --")
@settings(FEW, max_examples=6)
async def test_any_text_can_be_the_schemas_name(empty_dsn: str, schema: str) -> None:
    async with Journey(empty_dsn, schema=schema) as journey:
        execution = await journey.start_execution(one_input(), {"x": schema})
        assert await journey.get_value(execution.id, "x") == schema


VERBS: list[Callable[[Journey, str], Awaitable[Any]]] = [
    lambda journey, text: journey.load(text),
    lambda journey, text: journey.set_value(text, "x", 1),
    lambda journey, text: journey.unset_value(text, "x"),
    lambda journey, text: journey.get_value(text, "x"),
    lambda journey, text: journey.values(text),
    lambda journey, text: journey.history(text),
    lambda journey, text: journey.introspect(text),
    lambda journey, text: journey.archive(text),
    lambda journey, text: journey.unarchive(text),
    lambda journey, text: journey.retry_computation(text, "x"),
    lambda journey, text: journey.abandon_computation(text),
    lambda journey, text: journey.abandon_computation(f"EXEC1:{text}:1"),
]


@given(st.text() | TEXTS)
@FEW
async def test_no_text_is_an_execution_by_accident(dsn: str, text: str) -> None:
    async with Journey(dsn, run_computations=False) as journey:
        for verb in VERBS:
            with pytest.raises((ExecutionNotFound, ComputationNotFound)):
                await verb(journey, text)


@given(st.text() | TEXTS, st.text() | TEXTS)
@FEW
async def test_no_text_is_an_operator_a_direction_or_a_node_by_accident(
    dsn: str, text: str, node: str
) -> None:
    async with Journey(dsn, run_computations=False) as journey:
        execution = await journey.start_execution(one_input())
        attempts: list[Awaitable[Any]] = [
            journey.list_executions(filter_by=[("x", f"{text} ", 1)]),
            journey.list_executions(order_by=[("x", f"{text} ")]),
        ]
        for attempt in attempts:
            with pytest.raises(InvalidOptionError):
                await attempt
        if node not in execution.values:
            with pytest.raises(UnknownNodeError):
                await journey.set_value(execution, node, 1)
        try:
            await journey.set_value(execution, "x", text)
        except InvalidValueError:
            assert "\0" in text or not text.isprintable()
        with suppress(InvalidOptionError):
            await journey.list_executions(where=value("x") == "y", order_by=[node])


async def test_values_are_in_no_notification_and_no_log(
    direct_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "the-password-of-a-customer"
    heard: list[str] = []

    def fails(x: str) -> None:
        raise ValueError("for some reason")

    graph = Graph(
        "g",
        "v1",
        [input_node("x", type=str), compute("y", ["x"], fails), input_node("n", type=int)],
    )
    channels = Channels.of("journey")
    listener = await asyncpg.connect(direct_dsn)
    for channel in (channels.changed, channels.due, channels.joined):
        await listener.add_listener(channel, lambda *args: heard.append(str(args[3])))
    with caplog.at_level(logging.DEBUG, logger="journey_async"):
        async with Journey(direct_dsn, graphs=[graph]) as journey:
            execution = await journey.start_execution(graph, {"x": secret})
            with pytest.raises(InvalidValueError) as refused:
                await journey.set_value(execution, "n", secret)
            assert secret not in str(refused.value)
            with pytest.raises(JourneyError) as failed:
                await journey.get_value(execution, "y", wait_any=True)
            assert secret not in str(failed.value)
            await journey.set_value(execution, "x", f"{secret} again", metadata={"m": secret})
    await listener.execute("SELECT 1")
    await listener.close()
    assert heard
    assert secret not in json.dumps(heard)
    assert secret not in caplog.text


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://user:s3cr3t-w0rd@127.0.0.1:1/nowhere",
        "postgresql://user:s3cr3t-w0rd@[::1/nowhere",
        "postgresql://user:s3cr3t-w0rd@127.0.0.1:port/nowhere",
        "postgresql://user:s3cr3t-w0rd@/nowhere?sslmode=perhaps",
        "postgres://user@127.0.0.1:1/nowhere?password=s3cr3t-w0rd",
        "mysql://user:s3cr3t-w0rd@127.0.0.1/nowhere",
    ],
)
async def test_a_password_is_in_no_error_and_no_log(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    journey = Journey(dsn, patience=0.1)
    assert "s3cr3t" not in repr(journey)
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises((DatabaseUnavailable, InvalidOptionError)) as raised,
    ):
        async with asyncio.timeout(30):
            await journey.__aenter__()
    error: BaseException | None = raised.value
    while error is not None:
        assert "s3cr3t" not in f"{error!r} {error}"
        error = error.__cause__
    assert "s3cr3t" not in caplog.text


def test_a_graph_has_a_limited_number_of_nodes() -> None:
    with pytest.raises(JourneyError, match="at most 20000"):
        Graph("g", "v1", [input_node(f"x{n}") for n in range(20_001)])


async def test_values_and_metadata_have_a_limited_size(dsn: str) -> None:
    async with Journey(dsn, max_value_bytes=1000) as journey:
        execution = await journey.start_execution(one_input())
        for attempt in (
            journey.set_value(execution, "x", "y" * 1000),
            journey.set_value(execution, "x", 1, metadata="y" * 1000),
            journey.start_execution(one_input(), {"x": "y" * 1000}),
        ):
            with pytest.raises(InvalidValueError, match="max_value_bytes"):
                await attempt
        assert (await journey.load(execution)).revision == 0
