"""Asks now and then for what cannot be heard: behind a pooler, and only there.

The versions of the executions that are of interest here, in as few queries as there can be, and
whatever may have become due; less often, what cannot be seen by a version.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Collection

from journey_async.engine.logs import log
from journey_async.errors import DatabaseUnavailable
from journey_async.store.connecting import ServerTime
from journey_async.store.store import Store

POLL_INTERVAL = 1.0  # seconds between looks
CHECKED_EVERY = 10  # looks
MAX_BATCH = 1000  # executions in a query


class Poller:
    """Stands in for notifications: calls `changed`, `look`, `check` and `time_is` as a listener.

    `of_interest` gives the executions that somebody waits for, or computes for.
    """

    def __init__(
        self,
        *,
        store: Store,
        of_interest: Callable[[], Collection[str]],
        changed: Callable[[dict[str, int]], None],
        look: Callable[[], None],
        check: Callable[[], Awaitable[None]],
        time_is: Callable[[ServerTime], object],
    ) -> None:
        self._store = store
        self._of_interest = of_interest
        self._changed = changed
        self._look = look
        self._check = check
        self._time_is = time_is
        self._seen: dict[str, int] = {}

    async def run(self) -> None:
        """Poll until it is cancelled."""
        for number in itertools.count(1):
            await asyncio.sleep(POLL_INTERVAL)
            try:
                await self._poll()
                if number % CHECKED_EVERY == 0:
                    await self._check()
                    self._time_is((await self._store.read_clock()).time)
            except DatabaseUnavailable:
                pass  # the next look is soon enough
            except Exception:
                log.exception("a poll failed")

    async def _poll(self) -> None:
        self._look()
        ids = list(self._of_interest())
        seen: dict[str, int] = {}
        for first in range(0, len(ids), MAX_BATCH):
            seen |= await self._store.versions(ids[first : first + MAX_BATCH])
        # not what the cache holds: others than those who wait may have read that
        changed = {i: version for i, version in seen.items() if self._seen.get(i) != version}
        self._seen = seen
        self._changed(changed)
