"""Writes what was decided, and lets follow in this process what follows from it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from journey_async.core.change import Change
from journey_async.core.graph import Graph
from journey_async.engine.cache import StateCache
from journey_async.engine.points import Point, Points
from journey_async.engine.requests import Decision
from journey_async.engine.runner import Runner
from journey_async.store.connecting import Connection
from journey_async.store.store import Store


class Moments(NamedTuple):
    """Before or after writing: a commit at all, beginnings in it, ends of attempts in it."""

    commit: Point
    begin: Point
    record: Point


BEFORE = Moments(Point.BEFORE_COMMIT, Point.BEFORE_BEGIN, Point.BEFORE_RECORD)
AFTER = Moments(Point.AFTER_COMMIT, Point.AFTER_BEGIN, Point.AFTER_RECORD)


class Writer:
    """Writes decisions; `committed` is told of each change that was written."""

    def __init__(
        self,
        *,
        store: Store,
        cache: StateCache,
        runner: Runner,
        sender: str,
        committed: Callable[[Change, Graph], None],
        points: Points,
    ) -> None:
        self._store = store
        self._cache = cache
        self._runner = runner
        self._sender = sender
        self._committed = committed
        self._points = points

    async def write(
        self, decisions: Sequence[Decision], connection: Connection | None = None
    ) -> set[str]:
        """Write, and give the ids of the executions written.

        With a `connection`, nothing is committed before the end of its transaction. Raises
        DatabaseUnavailable, DataRefused.
        """
        self._reach(BEFORE, decisions)
        changes = [decision.change for decision in decisions]
        applied = await self._store.apply(changes, sender=self._sender, connection=connection)
        if connection is None:  # else it is the end of the transaction that commits
            self._points.reach(Point.ANSWER_LOST)
        return applied

    def follow(self, decision: Decision) -> None:
        """Begin, answer and tell what follows from a decision that stands.

        It was written; or it writes nothing, and was decided while the row was held.
        """
        change = decision.change
        self._cache.put_written(change)
        for begun in change.begun:
            self._runner.start(begun, decision.graph)
        self._runner.give_back(decision.reserved - len(change.begun))
        decision.give_answers()
        if change.written:
            self._committed(change, decision.graph)

    def reach_after(self, written: Sequence[Decision]) -> None:
        """Say of which decisions it is known that they were written; nobody has been told yet."""
        if written:
            self._reach(AFTER, written)

    def _reach(self, moments: Moments, decisions: Sequence[Decision]) -> None:
        if not self._points.listen:
            return
        begun = [node for decision in decisions for node in decision.begun()]
        recorded = [node for decision in decisions for node in decision.recorded()]
        self._points.reach(moments.commit, begun + recorded)
        if begun:
            self._points.reach(moments.begin, begun)
        if recorded:
            self._points.reach(moments.record, recorded)
