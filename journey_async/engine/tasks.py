"""Tasks that belong to somebody: referenced while they run, and cancelled with their owner."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from journey_async.engine.logs import log
from journey_async.errors import DatabaseUnavailable

T = TypeVar("T")


class Tasks:
    """A set of background tasks of one owner."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], what: str) -> None:
        """Run `work`; should it fail, that is logged, for nobody awaits it."""
        _ = self.start(work, what)

    def start(self, work: Coroutine[Any, Any, T], what: str) -> asyncio.Task[T]:
        """As `spawn`, for an owner who wants the task as well."""
        task = asyncio.get_running_loop().create_task(work, name=f"journey_async {what}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def completed(self, work: Coroutine[Any, Any, Exception | None], what: str) -> None:
        """Wait for `work`, which goes on though the caller is cancelled; raise what it returns.

        (What it raised would be logged as a task's failure, which it is not.) Raises
        DatabaseUnavailable if its owner ends first.
        """
        task = self.start(work, what)
        await asyncio.wait([task])
        if task.cancelled():
            raise DatabaseUnavailable("Journey was closed before it could do this")
        if (error := task.result()) is not None:
            raise error

    def __contains__(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether it is one of them, and has not ended."""
        return task in self._tasks

    @property
    def all(self) -> list[asyncio.Task[Any]]:
        """The tasks that have not ended."""
        return list(self._tasks)

    def kill(self) -> None:
        """Cancel all tasks, and wait for none."""
        for task in self.all:
            task.cancel()

    async def cancel(self) -> None:
        """Cancel all tasks and wait until they have ended."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def ended(self) -> None:
        """Wait until no task is left, as after `kill`."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def finished(self, timeout: float) -> bool:
        """Wait until no task is left, for at most `timeout` seconds; whether none is.

        Those that are started meanwhile, as what others end in, are waited for as well.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while self._tasks and (left := deadline - loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)
        return not self._tasks

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s: %s failed", self._name, task.get_name(), exc_info=error)


def is_being_cancelled() -> bool:
    """Whether somebody has cancelled the current task; a CancelledError may come from anywhere."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
