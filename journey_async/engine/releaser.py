"""Releases the work of workers that have died, or were taken for dead: it is anybody's again."""

import asyncio

from journey_async.core.commands import Release
from journey_async.engine.logs import about, log
from journey_async.engine.points import Point, Points
from journey_async.engine.requests import Submit
from journey_async.engine.runner import Runner
from journey_async.engine.tasks import Tasks
from journey_async.errors import DatabaseUnavailable, ExecutionNotFound
from journey_async.store.store import Store

PAUSE = 0.2  # seconds between attempts to give back what this worker was running


class Releaser:
    """Makes available again what workers were running; `submit` lets a Release happen."""

    def __init__(
        self,
        *,
        store: Store,
        runner: Runner,
        submit: Submit,
        points: Points,
    ) -> None:
        self._store = store
        self._runner = runner
        self._submit = submit
        self._points = points
        self._started = asyncio.Event()
        self.tasks = Tasks("releaser")

    def start(self) -> None:
        """Take up what others leave behind, from now on."""
        self._started.set()

    def replaced(self, worker: str) -> None:
        """Others took this process for dead: what they have not taken yet is anybody's."""
        former = self._runner.worker
        self._runner.become(worker)
        self.tasks.spawn(self._give_back(former), f"gives back the work of {former}")

    async def died(self, workers: list[str]) -> None:
        """Others have died: what they were running is available again, once this has started.

        Raises DatabaseUnavailable.
        """
        await self._started.wait()
        await self._release(workers, died=True)

    async def _give_back(self, former: str) -> None:
        while True:
            try:
                return await self._release([former], died=False)
            except DatabaseUnavailable:
                await asyncio.sleep(PAUSE)

    async def _release(self, workers: list[str], *, died: bool) -> None:
        work = await self._store.work_of(workers)
        self._points.reach(Point.BEFORE_RELEASE)
        releases = (self._submit(i, Release(worker, died=died)) for i, worker in work)
        answers = await asyncio.gather(*releases, return_exceptions=True)
        for (execution_id, _), answer in zip(work, answers, strict=True):
            if isinstance(answer, DatabaseUnavailable):
                raise answer
            if isinstance(answer, BaseException) and not isinstance(answer, ExecutionNotFound):
                log.error(  # it holds up no other; what was purged meanwhile is no error
                    "work in %s could not be released",
                    execution_id,
                    exc_info=answer,
                    extra=about(execution_id),
                )
        self._points.reach(Point.AFTER_RELEASE)
