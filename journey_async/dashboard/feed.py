"""What browsers are told: that something has changed. They then ask for the page anew."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from journey_async.client.execution import Execution
from journey_async.client.journey import Journey

CHANGED = "event: changed\ndata: \n\n"
CALM = 0.1  # seconds between two messages: who changes fast is looked at now and then
STATUS_INTERVAL = 2.0  # seconds between looks at the figures, while anybody watches them


async def execution_changes(journey: Journey, execution: Execution) -> AsyncGenerator[None, None]:
    """Yields whenever an execution has changed since this snapshot."""
    async with aclosing(journey.watch(execution)) as events:
        async for _ in events:
            yield


class StatusFeed:
    """Looks at the figures of the whole system once for all who watch them."""

    def __init__(self, journey: Journey) -> None:
        self._journey = journey
        self._watchers: set[asyncio.Event] = set()
        self._looking: asyncio.Task[None] | None = None

    async def changes(self) -> AsyncGenerator[None, None]:
        """Yields whenever the figures have changed; raises JourneyError if they cannot be read."""
        changed = asyncio.Event()
        self._watchers.add(changed)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="looks at the status")
        looking = self._looking
        try:
            while True:
                await changed.wait()
                changed.clear()
                if looking.done():
                    looking.result()  # raises what ended it
                yield
        finally:
            self._watchers.discard(changed)
            if not self._watchers and self._looking is not None:
                self._looking.cancel()
                self._looking = None  # who comes before it has ended begins another one

    async def _look(self) -> None:
        try:
            seen = await self._journey.status()
            while True:
                await asyncio.sleep(STATUS_INTERVAL)
                now = await self._journey.status()
                if now != seen:
                    seen = now
                    self._tell()
        finally:
            self._tell()

    def _tell(self) -> None:
        for watcher in self._watchers:
            watcher.set()


async def messages(changes: AsyncGenerator[None, None]) -> AsyncGenerator[str, None]:
    """A server-sent event for each change, or for several that come fast."""
    async with aclosing(changes):
        async for _ in changes:
            yield CHANGED
            await asyncio.sleep(CALM)
