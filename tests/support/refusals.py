"""Calls that must be refused, several at once."""

from collections.abc import Coroutine
from typing import Any

import pytest


async def refused(error: type[BaseException], *calls: Coroutine[Any, Any, Any]) -> list[Any]:
    """What each of the calls raises, which must be an `error`."""
    found = []
    try:
        for call in calls:
            with pytest.raises(error) as raised:
                await call
            found.append(raised.value)
    finally:
        for call in calls:
            call.close()  # those behind one that was accepted
    return found
