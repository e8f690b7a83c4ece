"""Finds which of the other workers are dead, has their work released, and forgets them.

A worker is taken for dead as soon as the session lock that it held is free: the server frees it
when the process dies. A machine that vanishes frees nothing; then its lease runs out. Its work is
released at once, but it is forgotten only a while later, when what it may have begun meanwhile has
been released as well: a write that was under way may arrive late, and a worker that lives, behind
a connection of which only the server has seen the end, needs some time to find out. If it shows by
then that it lives, it carries on as the one that it was.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

from journey_async.engine.clock import Clock, was_wrong_at
from journey_async.engine.logs import log
from journey_async.store.workers import LifeSign, OtherWorker, WorkerConnection

WATCHED = 20  # others whose locks a worker tries
# Looks at the others: 15 seconds, for which a statement may wait, and in which who lives has looked
# at its connection, given it up and made another one.
REMEMBERED = 30


class _Death:
    """One that is taken for dead: what it showed last, and the release of its work."""

    def __init__(
        self, life_sign: LifeSign, release: "asyncio.Future[None]", *, is_last: bool
    ) -> None:
        self.life_sign = life_sign
        self.release = release
        self.released_at: float | None = None  # by the event loop's clock
        self.is_last_release = is_last

    def failed(self) -> bool:
        return self.release.cancelled() or self.release.exception() is not None


class Deaths:
    """What one worker knows of the deaths of the others.

    `release` begins to release the work of those whose ids it is given.
    """

    def __init__(
        self,
        *,
        worker: str,
        clock: Clock,
        lease: timedelta,
        look_interval: float,
        remembers: bool,
        release: Callable[[list[str]], "asyncio.Future[None]"],
    ) -> None:
        self.worker = worker
        self._clock = clock
        self._lease = lease
        self._look_interval = look_interval
        self._remembers = remembers
        self._release = release
        self._suspects: dict[str, float] = {}  # whose lock is free, since when
        self._deaths: dict[str, _Death] = {}

    @property
    def gone(self) -> set[str]:
        """Those that are dead, or may be."""
        return {*self._suspects, *self._deaths}

    def expired(self, others: list[OtherWorker]) -> set[str]:
        """Those whose lease has run out, and who are not dead yet.

        If this clock was wrong, so may have been those by which the others renewed theirs: by the
        time that a lease takes they have done so anew.
        """
        if time.monotonic() - was_wrong_at(self._clock) < self._lease.total_seconds():
            return set()
        now = self._clock.now()
        return {o.id for o in others if o.lease_until < now and o.id not in self._deaths}

    async def look_at(
        self, connection: WorkerConnection, others: list[OtherWorker], all_are_back: bool
    ) -> None:
        """Find those whose lease has run out, or whose lock was free twice in a row; see to those
        that were found before.

        Nobody could renew a lease or hold a lock while the server was away: that says nothing
        until all who live had the time to come back.
        """
        if not all_are_back:
            self._suspects = {}
            return
        forgotten = await self._see_to_the_dead(connection, {other.id: other for other in others})
        seen_to = self._deaths.keys() | forgotten
        others = [other for other in others if other.id not in seen_to]
        expired = self.expired(others)
        keys = {
            other.lock_key: other.id
            for other in self._watched(others)
            if other.locked and other.id not in expired
        }
        free = await connection.free_locks(list(keys)) if keys else set()
        dead = expired | self._still_free({keys[key] for key in free})
        if dead:
            log.warning("workers have died: %s", ", ".join(sorted(dead)))
            release = self._release(sorted(dead))
            for other in others:
                if other.id in dead:
                    is_last = self._is_long_gone(other)
                    self._deaths[other.id] = _Death(other.life_sign, release, is_last=is_last)

    def _still_free(self, unlocked: set[str]) -> set[str]:
        """Those whose lock was free when it was last tried, too, and not just a moment ago."""
        now = asyncio.get_running_loop().time()
        since = {worker: self._suspects.get(worker, now) for worker in unlocked}
        dead = {w for w, first in since.items() if now - first >= self._look_interval / 2}
        self._suspects = {w: first for w, first in since.items() if w not in dead}
        return dead

    def _is_long_gone(self, worker: OtherWorker) -> bool:
        """Whether all that it may have begun lies behind; so it is where a process starts anew."""
        return worker.lease_until < self._clock.now() - timedelta(seconds=self._remembered())

    def _remembered(self) -> float:
        """Seconds between the release of a worker's work and its being forgotten."""
        return REMEMBERED * self._look_interval if self._remembers else 0.0

    async def _see_to_the_dead(
        self, connection: WorkerConnection, others: dict[str, OtherWorker]
    ) -> set[str]:
        """Release their work once more before they are forgotten, or see that they live; those
        that were forgotten.
        """
        now, forgotten = asyncio.get_running_loop().time(), set()
        again: list[str] = []
        for worker, death in list(self._deaths.items()):
            other = others.get(worker)
            if other is None or other.life_sign != death.life_sign:
                del self._deaths[worker]  # forgotten by others, or alive
            elif not death.release.done():
                continue
            elif death.failed():
                del self._deaths[worker]  # to be judged anew
            elif death.is_last_release:
                await connection.forget(worker, death.life_sign)
                del self._deaths[worker]
                forgotten.add(worker)
            elif death.released_at is None:
                death.released_at = now
            elif now - death.released_at >= self._remembered():
                again.append(worker)
        if again:
            release = self._release(again)
            for worker in again:
                self._deaths[worker] = _Death(self._deaths[worker].life_sign, release, is_last=True)
        return forgotten

    def _watched(self, others: list[OtherWorker]) -> list[OtherWorker]:
        """Those that come next in a ring of all, lest everybody look at everybody.

        When many die at once, the last one alive finds so many of them with every second look.
        """
        ring = sorted(others, key=lambda other: (other.id < self.worker, other.id))
        return ring[:WATCHED]
