"""A process that sets a value and computes nothing: python -m tests.support.setter DSN EXECUTION.

It writes the trace and the span of the call, as hexadecimal numbers.
"""

import asyncio
import sys

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from journey_async import Journey
from journey_async.contrib.opentelemetry import OpenTelemetry


async def main(dsn: str, execution: str) -> None:
    """Set x to 1."""
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    telemetry = OpenTelemetry(tracer_provider=provider)
    async with Journey(dsn, run_computations=False, instrumentation=telemetry) as journey:
        await journey.set_value(execution, "x", 1)
    [span] = spans.get_finished_spans()
    assert span.name == "journey.set"
    sys.stdout.write(f"{span.context.trace_id:x} {span.context.span_id:x}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
