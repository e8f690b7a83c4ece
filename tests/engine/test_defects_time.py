"""Faults of the Elixir original that show as time passes; docs/defects-of-the-original.md."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from journey_async import (
    ComputationFailed,
    Context,
    Execution,
    Graph,
    Journey,
    Retry,
    archive,
    compute,
    every,
    input_node,
    tick_once,
    tick_recurring,
)
from journey_async.testing.clock import LeapingClock
from tests.support.eventually import eventually

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
AT_ONCE = Retry(max_attempts=3, initial_delay=0)
ONCE = Retry(max_attempts=1)
LONG = 1e8  # seconds of a lease: here time passes in leaps, and nobody dies of it


def opened(dsn: str, clock: LeapingClock, *graphs: Graph, **options: Any) -> Journey:
    options = {"grace_period": 0, "lease": LONG} | options
    return Journey(dsn, graphs=graphs, clock=clock, **options)


def alarm_graph(name: str = "alarm") -> Graph:
    """`fired` is set a minute after the start."""
    nodes = [tick_once("t", [], lambda: MINUTE), compute("fired", ["t"], lambda: "fired")]
    return Graph(name, "v1", nodes)


async def armed(journey: Journey) -> Execution:
    """An execution of which an alarm waits."""
    execution = await journey.start_execution(alarm_graph())
    await journey.get_value(execution, "t", wait_any=True)
    return execution


# --- deadlines --------------------------------------------------------------------------------


async def test_an_attempt_past_its_deadline_is_retried_not_lost(dsn: str) -> None:  # B1, B54
    clock = LeapingClock(NOON)
    contexts: list[Context] = []
    cancelled: list[int] = []

    async def hangs_once(x: int, context: Context) -> int:
        contexts.append(context)
        if context.attempt == 1:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.append(context.attempt)
        return x

    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], hangs_once, retry=AT_ONCE)])
    async with opened(dsn, clock, graph) as journey:
        execution = await journey.start_execution(graph, {"x": 7})
        await eventually(lambda: contexts)
        clock.leap(60)
        assert await journey.get_value(execution, "y", wait_any=True) == 7
        states = [c.state.value for c in await journey.computations(execution)]
        assert states == ["abandoned", "success"]
        assert cancelled == [1]
        assert len({c.idempotency_key for c in contexts}) == 1


async def test_timeouts_end_the_attempts_and_a_new_input_begins_anew(dsn: str) -> None:  # B4, B7
    clock = LeapingClock(NOON)
    calls: list[int] = []

    async def hangs_below_five(x: int) -> int:
        calls.append(x)
        if x < 5:
            await asyncio.Event().wait()
        return x

    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], hangs_below_five, retry=ONCE)])
    async with opened(dsn, clock, graph) as journey:
        execution = await journey.start_execution(graph)
        for x in (1, 5, 2, 6):
            await journey.set_value(execution, "x", x)
            await eventually(lambda x=x: calls[-1:] == [x])  # type: ignore[misc]
            if x < 5:
                clock.leap(60)
                with pytest.raises(ComputationFailed):  # B15: a timeout is told as well
                    await journey.get_value(execution, "y", newer_than=1000)
                clock.leap(1000)
            else:
                assert await journey.get_value(execution, "y", settled=True) == x
        assert calls == [1, 5, 2, 6]


async def left_behind(connection: Any, execution: Execution, worker: str) -> None:
    """Make what is queued look as if a process had begun it and vanished."""
    await connection.execute(
        """
        UPDATE journey.computations
        SET state = 'computing', worker = $2, token = 1, due_at = NULL, started_at = $3,
            deadline = $3
        WHERE execution_id = $1
        """,
        execution.id,
        worker,
        NOON,
    )
    await connection.execute(
        "UPDATE journey.executions SET version = version + 1, wake_at = NULL WHERE id = $1",
        execution.id,
    )


async def test_work_of_a_process_that_is_gone_is_taken_up_at_the_start(  # B1
    dsn: str, connection: Any
) -> None:
    clock = LeapingClock(NOON)
    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], lambda x: x, retry=ONCE)])
    async with opened(dsn, clock, run_computations=False) as writer:
        execution = await writer.start_execution(graph, {"x": 7})
    await left_behind(connection, execution, "WORKERgone")
    async with opened(dsn, clock, graph) as worker:
        assert await worker.get_value(execution, "y", wait_any=True) == 7


# --- ticks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("outage", [61, 3600, 8 * 86_400, 400 * 86_400])
async def test_a_tick_that_came_due_during_an_outage_fires_at_the_start(  # B36
    dsn: str, outage: float
) -> None:
    clock = LeapingClock(NOON)
    async with opened(dsn, clock, alarm_graph()) as journey:
        execution = await armed(journey)
    clock.leap(outage)
    async with opened(dsn, clock, alarm_graph()) as journey:
        assert await journey.get_value(execution, "fired", wait_any=True) == "fired"


async def test_more_executions_than_a_batch_holds_all_wake(dsn: str) -> None:  # B19
    clock = LeapingClock(NOON)
    graph = Graph(
        "g", "v1", [tick_recurring("t", [], every(MINUTE)), compute("n", ["t"], lambda: 1)]
    )
    async with opened(dsn, clock, graph) as journey:
        executions = await asyncio.gather(*(journey.start_execution(graph) for _ in range(150)))
    clock.leap(60)
    async with opened(dsn, clock, graph, max_concurrency=7) as journey:
        found = await asyncio.gather(
            *(journey.get_value(execution, "n", wait_any=True) for execution in executions)
        )
        assert found == [1] * 150


async def test_a_recurring_tick_runs_once_for_each_firing_in_two_processes(  # B22, B41
    dsn: str,
) -> None:
    clock = LeapingClock(NOON)
    calls = {"t": 0, "n": 0}

    def counted(node: str, result: Any) -> Any:
        calls[node] += 1
        return result

    graph = Graph(
        "g",
        "v1",
        [
            tick_recurring("t", [], lambda: counted("t", MINUTE)),
            compute("n", ["t"], lambda values: counted("n", values["t"])),
        ],
    )
    async with opened(dsn, clock, graph) as one, opened(dsn, clock, graph) as two:
        execution = await one.start_execution(graph)
        for firing in range(1, 11):
            planned = await two.get_value(execution, "t", settled=True)
            assert planned == int(NOON.timestamp()) + 60 * firing
            clock.leap(60)
            node = await two.get_node(execution, "n", newer_than=4 * (firing - 1))
            assert await two.get_value(execution, "n", settled=True) is not None
            assert node.is_set
        assert calls == {"t": 11, "n": 10}


async def test_an_execution_idle_for_a_day_is_archived(dsn: str) -> None:  # B35
    clock = LeapingClock(NOON)
    graph = Graph(
        "g",
        "v1",
        [
            input_node("x"),
            tick_once("idle", ["last_updated_at"], lambda: timedelta(days=1)),
            archive("end", ["idle"]),
        ],
    )
    async with opened(dsn, clock, graph) as journey:
        execution = await journey.start_execution(graph)
        first = await journey.get_node(execution, "idle", wait_any=True)
        clock.leap(86_399)
        await journey.set_value(execution, "x", 1)
        await journey.get_node(execution, "idle", newer_than=first.revision)
        clock.leap(86_399)
        assert (await journey.load(execution)).archived_at is None
        clock.leap(1)
        assert await journey.get_value(execution, "end", wait_any=True) == clock.now().timestamp()
