"""The text of introspect(), to the letter. `␠` stands for a blank at the end of a line."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from journey_async import Journey
from journey_async.client.introspection import introspect, summarised, summary_text
from journey_async.core.conditions import (
    all_of,
    any_of,
    is_true,
    provided,
    value,
)
from journey_async.core.graph import Graph
from journey_async.core.nodes import compute, historian, input_node, loop, mutate, tick_once
from journey_async.core.pieces import at_once
from journey_async.core.state import State
from journey_async.core.values import Computation, NodeKind, NodeValue
from journey_async.errors import ExecutionNotFound
from tests.support.rows import (
    NOW,
    add_graphs,
    add_states,
    cleared,
    computation,
    held,
    reading_engine,
    state,
)

COMPUTED = NodeKind.COMPUTE


def work(values: dict[str, Any]) -> None:
    """What a step of these graphs does."""


def shown(
    graph: Graph,
    values: Iterable[NodeValue] = (),
    computations: Sequence[Computation] = (),
    **given: Any,
) -> str:
    subject = state("E1", graph, list(values), **given)
    summary = at_once(summarised(subject, graph, computations, NOW))
    return at_once(summary_text(summary)).replace("  \n", "␠␠\n")


ONBOARDING = Graph(
    "Onboarding",
    "v1",
    [
        input_node("name"),
        input_node("email_address"),
        compute("greeting", ["name", "email_address"], work),
    ],
)


def test_one_of_two_inputs_is_set() -> None:
    assert shown(
        ONBOARDING,
        [held("name", "Luigi")],
        created_at=NOW - timedelta(seconds=3725),
        updated_at=NOW - timedelta(seconds=5),
        values_at=NOW - timedelta(seconds=5),
    ) == (
        """\
Execution summary:
- ID: 'E1'
- Graph: 'Onboarding' | 'v1'
- Archived at: not archived
- Created at: 2026-04-23 04:50:40Z UTC | 3725 seconds ago
- Last updated at: 2026-04-23 05:52:40Z UTC | 5 seconds ago
- Duration: 3,720 seconds
- Revision: 1
- # of Values: 3 (set) / 5 (total)
- # of Computations: 1

Values:
- Set:
  - last_updated_at: '1776923560' | input
    set at 2026-04-23 05:52:40Z | rev: 1

  - name: '"Luigi"' | input
    set at 2026-04-23 05:52:45Z | rev: 1

  - execution_id: 'E1' | input
    set at 2026-04-23 04:50:40Z | rev: 0


- Not set:
  - email_address: <unk> | input
  - greeting: <unk> | compute␠␠

Computations:
- Completed:


- Outstanding:
  - greeting: ⬜ not_set (not yet attempted) | compute
       and
        ├─ ✅ name | provided | rev 1
        └─ 🛑 email_address | provided"""
    )


def test_everything_is_done() -> None:
    ended = NOW + timedelta(seconds=125)
    assert part(
        shown(
            ONBOARDING,
            [
                held("name", {"first": "Luigi"}),
                held("email_address", None, revision=2),
                held("greeting", "ciào, 'L'\n", kind=COMPUTED, revision=4),
            ],
            [
                computation(
                    "E1",
                    "greeting",
                    computed_with={"email_address": 2, "name": 1},
                    completed_at=ended,
                    revision_at_completion=4,
                )
            ],
            archived_at=NOW,
        ),
        "- Archived at",
    ) == (
        """\
- Archived at: 2026-04-23 05:52:45Z
- Created at: 2026-04-23 05:51:45Z UTC | 60 seconds ago
- Last updated at: 2026-04-23 05:52:45Z UTC | 0 seconds ago
- Duration: 60 seconds
- Revision: 4
- # of Values: 5 (set) / 5 (total)
- # of Computations: 1

Values:
- Set:
  - greeting: '"ciào, 'L'\\n"' | compute
    computed at 2026-04-23 05:52:45Z | rev: 4

  - last_updated_at: '1776923565' | input
    set at 2026-04-23 05:52:45Z | rev: 4

  - email_address: 'null' | input
    set at 2026-04-23 05:52:45Z | rev: 2

  - name: '{"first": "Luigi"}' | input
    set at 2026-04-23 05:52:45Z | rev: 1

  - execution_id: 'E1' | input
    set at 2026-04-23 05:51:45Z | rev: 0


- Not set:
␠␠

Computations:
- Completed:
  - greeting (E1:greeting:1): ✅ success | compute | rev 4
    started: 2026-04-23 05:52:45Z | completed: 2026-04-23 05:54:50Z (2m 5s)
    inputs used:
       name (rev 1)
       email_address (rev 2)

- Outstanding:
"""
    )


BUSY = Graph(
    "busy",
    "v1",
    [
        input_node("seed"),
        compute("fails", ["seed"], work),
        loop("answer", ["seed"], work, max_iterations=5),
        compute("slow", provided("seed"), work),
        tick_once("later", any_of(is_true("seed"), all_of("slow", "fails")), work),
        compute("again", [], work),
        mutate("redo", value("seed") > 40, work, mutates="seed"),
        historian("log", ["seed"]),
    ],
)


def test_computations_in_all_states() -> None:
    computations = [
        computation(
            "E1", "fails", "failed", error="boom:\n  " + "x" * 600, revision_at_completion=9
        ),
        computation(
            "E1",
            "answer",
            kind=NodeKind.LOOP,
            iteration=2,
            disposition="cont_with_fallback",
            computed_with={"seed": 1},
            completed_at=NOW + timedelta(hours=1, seconds=5),
            revision_at_completion=5,
        ),
        computation("E1", "slow", "abandoned", error="no sign of life", revision_at_completion=6),
        computation("E1", "slow", "computing", number=2, started_at=NOW - timedelta(seconds=64)),
        computation("E1", "again", computed_with={}, revision_at_completion=4),
        computation("E1", "again", "available", number=2),
        computation("E1", "redo", "success", started_at=None, revision_at_completion=10),
        computation("E1", "log", "cancelled"),
    ]
    text = shown(BUSY, [held("seed", 50), cleared("redo", revision=11)], computations)
    assert "- # of Computations: 10\n" in text
    assert part(text, "- Completed:") == (
        f"""\
