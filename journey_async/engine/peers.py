"""Whose turn it is to take what wants attention, where several workers have the same code.

All workers hear the same. If all went for it, most of what they load and decide would be in vain;
and if each took a part of it, their batches would be small. So they take turns, many in a second:
the others give the one whose turn it is a moment, and take what it leaves. Of a backlog, which is
more than one of them takes at once, each takes a share, for there is enough to fill all batches.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from zlib import crc32

TURNS = 10  # a second


class Peers:
    """The workers that live and have the very code that is here, as far as is known.

    `own` gives the id of this worker, which is one of them. Where workers disagree about who there
    is, or what time, or whether there is a backlog (by the room that each has), two take the same,
    or none does before the moment is over: neither does any harm.
    """

    def __init__(self, own: Callable[[], str]) -> None:
        self._own = own
        self.others: tuple[str, ...] = ()

    def become(self, others: Sequence[str]) -> None:
        """These are the others."""
        self.others = tuple(others)

    def is_my_turn(self, now: datetime, *, without: str | None = None) -> bool:
        """Whether it is this worker's turn; `without` one that has passed something on."""
        if not self.others:
            return True
        own = self._own()
        taking = sorted(worker for worker in {*self.others, own} if worker != without)
        return taking[int(now.timestamp() * TURNS) % len(taking)] == own

    def own_share(self, executions: Iterable[str]) -> list[str]:
        """Those that this worker takes of a backlog."""
        workers = sorted({*self.others, self._own()})
        place = workers.index(self._own())
        return [i for i in executions if crc32(i.encode()) % len(workers) == place]
