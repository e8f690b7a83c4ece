"""Calls functions of users in threads, of which there are so many and no more."""

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import anyio.to_thread


class Threads:
    """Threads apart from those of the application: who hangs in one keeps it from nobody else."""

    def __init__(self, number: int) -> None:
        self._limiter = anyio.CapacityLimiter(number)

    async def call(self, function: Callable[[], Any], *, abandon_on_cancel: bool = False) -> Any:
        """What the function returns or raises; `abandon_on_cancel`: or leave it to itself."""
        return await anyio.to_thread.run_sync(
            partial(_called, function), limiter=self._limiter, abandon_on_cancel=abandon_on_cancel
        )


def _called(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except GeneratorExit as error:  # which would end the coroutine that waits, unseen
        raise RuntimeError("GeneratorExit was raised where no generator ends") from error