- Completed:
  - redo (E1:redo:1): ✅ success | compute | rev 10
    inputs used:
       <none>

  - fails (E1:fails:1): ❌ failed | compute | rev 9
    started: 2026-04-23 05:52:45Z | completed: 2026-04-23 05:52:45Z (0s)
    inputs used:
       <none>
    error: "boom: {"x" * 494}..."

  - answer (E1:answer:1): ✅ success | loop | iter 2 of 5 | disposition: cont_with_fallback | rev 5
    started: 2026-04-23 05:52:45Z | completed: 2026-04-23 06:52:50Z (1h 0m 5s)
    inputs used:
       seed (rev 1)

  - again (E1:again:1): ✅ success | compute | rev 4
    started: 2026-04-23 05:52:45Z | completed: 2026-04-23 05:52:45Z (0s)
    inputs used:
       <none>

- Abandoned:
  - slow (E1:slow:1): ❓ abandoned | compute | rev 6
    started: 2026-04-23 05:52:45Z | completed: 2026-04-23 05:52:45Z (0s)
    inputs used:
       <none>
    error: "no sign of life"

- Outstanding:
  - slow: ⏳ computing | compute
    started: 2026-04-23 05:51:41Z | running for 1m 4s
       ✅ seed | provided | rev 1
  - redo: ⬜ not_set (not yet attempted) | mutate
       ✅ seed > 40 | rev 1
  - log: ⬜ not_set (not yet attempted) | historian
       ✅ seed | provided | rev 1
  - later: ⬜ not_set (not yet attempted) | tick_once
       or
        ├─ 🛑 seed | is_true
        └─ and
            ├─ 🛑 slow | provided
            └─ 🛑 fails | provided
  - again: ⬜ not_set (not yet attempted) | compute
       ✅ always"""
    )


def test_nodes_that_left_the_graph() -> None:
    text = shown(
        ONBOARDING,
        [held("former", 1), cleared("past")],
        [
            computation("E1", "left", "computing"),
            computation(
                "E1", "gone", kind=NodeKind.LOOP, iteration=3, computed_with={"b": 2, "a": 1}
            ),
        ],
    )
    assert "  - former: '1' | " in text
    assert "  - past: (node not found in current graph definition)␠␠\n" in text
    assert "- # of Values: 3 (set) / 7 (total)\n" in text
    assert part(text, "- Completed:").startswith(
        """\
- Completed:
  - gone (E1:gone:1): ✅ success | loop | iter 3 | rev 3
    started: 2026-04-23 05:52:45Z | completed: 2026-04-23 05:52:45Z (0s)
    inputs used:
       a (rev 1)
       b (rev 2)

- Outstanding:
  - left: (node not found in current graph definition)
  - greeting: ⬜ not_set"""
    )


def part(text: str, beginning: str) -> str:
    return text[text.index(beginning) :]


# --- with a database --------------------------------------------------------------------------


async def test_introspection_reads_archived_executions(
    dsn: str, connection: asyncpg.Connection
) -> None:
    subject: State = state("E1", BUSY, [held("seed", 1)], archived_at=NOW)
    computations = [computation("E1", "fails", "failed"), computation("E1", "slow", "computing")]
    await add_graphs(connection, BUSY)
    await add_states(connection, [subject], computations)
    async with reading_engine(dsn) as engine:
        graph = await engine.registry.graph_of(subject)
        summary = at_once(summarised(subject, graph, computations, NOW))
        assert await introspect(engine, "E1") == at_once(summary_text(summary))
        with pytest.raises(ExecutionNotFound):
            await introspect(engine, "E2")


# --- computation_status() -----------------------------------------------------------------------


async def test_the_status_of_a_step_is_that_of_its_newest_run_not_of_what_was_withdrawn(
    dsn: str,
) -> None:
    steps = [mutate("m", ["x", value("open") == 1], lambda x: x, mutates="target")]
    graph = Graph("g", "v1", [*map(input_node, ("x", "open", "target")), *steps])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1, "open": 1})
        await journey.get_value(execution, "m", wait_any=True)
        ran = await journey.computation_status(execution, "m")
    assert ran == (
        f"m ({execution.id}:m:1): ✅ success | mutate | rev 3\n"
        f"inputs used:\n   x (rev 1)\n   open (rev 1)"
    )
    async with Journey(dsn, graphs=[graph], run_computations=False) as journey:
        await journey.set_value(execution.id, "x", 2)
        assert "m:2): ⬜ not_set" in await journey.computation_status(execution.id, "m")
        await journey.set_value(execution.id, "open", 0)
        assert await journey.computation_status(execution.id, "m") == ran
        assert "📝" in await journey.computation_status(execution.id, "x")
