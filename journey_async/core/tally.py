"""What a change does to the figures of its graph: so that they need not be counted."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple

from journey_async.core.graph import Graph
from journey_async.core.state import NOT_SET_STATE, Contents, State, shown_state
from journey_async.core.values import (
    ABANDONED,
    COMPUTING,
    FAILED,
    SUCCESS,
    Computation,
    ComputationKey,
    ComputationState,
)


class Tally(NamedTuple):
    """How many more there are: executions, steps that are `not_set`, computations by state.

    `created_at` and `updated_at` are when a computation was created last, and when anything last
    happened to one.
    """

    active: int = 0
    archived: int = 0
    not_set: int = 0
    success: int = 0
    failed: int = 0
    computing: int = 0
    abandoned: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None

    def plus(self, later: "Tally") -> "Tally":
        """Both together."""
        if self is NOTHING:
            return later
        return Tally(
            self.active + later.active,
            self.archived + later.archived,
            self.not_set + later.not_set,
            self.success + later.success,
            self.failed + later.failed,
            self.computing + later.computing,
            self.abandoned + later.abandoned,
            _later(self.created_at, later.created_at),
            _later(self.updated_at, later.updated_at),
        )


NOTHING = Tally()
_ZEROES = dict.fromkeys(ComputationState, 0)


def steps_not_set(graph: Graph, before: State, after: Contents, touched: Collection[str]) -> int:
    """How many steps of the state `after` are that; only `touched` nodes differ from `before`."""
    steps = graph.steps
    if before.version == 0:
        return len(steps) - sum(not _is_not_set(after, name) for name in touched if name in steps)
    if before.graph_hash != after.graph_hash:
        return sum(_is_not_set(after, name) for name in steps)
    not_set = before.not_set
    for name in touched:
        if name in steps:
            not_set += _is_not_set(after, name) - _is_not_set(before, name)
    return not_set


def _is_not_set(state: Contents, step: str) -> bool:
    return shown_state(state, step) == NOT_SET_STATE


def tally_of(
    before: State, after: State, computations: Mapping[ComputationKey, Computation]
) -> Tally:
    """What has become of the figures; `computations` are those that differ."""
    existed = before.version > 0
    was, is_now = before.archived_at is not None, after.archived_at is not None
    more = _ZEROES.copy()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    for key, now in computations.items():
        more[now.state] += 1
        old = before.newest.get(key.node)
        if old is not None and old.number == key.number:
            more[old.state] -= 1
        created_at = _later(created_at, now.created_at)
        updated_at = _later(updated_at, now.completed_at or now.started_at or now.created_at)
    return Tally(
        active=(not is_now) - (existed and not was),
        archived=is_now - (existed and was),
        not_set=after.not_set - (before.not_set if existed else 0),
        success=more[SUCCESS],
        failed=more[FAILED],
        computing=more[COMPUTING],
        abandoned=more[ABANDONED],
        created_at=created_at,
        updated_at=updated_at,
    )


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return max(one, other)
