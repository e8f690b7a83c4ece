"""Spans of calls and attempts, by the SDK of OpenTelemetry with an exporter in memory."""

import asyncio
import sys
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceState

from journey_async import (
    Computation,
    ComputationFailed,
    Context,
    Graph,
    Journey,
    NotSetError,
    Retry,
    WaitTimeout,
    compute,
    input_node,
    mutate,
    not_,
    provided,
    tick_once,
)
from journey_async.contrib.opentelemetry import OpenTelemetry
from journey_async.testing.clock import TestClock
from journey_async.testing.journey import TestJourney
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]
SECRET = "s3cr3t-w0rd"
ONCE = Retry(max_attempts=1)
TWICE = Retry(max_attempts=2, initial_delay=0.01, jitter=False)


class Recorder:
    """A provider, and the spans that ended."""

    def __init__(self, **options: Any) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.telemetry = OpenTelemetry(tracer_provider=self.provider, **options)

    @property
    def all(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        [span] = self.named(name)
        return span


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def context_of(span: ReadableSpan) -> SpanContext:
    found: SpanContext = span.context or trace.INVALID_SPAN_CONTEXT
    return found


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def links_to(span: ReadableSpan) -> list[tuple[int, int]]:
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


def address(span: ReadableSpan) -> tuple[int, int]:
    return context_of(span).trace_id, context_of(span).span_id


async def computations_of(dsn: str, execution_id: str) -> list[Computation]:
    async with Journey(dsn, run_computations=False) as journey:
        return await journey.computations(execution_id)


async def test_a_set_and_what_it_unblocks_are_linked(dsn: str, recorder: Recorder) -> None:
    graph = Graph(
        "g",
        "v1",
        [
            input_node("x"),
            input_node("y"),
            compute("sum", ["x", "y"], lambda x, y: x + y),
            compute("twice", ["sum"], lambda sum: 2 * sum),
        ],
    )
    async with Journey(dsn, graphs=[graph], instrumentation=recorder.telemetry) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await journey.set_value(execution, "y", 2)
        assert await journey.get_value(execution, "twice", wait_any=True) == 6
    started, was_set, got = map(recorder.one, ("journey.start", "journey.set", "journey.get"))
    sum_, twice = recorder.one("journey.compute sum"), recorder.one("journey.compute twice")
    assert links_to(sum_) == links_to(twice) == [address(was_set)]
    assert sum_.parent is twice.parent is None
    assert context_of(sum_).trace_id != context_of(was_set).trace_id
    assert started.kind is was_set.kind is SpanKind.PRODUCER
    assert got.kind is SpanKind.INTERNAL
    assert sum_.kind is SpanKind.CONSUMER
    about = {
        "journey.graph.name": "g",
        "journey.graph.version": "v1",
        "journey.execution.id": execution.id,
        "journey.outcome": "success",
    }
    assert attributes_of(started) == about | {"journey.node.name": "x"}
    assert attributes_of(was_set) == about | {"journey.node.name": "y"}
    assert attributes_of(got) == about | {"journey.node.name": "twice"}
    [worker] = {c.worker for c in await computations_of(dsn, execution.id)}
    assert attributes_of(sum_) == about | {
        "journey.node.name": "sum",
        "journey.node.type": "compute",
        "journey.computation.id": f"{execution.id}:sum:1",
        "journey.attempt": 1,
        "journey.worker": worker,
    }


async def test_the_link_leads_from_one_process_to_another(dsn: str, recorder: Recorder) -> None:
    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], lambda x: x + 1)])
    async with Journey(dsn, graphs=[graph], instrumentation=recorder.telemetry) as journey:
        execution = await journey.start_execution(graph)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.setter", dsn, execution.id),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        printed, _ = await process.communicate()
        assert process.returncode == 0
        assert await journey.get_value(execution, "y", wait_any=True) == 2
    trace_id, span_id = printed.split()
    computed = recorder.one("journey.compute y")
    assert links_to(computed) == [(int(trace_id, 16), int(span_id, 16))]


async def test_what_starts_with_the_execution_is_linked_to_its_start(
    dsn: str, recorder: Recorder
) -> None:
    graph = Graph("g", "v1", [compute("a", [], lambda: 1)])
    async with Journey(dsn, graphs=[graph], instrumentation=recorder.telemetry) as journey:
        execution = await journey.start_execution(graph)
        await journey.get_value(execution, "a", wait_any=True)
    assert links_to(recorder.one("journey.compute a")) == [address(recorder.one("journey.start"))]


async def test_what_an_unset_unblocks_is_linked_to_it(dsn: str, recorder: Recorder) -> None:
    graph = Graph("g", "v1", [input_node("x"), compute("no x", not_(provided("x")), lambda: 1)])
    async with Journey(dsn, graphs=[graph], instrumentation=recorder.telemetry) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await journey.unset_value(execution, "x")
        await journey.get_value(execution, "no x", wait_any=True)
    unset = recorder.one("journey.unset")
    assert links_to(recorder.one("journey.compute no x")) == [address(unset)]


