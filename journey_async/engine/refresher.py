"""Shows the newest states to those of this process who wait for an execution, or compute for one.

What others write is heard of by its version only, and some of it may be missed. So what is of
interest here is read: once for all whom it concerns, and not at all if nobody waits for it.
"""

import asyncio
from collections.abc import Callable, Collection

from journey_async.engine.cache import StateCache
from journey_async.engine.reader import Reader
from journey_async.engine.registry import Registry
from journey_async.engine.runner import Runner
from journey_async.engine.tasks import Tasks
from journey_async.engine.waiters import Waiters
from journey_async.errors import DatabaseUnavailable
from journey_async.store.store import Store

PAUSE = 0.2  # seconds between attempts to read
CHECKED_AT_ONCE = 5000  # executions in a query of the safety net for waits


class Refresher:
    """Keeps waits and running functions current.

    `look` has the alarm clock look after a gap; `take_in` has executions loaded, and what was begun
    in them for this worker run.
    """

    def __init__(
        self,
        *,
        store: Store,
        cache: StateCache,
        registry: Registry,
        reader: Reader,
        waiters: Waiters,
        runner: Runner,
        look: Callable[[], None],
        take_in: Callable[[Collection[str]], None],
    ) -> None:
        self._store = store
        self._cache = cache
        self._registry = registry
        self._reader = reader
        self._waiters = waiters
        self._runner = runner
        self._look = look
        self._take_in = take_in
        self._refreshing: set[str] = set()
        self.tasks = Tasks("refresher")

    def of_interest(self) -> set[str]:
        """The executions that somebody here waits for, or computes for."""
        return {*self._waiters.executions, *self._runner.executions}

    def changed(self, versions: dict[str, int]) -> None:
        """Another process has written these executions."""
        for execution_id, version in versions.items():
            self._cache.outdate(execution_id, older_than=version)
            self._refresh(execution_id)

    def look_at_running(self) -> None:
        """Others may have given up what runs here, and nothing was heard of it."""
        for execution_id in self._runner.executions:
            self._refresh(execution_id)

    async def reconnected(self) -> None:
        """Notifications may have been missed: look at everything that is of interest here.

        And if it is another server now, something may have been lost. Raises DatabaseUnavailable.
        """
        # At once, lest this be taken for at rest; what is asked for so is read later than the
        # connections are distrusted.
        self._look()
        for execution_id in self.of_interest():
            self._refresh(execution_id)
        await self._store.distrust()
        await self._registry.fetch_again()
        await self.take_up()

    async def take_up(self) -> None:
        """Run again what this worker does not run, though the database says so.

        It has lost the write that ended it. Raises DatabaseUnavailable.
        """
        work = await self._store.tokens_of(self._runner.worker)
        self._take_in({i for i, token in work if not self._runner.is_running(token)})

    async def check_waits(self) -> None:
        """Show those who wait what they may have missed, in few queries.

        A safety net, and needed when definitions have another order: what is to evolve by one is
        settled by the other, and nobody writes it. Raises DatabaseUnavailable.
        """
        if not self._waiters:
            return
        await self._registry.fetch_again()
        waited_for = list(self._waiters.executions)
        for first in range(0, len(waited_for), CHECKED_AT_ONCE):
            asked = waited_for[first : first + CHECKED_AT_ONCE]
            known = {execution_id: self._waiters.known(execution_id) for execution_id in asked}
            versions = await self._store.versions(asked)
            for execution_id in asked:
                state, version = self._cache.get(execution_id), versions.get(execution_id)
                if state is not None and state.version == version and self._registry.knows(state):
                    self._waiters.offer(state, known[execution_id])
                else:
                    self._refresh(execution_id)

    def _refresh(self, execution_id: str) -> None:
        if self._is_of_interest(execution_id) and execution_id not in self._refreshing:
            self._refreshing.add(execution_id)
            self.tasks.spawn(self._show_current(execution_id), f"reads {execution_id}")

    def _is_of_interest(self, execution_id: str) -> bool:
        return execution_id in self._waiters.executions or self._runner.is_busy_with(execution_id)

    async def _show_current(self, execution_id: str) -> None:
        """Read once for all who wait for the execution, and for its functions that run here."""
        try:
            while self._is_of_interest(execution_id):
                self._refreshing.discard(execution_id)  # what comes from here on is read anew
                known = self._waiters.known(execution_id)
                running = self._runner.tokens(execution_id)
                try:
                    state = await self._reader.current(execution_id)
                    if state is not None:
                        await self._registry.learn(state)  # by which those who wait read it
                except DatabaseUnavailable:
                    await asyncio.sleep(PAUSE)
                    continue
                if state is None:
                    self._waiters.gone(execution_id)
                else:
                    self._waiters.offer(state, known)
                    self._runner.reconcile(state, running)
                return
        finally:
            self._refreshing.discard(execution_id)
