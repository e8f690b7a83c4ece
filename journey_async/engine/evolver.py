"""Lets executions take on a changed graph though nothing else happens to them."""

import asyncio
from contextlib import suppress

from journey_async.core.commands import Wake
from journey_async.engine.logs import about, log
from journey_async.engine.registry import Registry
from journey_async.engine.requests import Submit
from journey_async.engine.tasks import Tasks
from journey_async.errors import DatabaseUnavailable, ExecutionNotFound

BATCH = 200  # executions that evolve at once
SLOW = 2.0  # seconds after which the next batch is not kept waiting by somebody who holds a row
PATIENCE = 5.0  # seconds for which a safety check waits for all of them


class Evolver:
    """Wakes executions that are on an older definition; `submit` lets a Wake happen."""

    def __init__(self, registry: Registry, submit: Submit) -> None:
        self._registry = registry
        self._submit = submit
        self._again = False
        self._evolving: asyncio.Task[None] | None = None
        self._slow: set[str] = set()  # whose turn comes when somebody lets go of them
        self._failed: set[str] = set()  # whose turn comes with the next pass
        self.tasks = Tasks("evolver")

    def evolve_soon(self) -> None:
        """Have them evolve; if that is under way, it looks once more before it ends."""
        self._again = True
        if self._evolving is None or self._evolving.done():
            self._evolving = self.tasks.start(self._evolve(), "lets executions evolve")

    async def check(self) -> None:
        """Have them evolve, and wait for it, but not for long: many of them go on by themselves."""
        self.evolve_soon()
        if self._evolving is not None:
            await asyncio.wait([self._evolving], timeout=PATIENCE)

    async def _evolve(self) -> None:
        with suppress(DatabaseUnavailable):  # the next safety check looks again
            while self._again:
                self._again = False
                self._failed.clear()
                await self._registry.restore()
                while outdated := await self._registry.outdated(BATCH, self._slow | self._failed):
                    if not await self._wake_all(outdated):
                        break  # others are at it
                if len(self._failed) > 1:
                    log.error("%d executions could not, the first of them told", len(self._failed))

    async def _wake_all(self, executions: list[str]) -> bool:
        """Wake them, by which they evolve; whether any of them is out of the way of the others."""
        waking = {i: self.tasks.start(self._wake(i), f"lets {i} evolve") for i in executions}
        done, slow = await asyncio.wait(waking.values(), timeout=SLOW)
        for execution_id, task in waking.items():
            if task in slow:
                self._slow.add(execution_id)
                task.add_done_callback(lambda _, i=execution_id: self._slow.discard(i))  # type: ignore[misc]
        return bool(slow) or any(task.result() for task in done)

    async def _wake(self, execution_id: str) -> bool:
        try:
            return (await self._submit(execution_id, Wake())).evolved
        except (DatabaseUnavailable, ExecutionNotFound):
            return False  # this was closed, or the execution was archived and purged meanwhile
        except Exception:
            if not self._failed:
                log.exception(
                    "execution %s could not take on a changed graph",
                    execution_id,
                    extra=about(execution_id),
                )
            self._failed.add(execution_id)
            return True
