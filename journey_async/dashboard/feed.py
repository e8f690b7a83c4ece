"""What browsers are told: that something has changed. They then ask for the page anew."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from starlette.responses import StreamingResponse

from journey_async.client.execution import Execution
from journey_async.client.journey import Journey

CHANGED = "event: changed\ndata: \n\n"
HELLO = "retry: 2000\n\n"  # milliseconds until a browser that was cut off comes back
KEEP_ALIVE = ": still here\n\n"
SILENCE = 15.0  # seconds after which proxies may cut a connection that says nothing
CALM = 0.1  # seconds between two messages: who changes fast is looked at now and then
STATUS_INTERVAL = 2.0  # seconds between looks at the figures, while anybody watches them


async def execution_changes(journey: Journey, execution: Execution) -> AsyncIterator[None]:
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

    async def changes(self) -> AsyncIterator[None]:
        """Yields whenever the figures have changed."""
        changed = asyncio.Event()
        self._watchers.add(changed)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="looks at the status")
        try:
            while True:
                await changed.wait()
                changed.clear()
                yield
        finally:
            self._watchers.discard(changed)
            if not self._watchers and self._looking is not None:
                self._looking.cancel()
                self._looking = None  # who comes before it has ended begins another one

    async def _look(self) -> None:
        seen = await self._journey.status()
        while True:
            await asyncio.sleep(STATUS_INTERVAL)
            now = await self._journey.status()
            if now != seen:
                seen = now
                for watcher in self._watchers:
                    watcher.set()


def stream(changes: AsyncIterator[None]) -> StreamingResponse:
    """A response of server-sent events, one for each change; it ends when the browser goes."""
    return StreamingResponse(
        _messages(changes),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},  # a proxy is not to collect them
    )


async def _messages(changes: AsyncIterator[None]) -> AsyncIterator[str]:
    """The messages; a comment now and then keeps the connection open."""
    yield HELLO
    following = asyncio.ensure_future(anext(changes, CHANGED))
    try:
        while True:
            done, _ = await asyncio.wait([following], timeout=SILENCE)
            if not done:
                yield KEEP_ALIVE
                continue
            if following.result() is CHANGED:  # there will be no more
                return
            yield CHANGED
            await asyncio.sleep(CALM)
            following = asyncio.ensure_future(anext(changes, CHANGED))
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await changes.aclose()  # type: ignore[attr-defined]
