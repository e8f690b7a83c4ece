"""Work in pieces: a generator that pauses now and then, and returns what comes of the work.

It knows no event loop. Who runs it may let others have their turn in the pauses (`store.breath`),
or run it to its end at once.
"""

from collections.abc import Callable, Generator, Iterable
from typing import TypeAlias, TypeVar

S = TypeVar("S")
T = TypeVar("T")

Pieces: TypeAlias = Generator[None, None, T]
PIECE = 16  # steps from one pause to the next: some 0.2 ms


class Pace:
    """Tells when to pause, where some items are more work than others."""

    def __init__(self) -> None:
        self._done = 0

    def is_to_pause(self, *, after: int) -> bool:
        """Whether to pause after one more item, which was as much work as so many steps."""
        self._done += after
        if self._done < PIECE:
            return False
        self._done = 0
        return True


def at_once(pieces: Pieces[T]) -> T:
    """What comes of the work, without a pause."""
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            result: T = end.value
            return result


def each(work: Callable[[S], T], items: Iterable[S]) -> Pieces[list[T]]:
    """What comes of work on each of some items, with a pause after each of them."""
    done = []
    for item in items:
        done.append(work(item))
        yield
    return done
