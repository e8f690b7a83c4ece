"""status(): the figures, what waits, and the text to the letter."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journey_async.client.status import (
    ComputationCounts,
    ExecutionCounts,
    GraphStats,
    GraphStatus,
    SystemStatus,
    status,
)
from journey_async.client.texts import compact
from journey_async.core.graph import Graph
from journey_async.core.nodes import compute, input_node
from journey_async.core.state import shown_state
from journey_async.core.values import Computation, NodeKind, NodeValue
from journey_async.engine.engine import Engine
from tests.support.rows import (
    NOW,
    add_graphs,
    add_states,
    cleared,
    computation,
    held,
    reading_engine,
    remove_all,
    state,
)


def work(values: dict[str, object]) -> None:
    """What a step of these graphs does."""


GRAPH = Graph(
    "g1",
    "v1",
    [input_node("x"), compute("sum", ["x"], work), compute("alert", ["sum"], work)],
)
LATER = Graph(
    "g1",
    "v1",
    [input_node("x"), compute("sum", ["x"], work)],
)


@pytest.fixture
async def engine(dsn: str) -> AsyncIterator[Engine]:
    async with reading_engine(dsn) as engine:
        yield engine


def runs(execution_id: str, node: str, *states: str) -> list[Computation]:
    return [
        computation(execution_id, node, name, number=number, revision_at_completion=number * 2)
        for number, name in enumerate(states, start=1)
    ]


async def test_a_step_that_was_cleared_waits_again(
    engine: Engine, connection: asyncpg.Connection
) -> None:
    await add_graphs(connection, GRAPH)
    values = [
        held("x", 1),
        held("sum", 3, kind=NodeKind.COMPUTE),
        cleared("alert", kind=NodeKind.COMPUTE, revision=13),
    ]
    computations = [
        *runs("E1", "sum", "success", "success", "success"),
        *runs("E1", "alert", "success"),
    ]
    await add_states(connection, [state("E1", GRAPH, values)], computations)
    found = await status(engine)
    assert found.model_dump(mode="json") == {
        "status": "healthy",
        "database_connected": True,
        "graphs": [
            {
                "graph_name": "g1",
                "graph_version": "v1",
                "stats": {
                    "executions": {
                        "active": 1,
                        "archived": 0,
                        "first_created": "2026-04-23T05:51:45Z",
                        "most_recently_created": "2026-04-23T05:51:45Z",
                        "most_recently_updated": "2026-04-23T05:52:45Z",
                    },
                    "computations": {
                        "by_state": {
                            "success": 4,
                            "failed": 0,
                            "computing": 0,
                            "not_set": 1,
                            "abandoned": 0,
                            "cancelled": 0,
                        },
                        "most_recently_created": "2026-04-23T05:52:45Z",
                        "most_recently_updated": "2026-04-23T05:52:45Z",
                    },
                },
            }
        ],
    }
    assert found.to_text() == (
        f"""\
System Status: HEALTHY
Database: Connected
{"=" * 80}