async def test_what_a_mutation_unblocks_is_linked_to_what_led_to_the_mutation(
    dsn: str, recorder: Recorder
) -> None:
    graph = Graph(
        "g",
        "v1",
        [
            input_node("x"),
            input_node("y"),
            mutate("m", ["x"], lambda x: x, mutates="y", update_revision_on_change=True),
            compute("z", ["y"], lambda y: y),
        ],
    )
    async with Journey(dsn, graphs=[graph], instrumentation=recorder.telemetry) as journey:
        execution = await journey.start_execution(graph)
        await journey.set_value(execution, "x", 1)
        await journey.get_value(execution, "z", wait_any=True)
    assert links_to(recorder.one("journey.compute z")) == [address(recorder.one("journey.set"))]


async def test_each_attempt_has_a_span_linked_to_the_same_call(
    dsn: str, recorder: Recorder
) -> None:
    def fails(x: int) -> None:
        raise ValueError(SECRET)

    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], fails, retry=TWICE)])
    async with Journey(dsn, graphs=[graph], instrumentation=recorder.telemetry) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        with pytest.raises(ComputationFailed):
            await journey.get_value(execution, "y", wait_any=True)
        await journey.retry_computation(execution, "y")
        await eventually(lambda: len(recorder.named("journey.compute y")) == 3)
    attempts = recorder.named("journey.compute y")
    assert [attributes_of(span)["journey.attempt"] for span in attempts] == [1, 2, 3]
    started, again = recorder.one("journey.start"), recorder.one("journey.retry")
    causes = [address(started), address(started), address(again)]
    assert [links_to(span) for span in attempts] == [[cause] for cause in causes]
    for span in attempts:
        assert attributes_of(span)["journey.outcome"] == "failed"
        assert attributes_of(span)["error.type"] == "ValueError"
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description == "ValueError"
    failed = recorder.one("journey.get")
    assert attributes_of(failed)["journey.outcome"] == "failed"
    assert attributes_of(failed)["error.type"] == "ComputationFailed"


async def test_what_a_tick_unblocks_is_linked_to_what_led_to_the_tick(
    dsn: str, recorder: Recorder
) -> None:
    graph = Graph(
        "g",
        "v1",
        [
            input_node("x"),
            tick_once("later", ["x"], lambda: timedelta(hours=1)),
            compute("reminder", ["later"], lambda: "now"),
        ],
    )
    clock = TestClock()
    async with TestJourney(
        dsn, graphs=[graph], clock=clock, instrumentation=recorder.telemetry
    ) as journey:
        execution = await journey.start_execution(graph)
        await journey.set_value(execution, "x", 1)
        await journey.settle(execution)
        await clock.advance(hours=2)
        await journey.get_value(execution, "reminder", wait_any=True)
    reminder = recorder.one("journey.compute reminder")
    assert links_to(reminder) == [address(recorder.one("journey.set"))]


async def test_work_that_waits_for_a_place_keeps_its_link(dsn: str, recorder: Recorder) -> None:
    held = asyncio.Event()

    async def holds(x: int) -> int:
        await held.wait()
        return x

    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], holds)])
    async with Journey(
        dsn, graphs=[graph], max_concurrency=1, instrumentation=recorder.telemetry
    ) as journey:
        executions = [await journey.start_execution(graph, {"x": n}) for n in range(2)]
        held.set()
        for execution in executions:
            await journey.get_value(execution, "y", wait_any=True)
    starts = {s.attributes["journey.execution.id"]: s for s in recorder.named("journey.start")}  # type: ignore[index]
    for span in recorder.named("journey.compute y"):
        started = starts[attributes_of(span)["journey.execution.id"]]
        assert links_to(span) == [address(started)]


async def test_what_a_function_does_belongs_to_its_span(dsn: str, recorder: Recorder) -> None:
    tracer = recorder.provider.get_tracer("a user's")

    async def on_the_loop(x: int, context: Context) -> int:
        with tracer.start_as_current_span("inside async"):
            await context.journey.set_value(context.execution_id, "z", 1)
        return x

    def in_a_thread(x: int) -> int:
        assert threading.current_thread() is not threading.main_thread()
        with tracer.start_as_current_span("inside a thread"):
            return x

    nodes = [compute("a", ["x"], on_the_loop), compute("b", ["x"], in_a_thread)]
    graph = Graph("g", "v1", [input_node("x"), input_node("z"), *nodes])
    with tracer.start_as_current_span("opens") as opening:
        async with Journey(dsn, graphs=[graph], instrumentation=recorder.telemetry) as journey:
            with tracer.start_as_current_span("a request") as request:
                execution = await journey.start_execution(graph, {"x": 1})
            await journey.get_value(execution, "a", wait_any=True)
            await journey.get_value(execution, "b", wait_any=True)
    computed = {name: recorder.one(f"journey.compute {name}") for name in "ab"}
    inside = {"a": recorder.one("inside async"), "b": recorder.one("inside a thread")}
    for name, span in inside.items():
        assert span.parent == computed[name].context
        assert computed[name].parent is None
    assert recorder.one("journey.set").parent == inside["a"].context
    assert recorder.one("journey.start").parent == request.get_span_context()
    assert all(s.parent == opening.get_span_context() for s in recorder.named("journey.get"))


