"""Lets executions take on a changed graph though nothing else happens to them."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from journey_async.core.commands import Wake
from journey_async.engine.registry import Registry
from journey_async.engine.requests import Settled, all_settled
from journey_async.engine.tasks import Tasks
from journey_async.errors import DatabaseUnavailable

BATCH = 200  # executions that evolve at once
PATIENCE = 5.0  # seconds for which a safety check waits for all of them


class Evolver:
    """Wakes executions that are on an older definition; `submit` lets a Wake happen."""

    def __init__(
        self, registry: Registry, submit: Callable[[str, Wake], Awaitable[Settled]]
    ) -> None:
        self._registry = registry
        self._submit = submit
        self._again = False
        self._tasks = Tasks("evolver")

    async def stop(self) -> None:
        """Let none evolve any more."""
        await self._tasks.cancel()

    def kill(self) -> None:
        """Stop dead."""
        self._tasks.kill()

    def under_way(self) -> list["asyncio.Task[None]"]:
        """What lets executions evolve."""
        return self._tasks.all

    def look(self) -> None:
        """Have them evolve; if that is under way, it looks once more before it ends."""
        self._again = True
        if all(task.done() for task in self._tasks.all):
            self._tasks.spawn(self._evolve(), "lets executions evolve")

    async def check(self) -> None:
        """Have them evolve, and wait for it, but not for long: many of them go on by themselves."""
        self.look()
        await asyncio.wait(self._tasks.all, timeout=PATIENCE)

    async def _evolve(self) -> None:
        with suppress(DatabaseUnavailable):  # the next safety check looks again
            while self._again:
                self._again = False
                while outdated := await self._registry.outdated(BATCH):
                    if not await self._wake(outdated):
                        break  # others are at it

    async def _wake(self, executions: list[str]) -> bool:
        """Wake them, by which they evolve; whether any of them did."""
        wakes = [(i, self._submit(i, Wake())) for i in executions]
        woken = await all_settled(wakes, "execution %s could not take on a changed graph")
        return any(settled.evolved for settled in woken)