GRAPHS (1 total):
----------
Name: 'g1'
Version: 'v1'
Executions:
- active: 1
- archived: 0
First activity: 2026-04-23T05:51:45Z
Last activity: 2026-04-23T05:52:45Z
Computations:
✓ success: 4
◯ not_set: 1
"""
    )
    assert SystemStatus.model_validate(json.loads(found.model_dump_json())) == found


async def test_graphs_and_their_definitions_are_counted_apart(
    engine: Engine, connection: asyncpg.Connection
) -> None:
    empty = Graph("empty", "v1", [input_node("x")])
    unused = Graph("unused", "v1", [input_node("x")])
    await add_graphs(connection, GRAPH, LATER, empty, unused)
    executions = [
        state("E1", GRAPH),
        state("E2", GRAPH, archived_at=NOW, created_at=NOW - timedelta(days=1)),
        state("E3", LATER),
        state("E4", empty),
        state("E5", graph_name="nobody's"),
    ]
    await add_states(connection, executions, runs("E3", "alert", "success"))  # has left the graph
    found = {graph.graph_name: graph.stats for graph in (await status(engine)).graphs}
    assert list(found) == ["g1", "empty", "nobody's"]
    assert (found["g1"].executions.active, found["g1"].executions.archived) == (2, 1)
    assert found["g1"].executions.first_created == "2026-04-22T05:52:45Z"
    assert found["g1"].computations.by_state["not_set"] == 2 + 2 + 1
    assert found["g1"].computations.by_state["success"] == 1
    for name in ("empty", "nobody's"):
        assert found[name].computations == ComputationCounts(
            by_state={}, most_recently_created=None, most_recently_updated=None
        )


async def test_what_waits_has_waited_since_its_execution_was_created(
    engine: Engine, connection: asyncpg.Connection
) -> None:
    await add_graphs(connection, GRAPH)
    await add_states(connection, [state("E1", GRAPH)])
    [graph] = (await status(engine)).graphs
    assert graph.stats.computations.most_recently_created == "2026-04-23T05:51:45Z"
    assert graph.stats.computations.most_recently_updated == "2026-04-23T05:51:45Z"


ENDINGS = ["success", "failed", "abandoned", "cancelled"]


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[list[NodeValue], list[Computation]]]:
    """Of some executions: values and computations in any combination."""
    found = []
    for number in range(draw(st.integers(1, 4))):
        values, computations = [], []
        for node in ("sum", "alert"):
            states = draw(st.lists(st.sampled_from(ENDINGS), max_size=3))
            states += draw(st.lists(st.sampled_from(["available", "computing"]), max_size=1))
            computations += runs(f"E{number}", node, *states)
            revision = draw(st.integers(1, 8))
            match draw(st.sampled_from(["set", "cleared", "never"])):
                case "set":
                    values.append(held(node, 1, kind=NodeKind.COMPUTE, revision=revision))
                case "cleared":
                    values.append(cleared(node, kind=NodeKind.COMPUTE, revision=revision))
        found.append((values, computations))
    return found


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(histories=histories())
async def test_what_is_counted_as_waiting_is_what_is_shown_so(
    engine: Engine,
    connection: asyncpg.Connection,
    histories: list[tuple[list[NodeValue], list[Computation]]],
) -> None:
    await remove_all(connection)
    await connection.execute("DELETE FROM journey.graphs")
    await add_graphs(connection, GRAPH)
    states = []
    for number, (values, computations) in enumerate(histories):
        newest = {c.node: c for c in computations}
        states.append(state(f"E{number}", GRAPH, values, newest=newest))
    computations = [c for _, of_one in histories for c in of_one]
    await add_states(connection, states, computations)
    [graph] = (await status(engine)).graphs
    by_state = graph.stats.computations.by_state
    waiting = [shown_state(s, node) for s in states for node in GRAPH.steps].count("not_set")
    rows = [c.state.value for c in computations]
    counted = {state: rows.count(state) for state in by_state}
    # of nothing there is no figure at all
    assert by_state == (counted | {"not_set": waiting, "cancelled": 0} if by_state else {})
    assert by_state or not (waiting or any(state != "cancelled" for state in rows))


async def test_a_database_without_tables_is_connected_and_unhealthy(
    dsn: str, connection: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await connection.execute("DROP TABLE journey.tallies")
    async with reading_engine(dsn) as engine:
        found = await status(engine)
    assert found == SystemStatus(status="unhealthy", database_connected=True, graphs=[])
    assert "could not be read" in caplog.text


async def test_figures_that_do_not_come_in_time_leave_the_database_connected(
    dsn: str, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("journey_async.client.status.ANSWER_WITHIN", 2.0)
    async with reading_engine(dsn) as engine, connection.transaction():
        await engine.store.read_clock()
        await connection.execute("LOCK TABLE journey.tallies")
        found = await status(engine)
    assert found == SystemStatus(status="unhealthy", database_connected=True, graphs=[])


async def test_a_database_that_is_gone_is_told_without_patience(
    empty_dsn: str, connection: asyncpg.Connection
) -> None:
    async with reading_engine(empty_dsn, patience=600) as engine:
        name = empty_dsn.rpartition("/")[2].partition("?")[0]
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        found = await status(engine)
    assert found == SystemStatus(status="unhealthy", database_connected=False, graphs=[])
    assert found.to_text() == (
        f"System Status: UNHEALTHY\nDatabase: DISCONNECTED\n{'=' * 80}\n\n"
        "No graphs found in system.\n"
    )


# --- the text ---------------------------------------------------------------------------------


def of(name: str, active: int, archived: int = 0, **states: int) -> GraphStatus:
    executions = ExecutionCounts(
        active=active,
        archived=archived,
        first_created="2025-07-28T19:50:40Z",
        most_recently_created="2025-08-01T00:00:00Z",
        most_recently_updated="2025-08-14T05:31:05Z",
    )
    computations = ComputationCounts(
        by_state=states, most_recently_created=None, most_recently_updated=None
    )
    stats = GraphStats(executions=executions, computations=computations)
    return GraphStatus(graph_name=name, graph_version="v1.0.0", stats=stats)


def healthy(*graphs: GraphStatus) -> SystemStatus:
    return SystemStatus(status="healthy", database_connected=True, graphs=list(graphs))


def test_the_text_lists_the_most_active_first() -> None:
    text = healthy(
        of("b", 25, success=38, failed=7, not_set=4),
        of("gone", 0, 7, success=1),
        of("Credit Card", 12_700, 5_100, success=61_400, computing=33, abandoned=1000, failed=0),
        of("a", 25),
    ).to_text()
    assert text.partition("\n\n")[2] == (
        """\
GRAPHS (3 total):
----------
Name: 'Credit Card'
Version: 'v1.0.0'
Executions:
- active: 12.7k
- archived: 5.1k
First activity: 2025-07-28T19:50:40Z
Last activity: 2025-08-14T05:31:05Z
Computations:
✓ success: 61.4k
⏳ computing: 33
⚠ abandoned: 1.0k

---------

Name: 'a'
Version: 'v1.0.0'
Executions:
- active: 25
- archived: 0
First activity: 2025-07-28T19:50:40Z
Last activity: 2025-08-14T05:31:05Z

---------

Name: 'b'
Version: 'v1.0.0'
Executions:
- active: 25
- archived: 0
First activity: 2025-07-28T19:50:40Z
Last activity: 2025-08-14T05:31:05Z
Computations:
✓ success: 38
✗ failed: 7
◯ not_set: 4
"""
    )


def test_the_text_without_graphs() -> None:
    assert healthy().to_text().endswith("=\n\nNo graphs found in system.\n")
    assert healthy(of("gone", 0, 7)).to_text().endswith("=\n\nNo active graphs in system.\n")


@pytest.mark.parametrize(
    "count, text",
    [
        *((0, "0"), (999, "999"), (1000, "1.0k"), (1234, "1.2k"), (1250, "1.3k")),
        *((999_950, "1000.0k"), (300_000, "300.0k"), (1_500_000, "1.5M")),
    ],
)
def test_compact_counts(count: int, text: str) -> None:
    assert compact(count) == text
