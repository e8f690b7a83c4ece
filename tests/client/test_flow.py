"""flow_analytics(): the figures, and the text to the letter."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from math import inf, nan
from typing import Any

import asyncpg
import pytest

from journey_async.client.flow import (
    FlowAnalytics,
    FlowExecutions,
    FlowNode,
    FlowNodes,
    flow_analytics,
)
from journey_async.core.graph import Graph
from journey_async.core.nodes import input_node
from journey_async.core.values import NodeKind, NodeValue
from journey_async.engine.engine import Engine
from journey_async.errors import InvalidOptionError
from tests.support.rows import NOW, add_graphs, add_states, cleared, held, reading_engine, state

GRAPH = Graph("g1", "v1", [input_node("x"), input_node("y"), input_node("z")])
DAY = timedelta(days=1)


@pytest.fixture
async def engine(dsn: str) -> AsyncIterator[Engine]:
    async with reading_engine(dsn) as engine:
        yield engine


def at(name: str, seconds: float, revision: int = 1, **given: Any) -> NodeValue:
    """A value set so many seconds before NOW."""
    return held(name, 1, set_time=NOW - timedelta(seconds=seconds), revision=revision, **given)


async def test_how_far_executions_get(engine: Engine, connection: asyncpg.Connection) -> None:
    old: dict[str, Any] = {
        "created_at": NOW - 2 * DAY,
        "updated_at": NOW - 2 * DAY + timedelta(seconds=3),
    }
    two_days = 2 * 86400
    await add_graphs(connection, GRAPH)
    await add_states(
        connection,
        [
            # ended at y, which shares its time with x and has the newer revision
            state("E1", GRAPH, [at("x", two_days - 3, 1), at("y", two_days - 3, 2)], **old),
            # ended at x: of two set by one call the first by name
            state("E2", GRAPH, [at("x", two_days - 2, 1), at("y", two_days - 2, 1)], **old),
            # not ended: something was set today, though another node long ago
            state("E3", GRAPH, [at("x", 10), at("y", two_days - 1, 5)], **old),
            # nothing set: never ends
            state("E4", GRAPH, [cleared("x")], **old),
            # not of those asked for
            state("E5", GRAPH, [at("z", two_days)], archived_at=NOW, **old),
            state("E6", values=[at("z", two_days)], **old),
        ],
    )
    found = await flow_analytics(engine, "g1", "v1")
    assert found == FlowAnalytics(
        graph_name="g1",
        graph_version="v1",
        analyzed_at="2026-04-23T05:52:45.500000Z",
        executions=FlowExecutions(
            count=4,
            duration_median_seconds_to_last_update=3,
            duration_avg_seconds_to_last_update=3,
        ),
        node_stats=FlowNodes(
            nodes=[
                FlowNode(
                    node_name="x",
                    node_type=NodeKind.INPUT,
                    reached_count=3,
                    reached_percentage=75.0,
                    average_time_to_reach=round((3 + 2 + two_days - 10) / 3),
                    flow_ends_here_count=1,
                    flow_ends_here_percentage_of_all=25.0,
                    flow_ends_here_percentage_of_reached=33.33,
                ),
                FlowNode(
                    node_name="y",
                    node_type=NodeKind.INPUT,
                    reached_count=3,
                    reached_percentage=75.0,
                    average_time_to_reach=2,
                    flow_ends_here_count=1,
                    flow_ends_here_percentage_of_all=25.0,
                    flow_ends_here_percentage_of_reached=33.33,
                ),
            ]
        ),
    )
    assert FlowAnalytics.model_validate(json.loads(found.model_dump_json())) == found
    archived = await flow_analytics(engine, "g1", "v1", include_executions="archived")
    assert (archived.executions.count, [n.node_name for n in archived.node_stats.nodes]) == (
        1,
        ["z"],
    )
    everything = await flow_analytics(engine, "g1", "v1", include_executions="all")
    assert everything.executions.count == 5
    assert [n.node_name for n in everything.node_stats.nodes] == ["x", "y", "z"]


async def test_when_a_flow_has_ended_is_an_option(
    engine: Engine, connection: asyncpg.Connection
) -> None:
    await add_graphs(connection, GRAPH)
    await add_states(
        connection, [state("E1", GRAPH, [at("x", 10)]), state("E2", GRAPH, [at("x", 0)])]
    )

    async def ended(after: float) -> int:
        found = await flow_analytics(engine, "g1", "v1", flow_ends_here_after=after)
        return found.node_stats.nodes[0].flow_ends_here_count

    assert [await ended(after) for after in (0, 9.999, 10, 86400)] == [1, 1, 0, 0]


async def test_durations_are_rounded_half_up(
    engine: Engine, connection: asyncpg.Connection
) -> None:
    await add_graphs(connection, GRAPH)
    await add_states(
        connection,
        [
            state(f"E{n}", GRAPH, updated_at=NOW, created_at=NOW - timedelta(seconds=seconds))
            for n, seconds in enumerate([1, 2, 3, 8.0])
        ],
    )
    found = (await flow_analytics(engine, "g1", "v1")).executions
    assert found.duration_median_seconds_to_last_update == 3  # 2.5
    assert found.duration_avg_seconds_to_last_update == 4  # 3.5


async def test_of_a_graph_that_nobody_knows_there_is_nothing(engine: Engine) -> None:
    found = await flow_analytics(engine, "'; --", "v1")
    assert found.executions == FlowExecutions(
        count=0, duration_median_seconds_to_last_update=0, duration_avg_seconds_to_last_update=0
    )
    assert found.node_stats.nodes == []
    assert found.to_text() == (
        """\
