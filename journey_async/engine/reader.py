"""Reads current states: what is cached is confirmed by its version, the rest is loaded.

Concurrent readers share queries: while one is at the database, the next one gathers.
"""

import asyncio
from collections.abc import Iterable
from itertools import chain
from typing import TypeAlias

from journey_async.core.state import State
from journey_async.engine.cache import StateCache
from journey_async.engine.registry import Registry
from journey_async.engine.tasks import Tasks
from journey_async.errors import DatabaseUnavailable
from journey_async.store.store import Store

MAX_BATCH = 500  # executions in a query

Asked: TypeAlias = "asyncio.Future[State | None]"


class Reader:
    """Gives states that are as current as the moment of asking, and whose definitions are known."""

    def __init__(self, store: Store, cache: StateCache, registry: Registry) -> None:
        self._store = store
        self._cache = cache
        self._registry = registry
        self._asked: dict[str, list[Asked]] = {}  # by execution
        self._reading: asyncio.Task[None] | None = None
        self.tasks = Tasks("reader")
        self._closed_because: str | None = None

    async def current(self, execution_id: str) -> State | None:
        """The state as of now, or None if there is no such execution.

        Raises DatabaseUnavailable.
        """
        if self._closed_because is not None:
            raise DatabaseUnavailable(self._closed_because)
        answer: Asked = asyncio.get_running_loop().create_future()
        self._asked.setdefault(execution_id, []).append(answer)
        if self._reading is None or self._reading.done():
            self._reading = self.tasks.start(self._read(), "reads")
        try:
            state = await answer
        except asyncio.CancelledError:
            self._forget(execution_id, answer)
            raise
        if state is not None:
            await self._registry.learn(state)
        return state

    async def stop(self) -> None:
        """Give up what is being read."""
        self._end("Journey was closed before it could read this")
        await self.tasks.cancel()

    def kill(self, why: str) -> None:
        """Stop dead."""
        self._end(why)
        self.tasks.kill()

    def _forget(self, execution_id: str, answer: Asked) -> None:
        """Nobody waits for this answer any more."""
        answers = self._asked.get(execution_id, [])
        if answer in answers:
            answers.remove(answer)
            if not answers:
                del self._asked[execution_id]

    def _end(self, why: str) -> None:
        """Nobody will read any more: refuse what was asked, and what will be."""
        self._closed_because = self._closed_because or why
        _refuse(self._asked.values(), DatabaseUnavailable(self._closed_because))
        self._asked.clear()

    async def _read(self) -> None:
        while self._asked:
            batch = dict(list(self._asked.items())[:MAX_BATCH])
            for execution_id in batch:
                del self._asked[execution_id]
            try:
                states = await self._states(list(batch))
            except BaseException as error:
                told = error if isinstance(error, Exception) else self._unread()
                _refuse(batch.values(), told)
                if not isinstance(error, Exception):
                    raise
                continue
            for execution_id, answers in batch.items():
                for answer in answers:
                    if not answer.done():
                        answer.set_result(states.get(execution_id))

    async def _states(self, ids: list[str]) -> dict[str, State]:
        found: dict[str, State] = {}
        if cached := {i: state for i in ids if (state := self._cache.get(i)) is not None}:
            for execution_id, version in (await self._store.versions(cached)).items():
                state = self._cache.get(execution_id)
                if state is None:
                    continue
                # What is newer was written meanwhile, unless the database has lost a commit.
                is_newer = state.version > version and state is not cached[execution_id]
                if state.version == version or is_newer:
                    found[execution_id] = state
        missing = [i for i in ids if i not in found]
        if missing:
            for execution_id in missing:  # what is cached may be newer: then it was lost
                if self._cache.get(execution_id) is cached.get(execution_id):
                    self._cache.outdate(execution_id)
            loaded = await self._store.load(missing, known=self._cache.known(missing))
            for state in loaded.values():
                self._cache.put(state)
            found |= loaded
        return found

    def _unread(self) -> DatabaseUnavailable:
        why = self._closed_because or "Journey was closed while it was reading this"
        return DatabaseUnavailable(why)


def _refuse(asked: Iterable[list[Asked]], error: Exception) -> None:
    for answer in chain.from_iterable(asked):
        if not answer.done():
            answer.set_exception(error)
