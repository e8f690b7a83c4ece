"""A database that cannot be reached, as a statement of the store finds it."""

from typing import Any

from journey_async.errors import DatabaseUnavailable


async def unavailable(*args: Any, **kwargs: Any) -> Any:
    """In place of a statement."""
    raise DatabaseUnavailable("not now")
