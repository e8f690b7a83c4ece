"""Waiting for what another process, or the server, brings about in its own time."""

import asyncio
import time
from collections.abc import Awaitable, Callable

LIMIT = 60.0  # seconds; far beyond what anything here takes


async def eventually(condition: Callable[[], object], *, limit: float = LIMIT) -> None:
    """Return when the condition holds; it may be a coroutine function."""
    deadline = time.monotonic() + limit
    while True:
        answer = condition()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return
        assert time.monotonic() < deadline, f"not within {limit:g} seconds"
        await asyncio.sleep(0.01)
