"""Lets the event loop breathe while something long is done in pieces.

It stands in the lowest layer that may know an event loop; those above use it, too.
"""

import asyncio
from time import perf_counter
from typing import TypeVar

from journey_async.core.pieces import Pieces

T = TypeVar("T")

HELD = 0.003  # seconds of the event loop until others have their turn


async def in_turn(pieces: Pieces[T]) -> T:
    """What comes of work in pieces, between which others have their turn if it takes long."""
    since = perf_counter()
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            result: T = end.value
            return result
        if is_long(since):
            await asyncio.sleep(0)
            since = perf_counter()


def is_long(since: float) -> bool:
    """Whether the event loop has been held for long, since a time of `perf_counter`."""
    return perf_counter() - since > HELD
