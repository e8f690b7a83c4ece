"""Waits are futures: they resolve when a state is offered that satisfies them.

A wait registers first, then the caller reads, then it awaits; so nothing that is written in
between is missed. Nothing here polls.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Any, Self

from journey_async.core.state import State
from journey_async.errors import DatabaseUnavailable

NOT_YET = object()
Check = Callable[[State], Any]


class Wait:
    """One caller's wait; `check` gives the result, NOT_YET, or raises what the caller gets.

    What is offered may have been read before the wait began. So nothing counts that is older than
    what the caller reads after registering, and `begin`s with.

    It is registered while its `with` block runs. There may be tens of thousands, so it is small.
    """

    __slots__ = ("_check", "_execution_id", "_least", "_registered", "_withheld", "future")

    def __init__(self, execution_id: str, check: Check, registered: dict[str, set["Wait"]]) -> None:
        self._execution_id = execution_id
        self._check = check
        self._registered = registered
        self._least: int | None = None
        self._withheld: State | None = None
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def __enter__(self) -> Self:
        self._registered.setdefault(self._execution_id, set()).add(self)
        return self

    def __exit__(self, *_: object) -> None:
        waits = self._registered.get(self._execution_id, set())
        waits.discard(self)
        if not waits:
            self._registered.pop(self._execution_id, None)
        if self.future.done() and not self.future.cancelled():
            self.future.exception()  # seen, even if the caller was cancelled meanwhile
        self.future.cancel()

    def begin(self, current: State) -> None:
        """Look at the state that was read after registering, or a newer one offered meanwhile."""
        self._least = current.version
        withheld, self._withheld = self._withheld, None
        is_newer = withheld is not None and withheld.version > current.version
        self.offer(withheld if withheld is not None and is_newer else current)

    def offer(self, state: State) -> None:
        """Look at a state."""
        if self.future.done():
            return
        if self._least is None:
            if self._withheld is None or state.version > self._withheld.version:
                self._withheld = state
            return
        if state.version < self._least:
            return
        try:
            result = self._check(state)
        except Exception as error:
            self.future.set_exception(error)
            return
        if result is not NOT_YET:
            self.future.set_result(result)


class Waiters:
    """All waits of this process, by execution."""

    def __init__(self) -> None:
        self._waits: dict[str, set[Wait]] = {}

    def __len__(self) -> int:
        return sum(map(len, list(self._waits.values())))  # from any thread

    @property
    def executions(self) -> Collection[str]:
        """The executions that somebody waits for."""
        return self._waits.keys()

    def waiting(self, execution_id: str, check: Check) -> Wait:
        """A wait that is registered for as long as its `with` block runs."""
        return Wait(execution_id, check, self._waits)

    def offer(self, state: State) -> None:
        """Show a state to those who wait for its execution."""
        for wait in tuple(self._waits.get(state.execution_id, ())):
            wait.offer(state)

    def close(self, why: str = "Journey was closed") -> None:
        """Nobody will offer a state any more."""
        for waits in self._waits.values():
            for wait in waits:
                if not wait.future.done():
                    wait.future.set_exception(DatabaseUnavailable(why))
