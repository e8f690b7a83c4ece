"""Being written."""

from typing import Any


class SystemStatus:
    """Being written."""


async def status(engine: Any) -> SystemStatus:
    """Being written."""
    raise NotImplementedError