Graph: ''; --'
Version: 'v1'
Analyzed at: 2026-04-23T05:52:45.500000Z

EXECUTION STATS:
----------
Total executions: 0
Average duration: 0 seconds
Median duration: 0 seconds

NODE STATS: No nodes found.
"""
    )


@pytest.mark.parametrize(
    "arguments, options",
    [
        ((None, "v1"), {}),
        (("g1", 1), {}),
        (("g\0", "v1"), {}),
        (("g1", "\ud800"), {}),
        (("g1", "v1"), {"include_executions": "live"}),
        (("g1", "v1"), {"include_executions": ["all"]}),
        *((("g1", "v1"), {"flow_ends_here_after": bad}) for bad in (-1, nan, inf, "1", True, None)),
        *((("g1", "v1"), {"flow_ends_here_after": bad}) for bad in (1e300, 10**11)),
    ],
)
async def test_bad_options_are_refused(
    engine: Engine, arguments: tuple[Any, Any], options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidOptionError):
        await flow_analytics(engine, *arguments, **options)


def node(name: str, kind: NodeKind, reached: int, seconds: int, ended: int) -> FlowNode:
    return FlowNode(
        node_name=name,
        node_type=kind,
        reached_count=reached,
        reached_percentage=round(reached / 1234 * 100, 1),
        average_time_to_reach=seconds,
        flow_ends_here_count=ended,
        flow_ends_here_percentage_of_all=round(ended / 1234 * 100, 1),
        flow_ends_here_percentage_of_reached=round(ended / reached * 100, 2),
    )


def test_the_text() -> None:
    analytics = FlowAnalytics(
        graph_name="Test Graph",
        graph_version="v1.0.0",
        analyzed_at="2025-08-15T12:00:00Z",
        executions=FlowExecutions(
            count=1234,
            duration_median_seconds_to_last_update=0,
            duration_avg_seconds_to_last_update=45,
        ),
        node_stats=FlowNodes(
            nodes=[
                node("birth_date", NodeKind.INPUT, 800, 1, 400),
                node("credit_score", NodeKind.COMPUTE, 500, 2, 0),
            ]
        ),
    )
    assert analytics.to_text() == (
        """\
Graph: 'Test Graph'
Version: 'v1.0.0'
Analyzed at: 2025-08-15T12:00:00Z

EXECUTION STATS:
----------
Total executions: 1.2k
Average duration: 45 seconds
Median duration: 0 seconds

NODE STATS (2 nodes):
----------
Node Name: 'birth_date'
Type: input
Reached by: 800 executions (64.8%)
Average time to reach: 1 second
Flow ends here: 400 executions (32.4% of all, 50.0% of reached)

Node Name: 'credit_score'
Type: compute
Reached by: 500 executions (40.5%)
Average time to reach: 2 seconds
Flow ends here: 0 executions (0.0% of all, 0.0% of reached)
"""
    )