async def test_the_state_of_a_trace_goes_along(dsn: str, recorder: Recorder) -> None:
    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], lambda x: x)])
    state = TraceState([("a", "1"), ("b", "2")])
    outer = NonRecordingSpan(
        SpanContext(7, 7, is_remote=True, trace_flags=trace.TraceFlags(1), trace_state=state)
    )
    async with Journey(dsn, graphs=[graph], instrumentation=recorder.telemetry) as journey:
        with trace.use_span(outer):
            execution = await journey.start_execution(graph, {"x": 1})
        await journey.get_value(execution, "y", wait_any=True)
        [stored] = await journey.computations(execution)
    span_id = context_of(recorder.one("journey.start")).span_id
    assert stored.trace_context == f"00-{7:032x}-{span_id:016x}-01 a=1,b=2"
    [link] = recorder.one("journey.compute y").links
    assert link.context.trace_id == 7
    assert dict(link.context.trace_state) == {"a": "1", "b": "2"}


async def test_how_attempts_end_that_nobody_wants_any_more(dsn: str, recorder: Recorder) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    nodes = [
        compute("too long", [], never, abandon_after_seconds=1, retry=ONCE),
        compute("in the way", [], never),
    ]
    graph = Graph("g", "v1", nodes)
    async with TestJourney(
        dsn, graphs=[graph], clock=(clock := TestClock()), instrumentation=recorder.telemetry
    ) as journey:
        execution = await journey.start_execution(graph)
        await clock.advance(seconds=2, not_waiting_for=["in the way", "too long"])
        with pytest.raises(ComputationFailed):
            await journey.get_value(execution, "too long", wait_any=True)
    abandoned, released = (recorder.one(f"journey.compute {node.name}") for node in nodes)
    assert attributes_of(abandoned)["journey.outcome"] == "abandoned"
    assert abandoned.status.status_code is StatusCode.ERROR
    assert attributes_of(released)["journey.outcome"] == "released"
    assert released.status.status_code is StatusCode.UNSET


async def test_a_value_that_is_not_there_is_no_error_of_the_span(
    dsn: str, recorder: Recorder
) -> None:
    graph = Graph("g", "v1", [input_node("x")])
    async with Journey(dsn, graphs=[graph], instrumentation=recorder.telemetry) as journey:
        execution = await journey.start_execution(graph)
        with pytest.raises(NotSetError):
            await journey.get_value(execution, "x")
        with pytest.raises(WaitTimeout):
            await journey.get_value(execution, "x", wait_any=True, timeout=0.01)
    spans = recorder.named("journey.get")
    assert [attributes_of(span)["journey.outcome"] for span in spans] == ["not_set", "timeout"]
    assert {span.status.status_code for span in spans} == {StatusCode.UNSET}


@pytest.mark.parametrize("record_values", [False, True])
async def test_values_are_told_only_if_that_is_allowed(dsn: str, record_values: bool) -> None:
    recorder = Recorder(record_values=record_values)

    def fails(x: str) -> None:
        raise ValueError(f"cannot do with {x}")

    graph = Graph(
        "g",
        "v1",
        [
            input_node("x"),
            compute("y", ["x"], lambda x: x),
            compute("raises", ["x"], fails, retry=ONCE),
            compute("gives no JSON", ["x"], lambda x: {x}, retry=ONCE),
        ],
    )
    async with Journey(dsn, graphs=[graph], instrumentation=recorder.telemetry) as journey:
        execution = await journey.start_execution(graph, {"x": SECRET})
        await journey.set_value(execution, "x", f"{SECRET} again", metadata={"m": SECRET})
        await journey.get_value(execution, "y", settled=True)
        for step in ("raises", "gives no JSON"):
            with pytest.raises(ComputationFailed):
                await journey.get_value(execution, step, settled=True)
        await journey.unset_value(execution, "x")
    told = {span.name for span in recorder.all if SECRET in span.to_json()}
    if record_values:
        allowed = {"journey.start", "journey.set", "journey.get"}
        assert told == allowed | {"journey.compute y", "journey.compute raises"}
    else:
        assert told == set()
    assert len(recorder.named("journey.compute raises")) == 2
