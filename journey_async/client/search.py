"""Being written."""

from typing import Any

from journey_async.client.execution import Execution


async def list_executions(engine: Any, **options: Any) -> list[Execution]:
    """Being written."""
    raise NotImplementedError


async def count_executions(engine: Any, **options: Any) -> int:
    """Being written."""
    raise NotImplementedError
