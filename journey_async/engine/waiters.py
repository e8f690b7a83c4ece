"""Waits are futures: they resolve when a state is offered that satisfies them.

A wait registers first, then the caller reads, then it awaits; so nothing that is written in
between is missed. Nothing here polls.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, Self, TypeAlias

from journey_async.core.state import State
from journey_async.errors import DatabaseUnavailable, ExecutionNotFound

NOT_YET = object()
Check = Callable[[State], Any]


class Wait:
    """One caller's wait; `check` gives the result, NOT_YET, or raises what the caller gets.

    It is registered while its `with` block runs. What is offered may have been read before that.
    So the caller reads once it is registered, and `begin`s with what it read: nothing older counts,
    and what is offered sooner is withheld until then.

    A database may lose what was written last, when a standby that was behind takes over. Then the
    wait begins anew with what is there; but one that `ends_on_loss`, for it goes by something that
    the caller knew, ends with DatabaseUnavailable.

    There may be tens of thousands of waits, so each is small.
    """

    __slots__ = (
        "_check",
        "_ends_on_loss",
        "_execution_id",
        "_newest",
        "_timer",
        "_waiters",
        "_withheld",
        "future",
    )

    def __init__(
        self, execution_id: str, check: Check, waiters: "Waiters", ends_on_loss: bool
    ) -> None:
        self._execution_id = execution_id
        self._check = check
        self._waiters = waiters
        self._ends_on_loss = ends_on_loss
        self._timer: asyncio.TimerHandle | None = None
        self._newest: int | None = None
        self._withheld: State | None = None
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def __enter__(self) -> Self:
        self._waiters.add(self._execution_id, self)
        return self

    def __exit__(self, *_: object) -> None:
        self._waiters.discard(self._execution_id, self)
        if self._timer is not None:
            self._timer.cancel()
        if self.future.done() and not self.future.cancelled():
            self.future.exception()  # seen, even if the caller was cancelled meanwhile
        self.future.cancel()

    def begin(self, current: State) -> None:
        """Look at the state that was read after registering, or a newer one offered meanwhile."""
        self._newest = current.version
        withheld, self._withheld = self._withheld, None
        is_newer = withheld is not None and withheld.version > current.version
        self.offer(withheld if withheld is not None and is_newer else current)

    def until(self, deadline: float | None) -> "asyncio.Future[Any]":
        """The future, which raises TimeoutError at the deadline (the event loop's time)."""
        if deadline is not None and not self.future.done():
            self._timer = asyncio.get_running_loop().call_at(deadline, self._expire)
        return self.future

    def _expire(self) -> None:
        self.refuse(TimeoutError())

    def refuse(self, error: Exception) -> None:
        """Let the caller get an error, if there is no result yet."""
        if not self.future.done():
            self.future.set_exception(error)

    @property
    def newest(self) -> int | None:
        """The newest version that was looked at; None before the wait has begun."""
        return self._newest

    def begin_anew(self, state: State, known: int) -> None:
        """Look at a state that was read when `known` was the newest version looked at."""
        if state.version < known:
            if self._ends_on_loss:
                self.refuse(lost(state))
            elif self._newest == known:
                self._newest = state.version
        self.offer(state)

    def offer(self, state: State) -> None:
        """Look at a state."""
        if self.future.done():
            return
        if self._newest is None:
            if self._withheld is None or state.version > self._withheld.version:
                self._withheld = state
            return
        if state.version < self._newest:
            return
        self._newest = state.version
        try:
            result = self._check(state)
        except Exception as error:
            self.future.set_exception(error)
            return
        if result is not NOT_YET:
            self.future.set_result(result)


Known: TypeAlias = Mapping[Wait, int]
NOTHING_KNOWN: Known = MappingProxyType({})


class Waiters:
    """All waits of this process, by execution: a set only where there are several."""

    def __init__(self) -> None:
        self._waits: dict[str, Wait | set[Wait]] = {}

    def __len__(self) -> int:
        waits = list(self._waits.values())  # from any thread
        return sum(len(found) if isinstance(found, set) else 1 for found in waits)

    def add(self, execution_id: str, wait: Wait) -> None:
        """Register a wait."""
        found = self._waits.setdefault(execution_id, wait)
        if isinstance(found, set):
            found.add(wait)
        elif found is not wait:
            self._waits[execution_id] = {found, wait}

    def discard(self, execution_id: str, wait: Wait) -> None:
        """Forget a wait, if it is registered."""
        found = self._waits.get(execution_id)
        if isinstance(found, set):
            found.discard(wait)
            if found:
                return
        elif found is not wait:
            return
        del self._waits[execution_id]

    def _of(self, execution_id: str) -> tuple[Wait, ...]:
        found = self._waits.get(execution_id, ())
        return (found,) if isinstance(found, Wait) else tuple(found)

    @property
    def executions(self) -> Collection[str]:
        """The executions that somebody waits for."""
        return self._waits.keys()

    def waiting(self, execution_id: str, check: Check, *, ends_on_loss: bool = False) -> Wait:
        """A wait that is registered for as long as its `with` block runs."""
        return Wait(execution_id, check, self, ends_on_loss)

    def known(self, execution_id: str) -> Known:
        """The newest versions that those have looked at who wait for an execution."""
        waits = self._of(execution_id)
        return {wait: wait.newest for wait in waits if wait.newest is not None}

    def offer(self, state: State, known: Known = NOTHING_KNOWN) -> None:
        """Show a state to those who wait for its execution.

        Of one that was read from the database: what was `known` when it was asked for.
        """
        for wait in self._of(state.execution_id):
            if wait in known:
                wait.begin_anew(state, known[wait])
            else:
                wait.offer(state)

    def gone(self, execution_id: str) -> None:
        """The execution was purged: there will be no state to offer."""
        for wait in self._of(execution_id):
            wait.refuse(ExecutionNotFound(execution_id))

    def close(self, why: str = "Journey was closed") -> None:
        """Nobody will offer a state any more."""
        for execution_id in self._waits:
            for wait in self._of(execution_id):
                wait.refuse(DatabaseUnavailable(why))


def lost(state: State) -> DatabaseUnavailable:
    """What to tell somebody who knows of something newer than a state that was read after it."""
    return DatabaseUnavailable(
        f"the database has lost what was written last of execution {state.execution_id!r}, which "
        f"is at revision {state.revision} again; read what is there now"
    )
