"""Metrics, by the SDK of OpenTelemetry with a reader in memory."""

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint

from journey_async import (
    ComputationFailed,
    Graph,
    Journey,
    Retry,
    compute,
    historian,
    input_node,
    tick_once,
)
from journey_async.contrib.opentelemetry import OpenTelemetry
from journey_async.contrib.opentelemetry.metrics import FRESH, PATIENCE
from journey_async.errors import DatabaseUnavailable
from journey_async.testing import Point
from journey_async.testing.clock import TestClock
from journey_async.testing.journey import TestJourney
from tests.support.eventually import eventually

ONCE = Retry(max_attempts=1)
TWICE = Retry(max_attempts=2, initial_delay=0.01, jitter=False)

Labels = frozenset[tuple[str, Any]]


class Gauges:
    """A provider, and what it tells."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])
        self.telemetry = OpenTelemetry(meter_provider=self.provider)

    async def read(self) -> dict[str, dict[Labels, Any]]:
        """By metric and labels: a number, or a histogram's data point."""
        return await asyncio.to_thread(self.read_here)

    def read_here(self) -> dict[str, dict[Labels, Any]]:
        data = self.reader.get_metrics_data()
        found: dict[str, dict[Labels, Any]] = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        told = point.value if isinstance(point, NumberDataPoint) else point
                        labels = frozenset((point.attributes or {}).items())
                        found.setdefault(metric.name, {})[labels] = told
        return found


@pytest.fixture
def gauges() -> Iterator[Gauges]:
    made = Gauges()
    yield made
    made.provider.shutdown()


def labels(**given: str) -> Labels:
    return frozenset(given.items())


async def test_computations_are_counted_once_by_how_they_ended(dsn: str, gauges: Gauges) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    def fails() -> None:
        raise ValueError

    nodes = [
        compute("works", [], lambda: 1),
        compute("fails", [], fails, retry=TWICE),
        compute("too long", [], never, abandon_after_seconds=1, retry=ONCE),
        historian("past", ["works"]),
    ]
    graph = Graph("g", "v1", nodes)
    clock = TestClock()
    async with TestJourney(
        dsn, graphs=[graph], clock=clock, instrumentation=gauges.telemetry
    ) as journey:
        execution = await journey.start_execution(graph)
        await clock.advance(seconds=2, not_waiting_for=["too long"])
        for node in ("fails", "too long"):
            with pytest.raises(ComputationFailed):
                await journey.get_value(execution, node, wait_any=True)
        told = await gauges.read()
    assert told["journey.computations"] == {
        labels(graph="g", node="works", outcome="success"): 1,
        labels(graph="g", node="fails", outcome="failed"): 2,
        labels(graph="g", node="too long", outcome="abandoned"): 1,
        labels(graph="g", node="past", outcome="success"): 1,
    }
    assert told["journey.retries"] == {labels(graph="g", node="fails"): 1}
    assert told["journey.abandoned"] == {labels(graph="g", node="too long"): 1}
    durations = told["journey.computation.duration"]
    assert {key: point.count for key, point in durations.items()} == {
        labels(graph="g", node="works", outcome="success"): 1,
        labels(graph="g", node="fails", outcome="failed"): 2,
        labels(graph="g", node="too long", outcome="abandoned"): 1,
    }
    delays = told["journey.pickup.delay"]
    assert {key: point.count for key, point in delays.items()} == {
        labels(graph="g", node="works"): 1,
        labels(graph="g", node="fails"): 2,
        labels(graph="g", node="too long"): 1,
    }


async def test_the_delay_is_since_a_computation_was_due(dsn: str, gauges: Gauges) -> None:
    """Nobody computes for a minute; what a retry waits by intention does not count."""

    def fails(context: Any) -> None:
        if context.attempt == 1:
            raise ValueError

    patient = Retry(max_attempts=2, initial_delay=1000, max_delay=1000, jitter=False)
    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], fails, retry=patient)])
    clock = TestClock()
    async with TestJourney(dsn, graphs=[graph], run_computations=False, clock=clock) as client:
        execution = await client.start_execution(graph, {"x": 1})
        await clock.advance(minutes=1)
        worker = client.another(run_computations=True, instrumentation=gauges.telemetry)
        async with worker:
            await worker.settle(execution)
            await clock.advance(seconds=1000)
            await worker.get_value(execution, "y", wait_any=True)
            told = await gauges.read()
    [point] = told["journey.pickup.delay"].values()
    assert (point.count, point.min, point.max) == (2, 0, 60)
    assert "journey.tick.lag" not in told


