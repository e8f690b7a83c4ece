"""Says which node's function keeps everything else from running.

An `async def` that computes for long, or calls something that blocks, holds up the event loop and
with it all that this process does. Nothing is lost by that: the worker's life sign comes from
another thread, and so does this look at the loop.
"""

import asyncio
import sys
from collections.abc import Callable, Collection
from types import CodeType, FrameType

from journey_async.core.nodes import function_of
from journey_async.engine.attempts import Attempt
from journey_async.engine.logs import log

BLOCKED_AFTER = 5.0  # seconds without an answer of the loop


class Watchdog:
    """Says which function blocks an event loop; `running` gives the attempts of this process."""

    def __init__(self, running: Callable[[], Collection[Attempt]]) -> None:
        self._running = running

    async def watch(self, home: asyncio.AbstractEventLoop, thread: int) -> None:
        """Ask `home`, which runs in `thread`, now and then; from another thread's loop."""
        own = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(BLOCKED_AFTER / 2)
            if not self._running():
                continue  # whatever may block it, it is no node's function
            answered = asyncio.Event()
            asked_at = own.time()
            home.call_soon_threadsafe(_answer, own, answered)
            try:
                async with asyncio.timeout(BLOCKED_AFTER):
                    await answered.wait()
            except TimeoutError:
                culprit = self._culprit(home, thread)
                log.warning(
                    "%s has blocked the event loop for %.1f s (%s); nothing else runs in this "
                    "process meanwhile. A function that is no coroutine function runs in a thread",
                    _named(culprit),
                    own.time() - asked_at,
                    _place(sys._current_frames().get(thread)),
                    extra=culprit.about if culprit else None,
                )
                await answered.wait()
                log.warning("the event loop was blocked for %.1f s", own.time() - asked_at)

    def _culprit(self, home: asyncio.AbstractEventLoop, thread: int) -> Attempt | None:
        """The attempt whose task is being executed, or whose function is on the stack."""
        running = list(self._running())
        task = asyncio.current_task(home)
        stack = _codes(sys._current_frames().get(thread))
        for attempt in running:
            if attempt.task is task:
                return attempt
        for attempt in running:  # a task of its own making
            function = function_of(attempt.step)
            if function is not None and getattr(function.call, "__code__", None) in stack:
                return attempt
        return None


def _answer(asker: asyncio.AbstractEventLoop, answered: asyncio.Event) -> None:
    if not asker.is_closed():
        asker.call_soon_threadsafe(answered.set)


def _named(attempt: Attempt | None) -> str:
    if attempt is None:
        return "something that is no node's function"
    return f"node {attempt.step.name!r} of {attempt.execution_id}"


def _codes(frame: FrameType | None) -> set[CodeType]:
    codes = set()
    while frame is not None:
        codes.add(frame.f_code)
        frame = frame.f_back
    return codes


def _place(frame: FrameType | None) -> str:
    if frame is None:
        return "at an unknown place"
    return f"in {frame.f_code.co_name}, {frame.f_code.co_filename}:{frame.f_lineno}"
