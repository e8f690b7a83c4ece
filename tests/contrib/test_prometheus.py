"""What Prometheus reads of an application; of a worker: tests/cli/test_operating.py."""

import re

import httpx
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Mount

from journey_async import Graph, Journey, compute, input_node
from journey_async.contrib.opentelemetry import OpenTelemetry
from journey_async.contrib.prometheus import metrics_app

SECRET = "s3cr3t-w0rd"

ROWS = {
    'journey_computations_total{graph="g",node="y",outcome="success"} 1.0',
    'journey_computation_duration_seconds_count{graph="g",node="y",outcome="success"} 1.0',
    'journey_pickup_delay_seconds_count{graph="g",node="y"} 1.0',
    "journey_capacity 100.0",
    "journey_waits 0.0",
    "journey_listening 1.0",
    "journey_left_behind_total 0.0",
    "journey_healthy 1.0",
    'journey_executions{graph="g",state="active",version="v1"} 1.0',
}


def rows_of(exposition: str) -> set[str]:
    """The lines of figures, without the labels that only name the scope."""
    text = re.sub(r'otel_scope_\w+="[^"]*",?', "", exposition)
    return {re.sub(r",?\{\}|,(?=\})", "", row) for row in text.splitlines() if row[0] != "#"}


async def test_an_application_shows_what_it_measures(dsn: str) -> None:
    registry = CollectorRegistry()
    provider = MeterProvider([PrometheusMetricReader(registry=registry)])
    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], lambda x: x)])
    telemetry = OpenTelemetry(meter_provider=provider)
    app = Starlette(routes=[Mount("/metrics", metrics_app(registry))])
    async with (
        Journey(dsn, graphs=[graph], instrumentation=telemetry) as journey,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client,
    ):
        execution = await journey.start_execution(graph, {"x": SECRET})
        await journey.get_value(execution, "y", wait_any=True)
        answer = await client.get("/metrics/")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain")
        assert rows_of(answer.text) >= ROWS
        assert SECRET not in answer.text
        assert execution.id not in answer.text  # as many series as executions would be too many
    provider.shutdown()
