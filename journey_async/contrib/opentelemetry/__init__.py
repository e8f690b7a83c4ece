"""Spans and metrics by OpenTelemetry: the extra `telemetry`.

    Journey(dsn, graphs=[graph], instrumentation=OpenTelemetry())

It speaks to the API alone. Where spans and metrics go is for the application to say, which sets up
the SDK, globally or by passing providers.
"""

from journey_async.contrib.opentelemetry.telemetry import OpenTelemetry

__all__ = ["OpenTelemetry"]
