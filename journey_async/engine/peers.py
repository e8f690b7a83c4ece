"""Whose turn it is to take what wants attention, where several workers have the same code.

All workers hear the same. If all went for it, most of what they load and decide would be in vain;
and if each took a part of it, their batches would be small. So they take turns, many in a second:
the others give the one whose turn it is a moment, and take what it leaves. Of a backlog, which is
more than one of them takes at once, each takes a share, for there is enough to fill all batches.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from zlib import crc32

from journey_async.engine.tasks import Tasks

TURNS = 10  # a second
MOMENT = 0.03  # seconds that an execution is left to the worker whose turn it is


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


class LeftToPeers:
    """What wants attention and is left to others, for a MOMENT each; then `look` is called.

    The moment is counted from when this worker first saw or heard that an execution is due.
    """

    def __init__(self, look: Callable[[], None], tasks: Tasks) -> None:
        self._look = look
        self._tasks = tasks
        self._since: dict[str, float] = {}  # the event loop's time
        self._looks_again: asyncio.Task[None] | None = None
        self.sees_part = False  # what was seen is a part of what is due, and all of it was left

    @property
    def under_way(self) -> list[asyncio.Task[None]]:
        """The task that looks again, if one is to."""
        return [] if self._looks_again is None else [self._looks_again]

    def leave(self, executions: Iterable[str]) -> None:
        """Leave these to others, and look again later what is left of all of them."""
        now = asyncio.get_running_loop().time()
        for execution_id in executions:
            self._since.setdefault(execution_id, now)
        if (self._since or self.sees_part) and self._looks_again is None:
            self._looks_again = self._tasks.start(self._look_again(), "looks what others left")

    def moved(self, executions: Iterable[str]) -> None:
        """Others have written these: they need no attention, unless it is said anew."""
        for execution_id in executions:
            self._since.pop(execution_id, None)

    def rest_of(
        self, due: list[str], own: list[str], asked_at: float
    ) -> tuple[list[str], set[str]]:
        """What to take of what is due, and what is left to others still.

        That is this worker's `own`, else what the others left. `asked_at`: what was heard since
        is not in `due`.
        """
        now = asyncio.get_running_loop().time()
        left = {i: self._since.get(i, now) for i in set(due).difference(own)}
        heard_since = {i: since for i, since in self._since.items() if since >= asked_at}
        self._since = heard_since | left
        fresh = {i for i, since in left.items() if now - since < MOMENT}
        return own or [i for i in due if i not in fresh], fresh

    async def _look_again(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._since or self.sees_part:
                await asyncio.sleep(MOMENT)
                waited = any(loop.time() - since >= MOMENT for since in self._since.values())
                if waited or self.sees_part:
                    return self._look()
        finally:
            self._looks_again = None
