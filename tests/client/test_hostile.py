"""Whatever texts a caller brings along are just texts, and all that is stored has a limit."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from journey_async import Graph, Journey, compute, input_node, value
from journey_async.errors import (
    ComputationNotFound,
    ExecutionNotFound,
    GraphError,
    InvalidOptionError,
    InvalidValueError,
    JourneyError,
    UnknownNodeError,
)
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
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


PLAIN = Graph("g", "v1", [input_node("x"), compute("y", ["x"], lambda values: "")])


def lines_of(graph: Graph) -> list[str]:
    """The diagram's lines: a name that breaks out of its label would make more of them."""
    return graph.to_mermaid().split("\n")


@pytest.fixture
async def journey(dsn: str) -> AsyncIterator[Journey]:
    """One for all examples."""
    async with Journey(dsn) as journey:
        yield journey


@pytest.fixture
async def other(dsn: str) -> AsyncIterator[Journey]:
    """A second one, which has to read what the first one wrote."""
    async with Journey(dsn, run_computations=False) as journey:
        yield journey


@given(st.lists(NAMES, min_size=4, max_size=4, unique=True), st.tuples(VALUES, VALUES, TEXTS))
@FEW
async def test_texts_everywhere_come_back_as_they_were(
    journey: Journey, other: Journey, names: list[str], values: tuple[Any, Any, str]
) -> None:
    name, version, node, step = names
    kept, metadata, text = values
    version = f"{version[:190]} {uuid4().hex[:8]}"  # examples are not to be taken for each other's
    graph = Graph(name, version, [input_node(node), compute(step, [node], lambda values: text)])
    execution = await journey.start_execution(graph)
    await journey.set_value(execution, node, kept, metadata=metadata)
    assert await journey.get_value(execution, step, settled=True) == text

    loaded = await other.load(execution.id)
    assert (loaded.graph_name, loaded.graph_version) == (name, version)
    assert (loaded.values[node].value, loaded.values[node].metadata) == (kept, metadata)
    assert loaded.values[step].value == text
    this: Any = {"graph_name": name, "graph_version": version}
    for found in (
        await other.list_executions(where=value(step) == text, **this),
        await other.list_executions(filter_by=[(step, "contains", text)], **this),
        await other.list_executions(order_by=[(node, "desc"), step], **this),
    ):
        assert [one.id for one in found] == [execution.id]
    assert await other.count_executions(where=value(step) == f"{text}x", **this) == 0

    assert step in await other.introspect(execution.id)
    assert node in await other.what_am_i_waiting_for(execution.id, step)
    assert step in await other.computation_status(execution.id, step)
    assert (await other.graphs())[0].name == name
    analytics = await other.flow_analytics(name, version)
    assert {one.node_name for one in analytics.node_stats.nodes} >= {node, step}
    assert len(lines_of(graph)) == len(lines_of(PLAIN))


@given(st.text() | TEXTS | st.from_regex(r"[A-Za-z0-9_-]{1,33}", fullmatch=True))
@FEW
def test_a_prefix_of_ids_holds_letters_digits_and_little_else(prefix: str) -> None:
    try:
        graph = Graph("g", "v1", [], execution_id_prefix=prefix)
    except GraphError:
        assert not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", prefix)
    else:
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,32}", graph.execution_id_prefix)


@given(TEXTS.filter(lambda text: len(text.encode()) <= 63 and not text.startswith("pg_")))
@example("\r")
@example("\n; SELECT 1; --")
@settings(FEW, max_examples=3)
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
async def test_no_text_is_an_execution_by_accident(other: Journey, text: str) -> None:
    for verb in VERBS:
        with pytest.raises((ExecutionNotFound, ComputationNotFound)):
            await verb(other, text)


@given(st.text() | TEXTS, st.text() | TEXTS)
@FEW
async def test_no_text_is_an_operator_a_direction_or_a_node_by_accident(
    other: Journey, text: str, node: str
) -> None:
    execution = await other.start_execution(one_input())
    attempts: list[Awaitable[Any]] = [
        other.list_executions(filter_by=[("x", f"{text} ", 1)]),
        other.list_executions(order_by=[("x", f"{text} ")]),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidOptionError):
            await attempt
    if node not in execution.values:
        with pytest.raises(UnknownNodeError):
            await other.set_value(execution, node, 1)
    try:
        await other.set_value(execution, "x", text)
    except InvalidValueError:
        assert "\0" in text or not text.isprintable()
    with suppress(InvalidOptionError):
        await other.list_executions(where=value("x") == "y", order_by=[node])


def test_a_graph_has_a_limited_number_of_nodes() -> None:
    with pytest.raises(JourneyError, match="at most 20000"):
        Graph("g", "v1", [input_node(f"x{n}") for n in range(20_001)])


async def test_values_and_metadata_have_a_limited_size(dsn: str) -> None:
    async with Journey(dsn, max_value_bytes=1000) as journey:
        execution = await journey.start_execution(one_input())
        for attempt in (
            journey.set_value(execution, "x", "y" * 1000),
            journey.set_value(execution, "x", 1, metadata="y" * 1000),
            journey.set_value(execution, "x", 1, metadata={"y" * 1000: 1}),
            journey.start_execution(one_input(), {"x": "y" * 1000}),
        ):
            with pytest.raises(InvalidValueError, match="max_value_bytes"):
                await attempt
        assert (await journey.load(execution)).revision == 0


async def test_values_and_metadata_have_a_limited_depth(dsn: str) -> None:
    deep: Any = 1
    for _ in range(101):
        deep = [deep]
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input(), {"x": deep[0]})
        for attempt in (
            journey.set_value(execution, "x", deep),
            journey.set_value(execution, "x", 1, metadata=deep),
        ):
            with pytest.raises(InvalidValueError, match="more than 100 levels deep"):
                await attempt
