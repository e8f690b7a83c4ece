"""Who waits for what: requests by execution, until a flight takes them."""

import asyncio
from collections.abc import Iterable

from journey_async.engine.requests import Request, refuse_all


class RequestQueue:
    """The requests that wait, in order; those for one execution are taken and written together.

    An execution is *in flight* from when its requests are taken until it has `landed`: what comes
    for it meanwhile waits. `work` is set whenever there may be something to take, `idle` while
    nothing waits and nothing is in flight, and for good from `end` on.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, dict[Request, None]] = {}  # by execution, in order
        self._in_flight: set[str] = set()
        self.is_ended = False
        self.work = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()

    def __len__(self) -> int:
        """How many executions wait."""
        return len(self._waiting)

    def has(self, execution_id: str) -> bool:
        """Whether anybody waits for this execution."""
        return execution_id in self._waiting

    def is_in_flight(self, execution_id: str) -> bool:
        """Whether requests for this execution were taken, and it has not landed."""
        return execution_id in self._in_flight

    @property
    def is_any_in_flight(self) -> bool:
        """Whether any execution is in flight."""
        return bool(self._in_flight)

    def add(self, request: Request) -> None:
        """Let it wait."""
        self._waiting.setdefault(request.execution_id, {})[request] = None
        self._stir()

    def put_back(self, execution_id: str, requests: Iterable[Request]) -> None:
        """Let them wait again, before others; for those that do already nothing changes."""
        left = dict.fromkeys(request for request in requests if not request.answer.done())
        if left:
            self._waiting[execution_id] = left | self._waiting.get(execution_id, {})
            self._stir()

    def withdraw(self, request: Request) -> None:
        """Let it wait no longer, if it does; what is in flight stays there."""
        queue = self._waiting.get(request.execution_id, {})
        queue.pop(request, None)
        if not queue:
            self._waiting.pop(request.execution_id, None)

    def take(self, limit: int) -> dict[str, list[Request]]:
        """The requests of up to `limit` executions, which are in flight from now on.

        With nothing to take, `work` waits for more.
        """
        taken: dict[str, list[Request]] = {}
        for execution_id in list(self._waiting):
            if len(taken) >= limit:
                break
            if execution_id in self._in_flight:
                continue
            queue = self._waiting.pop(execution_id)
            if alive := [request for request in queue if not request.answer.done()]:
                taken[execution_id] = alive
        self._in_flight.update(taken)
        if not taken:
            self.work.clear()
            if not self._waiting and not self._in_flight:
                self.idle.set()
        return taken

    def landed(self, execution_ids: Iterable[str]) -> None:
        """These are in flight no longer."""
        self._in_flight.difference_update(execution_ids)
        self.work.set()

    def end(self, error: Exception) -> None:
        """Nobody takes any more: refuse what waits."""
        self.is_ended = True
        for requests in self._waiting.values():
            refuse_all(requests, error)
        self._waiting.clear()
        self.idle.set()

    def _stir(self) -> None:
        self.idle.clear()
        self.work.set()
