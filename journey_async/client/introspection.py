"""Being written."""

from typing import Any


async def introspect(engine: Any, execution: Any) -> str:
    """Being written."""
    raise NotImplementedError
