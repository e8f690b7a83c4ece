"""The safety net behind the alarm clock: a slow, jittered look for what nobody else will move.

What it finds was left behind by a defect, or by processes that all died. It is counted, and in a
healthy system is zero.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from journey_async.core.commands import Abandon, Command, Release
from journey_async.core.values import ComputationKey
from journey_async.engine.clock import Clock
from journey_async.engine.logs import about, log
from journey_async.engine.requests import Submit
from journey_async.engine.tasks import Tasks
from journey_async.errors import DatabaseUnavailable, ExecutionNotFound
from journey_async.store.store import OverdueWork, Store

INTERVAL = 30.0  # seconds between checks, on average
LIMIT = 10.0  # seconds for one of its steps: somebody may hold a row for long
LATE = timedelta(seconds=5)  # after its deadline an attempt is given up by others
BATCH = 100  # computations taken care of at once


class SafetyCheck:
    """Now and then gives up or releases what was left behind, and lets others check as well.

    `left_behind` counts what was found. `done` is called after each check.
    """

    def __init__(self, store: Store, clock: Clock, done: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._done = done
        self._submit: Submit | None = None
        self._also: tuple[Callable[[], Awaitable[None]], ...] = ()
        self._rests = asyncio.Event()
        self._rests.set()
        self._tasks = Tasks("safety check")
        self.left_behind = 0

    def start(self, submit: Submit, *also: Callable[[], Awaitable[None]]) -> None:
        """Begin with the first check; `also` is called with each."""
        self._submit = submit
        self._also = also
        self._rests.clear()
        self._tasks.spawn(self._check_now_and_then(), "checks everything")

    async def stop(self) -> None:
        """Check nothing any more."""
        await self._tasks.cancel()
        self._rests.set()

    def kill(self) -> None:
        """Stop dead."""
        self._tasks.kill()
        self._rests.set()

    @property
    def is_at_rest(self) -> bool:
        """Whether no check is under way."""
        return self._rests.is_set()

    async def rest(self) -> None:
        """Return when no check is under way."""
        await self._rests.wait()

    async def _check_now_and_then(self) -> None:
        while True:
            self._rests.clear()
            try:
                await self.check()
            except DatabaseUnavailable:
                pass
            except Exception:
                log.exception("the safety check failed")
            finally:
                self._done()
                self._rests.set()
            await asyncio.sleep(INTERVAL * random.uniform(0.75, 1.25))

    async def check(self) -> None:
        """Look for what nobody else will move, however much it is; each once."""
        for check in self._also:
            try:
                async with asyncio.timeout(LIMIT):
                    await check()
            except DatabaseUnavailable:
                raise
            except Exception:
                log.exception("a part of the safety check failed")
        before = self._clock.now() - LATE
        seen: set[tuple[str, ComputationKey]] = set()
        while True:
            limit = BATCH + len(seen)  # what could not be moved must not hide the rest
            found = await self._store.overdue_work(before, limit)
            new = [work for work in found if (work.execution_id, work.key) not in seen]
            for error in await asyncio.gather(
                *map(self._take_care_of, new), return_exceptions=True
            ):
                if error is not None:
                    raise error
            seen.update((work.execution_id, work.key) for work in new)
            if len(found) < limit:
                return

    async def _take_care_of(self, work: OverdueWork) -> None:
        assert self._submit is not None
        self.left_behind += 1
        execution_id, key = work.execution_id, work.key
        computation_id = key.id_in(execution_id)
        fields = about(execution_id, key.node, computation_id=computation_id, worker=work.worker)
        log.warning("%s was left behind", computation_id, extra=fields)
        command: Command = (
            Abandon(key, work.token)  # not what may have begun anew since
            if work.is_past_deadline
            else Release(work.worker, died=True, keys=(key,))
        )
        try:
            async with asyncio.timeout(LIMIT):
                with suppress(ExecutionNotFound):  # archived and purged meanwhile
                    await self._submit(execution_id, command)
        except DatabaseUnavailable:
            raise
        except Exception:
            log.exception("%s could not be taken care of", computation_id, extra=fields)
