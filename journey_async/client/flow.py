"""Being written."""

from typing import Any


class FlowAnalytics:
    """Being written."""


async def flow_analytics(engine: Any, *args: Any, **options: Any) -> FlowAnalytics:
    """Being written."""
    raise NotImplementedError
