"""What Prometheus reads: the extra `telemetry`.

The metrics are those of `journey_async.contrib.opentelemetry`, and whatever else the application
measures; they come by way of OpenTelemetry's exporter for Prometheus.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import REGISTRY, CollectorRegistry, start_http_server
from prometheus_client.exposition import choose_encoder

__all__ = ["metrics_app", "serving_metrics"]

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]


def metrics_app(registry: CollectorRegistry = REGISTRY) -> Application:
    """An ASGI application that answers with the metrics of a registry.

    It reads them in a thread, for some are asked of the database, by the event loop.
    """

    async def app(
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            raise ValueError(f"metrics are for HTTP, not for {scope['type']!r}")
        accepts = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
        encode, content_type = choose_encoder(accepts)
        body = await asyncio.to_thread(encode, registry)
        headers = [
            (b"content-type", content_type.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


@contextmanager
def serving_metrics(port: int, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve the metrics of this program by a thread; gives the address. Port 0: any that is free.

    The global MeterProvider becomes one that Prometheus can read, unless the program has set its
    own. Raises OSError for a port that is not to be had.
    """
    server, thread = start_http_server(port, addr=host)
    try:
        if not isinstance(metrics.get_meter_provider(), MeterProvider):
            metrics.set_meter_provider(MeterProvider([PrometheusMetricReader()]))
        shown = f"[{host}]" if ":" in host else host  # as a URL has an address of IPv6
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