async def test_the_lag_of_a_tick_is_that_of_what_it_unblocked(dsn: str, gauges: Gauges) -> None:
    clock = TestClock()
    due = clock.now().timestamp() + 10
    nodes = [
        input_node("x"),
        input_node("y"),
        tick_once("later", ["x"], lambda: due),
        compute("by the tick", ["later"], lambda: 1),
        compute("by both", ["later", "y"], lambda: 1),
    ]
    graph = Graph("g", "v1", nodes)
    async with TestJourney(dsn, graphs=[graph], clock=clock) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await journey.settle(execution)
    async with TestJourney(dsn, graphs=[graph], run_computations=False, clock=clock) as client:
        await clock.advance(seconds=15)
        worker = client.another(run_computations=True, instrumentation=gauges.telemetry)
        async with worker:
            await worker.get_value(execution, "by the tick", wait_any=True)
            await clock.advance(seconds=15)
            await worker.set_value(execution, "y", 1)
            await worker.get_value(execution, "by both", wait_any=True)
            told = await gauges.read()
    [(key, point)] = told["journey.tick.lag"].items()
    assert key == labels(graph="g", node="by the tick")
    assert (point.count, point.sum) == (1, 5)


async def test_how_things_stand_is_asked_when_somebody_looks(dsn: str, gauges: Gauges) -> None:
    held = asyncio.Event()

    async def holds() -> int:
        await held.wait()
        return 1

    graph = Graph("g", "v1", [compute("y", [], holds)])
    async with Journey(
        dsn, graphs=[graph], max_concurrency=7, pool_size=3, instrumentation=gauges.telemetry
    ) as journey:
        await journey.archive(await journey.start_execution(Graph("empty", "v2", [])))
        executions = [await journey.start_execution(graph) for _ in range(3)]
        waiting = asyncio.create_task(journey.get_value(executions[0], "y", wait_any=True))
        await eventually(lambda: journey.vitals().waits == 1)
        told = await gauges.read()
        assert told["journey.in_flight"] == {labels(graph="g", node="y"): 3}
        assert told["journey.capacity"] == {labels(): 7}
        assert told["journey.waits"] == {labels(): 1}
        assert told["journey.listening"] == {labels(): 1}
        assert 1 <= told["journey.pool.size"][labels()] <= 3
        assert 0 <= told["journey.pool.in_use"][labels()] <= 3
        assert told["journey.left_behind"] == {labels(): 0}
        assert told["journey.healthy"] == {labels(): 1}
        counted = {
            labels(graph="g", version="v1", state="active"): 3,
            labels(graph="g", version="v1", state="archived"): 0,
            labels(graph="empty", version="v2", state="active"): 0,
            labels(graph="empty", version="v2", state="archived"): 1,
        }
        assert told["journey.executions"] == counted
        await journey.archive(executions[0])
        assert (await gauges.read())["journey.executions"] == counted  # for 15 seconds
        held.set()
        assert await waiting == 1
    told = await gauges.read()
    assert "journey.executions" not in told
    assert told["journey.capacity"] == {labels(): 0}


async def test_on_the_event_loop_nobody_waits_for_the_database(
    dsn: str, gauges: Gauges, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with Journey(dsn, instrumentation=gauges.telemetry) as journey:
        await journey.start_execution(Graph("g", "v1", []))
        assert "journey.executions" not in gauges.read_here()
        await eventually(lambda: "journey.executions" in gauges.read_here())
    assert FRESH == 15
    assert not caplog.records


async def test_a_dead_journey_hides_nothing_of_the_others(
    dsn: str, gauges: Gauges, caplog: pytest.LogCaptureFixture
) -> None:
    graph = Graph("g", "v1", [input_node("x")])
    async with (
        TestJourney(dsn, max_concurrency=5, instrumentation=gauges.telemetry) as mortal,
        Journey(dsn, max_concurrency=7, instrumentation=gauges.telemetry),
    ):
        mortal.crash_at(Point.AFTER_COMMIT)
        with pytest.raises(DatabaseUnavailable):
            await mortal.start_execution(graph, {"x": 1})
        caplog.clear()
        told = await gauges.read()
        assert told["journey.capacity"] == {labels(): 7}
        assert told["journey.healthy"] == {labels(): 1}
        assert not caplog.records


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "not closed"])
async def test_an_event_loop_that_has_ended_is_not_waited_for(
    gauges: Gauges, caplog: pytest.LogCaptureFixture, closed: bool
) -> None:
    async def opens() -> None:
        gauges.telemetry.opened(Journey("postgresql://"))  # and never closes it

    def looks() -> dict[str, Any]:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(opens())
        try:
            if closed:
                loop.close()
            return gauges.read_here()
        finally:
            loop.close()

    def looks_later() -> float:
        began = time.monotonic()
        gauges.read_here()
        return time.monotonic() - began

    told = await asyncio.to_thread(looks)
    assert await asyncio.to_thread(looks_later) < PATIENCE
    assert told["journey.capacity"] == {labels(): 0}
    assert not {"journey.healthy", "journey.executions"} & told.keys()
    assert not caplog.records
