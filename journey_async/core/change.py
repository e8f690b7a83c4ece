"""A Change: everything that is written because of a command, and what is due once it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

from journey_async.core.conditions import Predicate
from journey_async.core.jsonvalue import JSON
from journey_async.core.state import State
from journey_async.core.tally import NOTHING, Tally
from journey_async.core.values import Computation, ComputationKey


@dataclass(frozen=True, slots=True)
class Saved:
    """An outcome: the node's new value, and the revision at which it was set."""

    value: JSON
    revision: int


@dataclass(frozen=True, slots=True)
class SaveFailed:
    """An outcome: why the node has no new value, and will not have one without a new input.

    `kind` is "error" for what its function raised, "timeout" for attempts that were abandoned, by
    the deadline or an operator, and "max_iterations" for a loop that did not end.
    """

    reason: str
    kind: Literal["error", "timeout", "max_iterations"]


Outcome: TypeAlias = Saved | SaveFailed


class Begun(NamedTuple):
    """A computation that this process has to run, with the state that it was begun on.

    `due_at` is since when it could have been begun.
    """

    computation: Computation
    state: State
    due_at: datetime | None = None


class Pruning(NamedTuple):
    """Successful computations of a node to delete: those between the oldest and the latest."""

    node: str
    above: int
    below: int


class Change(NamedTuple):
    """What becomes of an execution.

    It may be written only over the version `expected` (0: the execution does not exist yet).
    `values` and `computations` are what differs, `prunings` what is deleted; `state` is the whole
    afterwards. `announces`: it has a new time to wake at, which other processes must hear of;
    `is_due`: that has come, and whoever has the code and room is wanted. `slot`: the execution is
    to become the live one of this singleton graph. `tally` is what it adds to the figures of the
    graph. Once it is written, `begun` is run here, and `outcomes` are for `on_save`; `failures`,
    predicates that raised, are logged. A change that is not `written` leaves everything as it is.
    """

    expected: int
    state: State
    values: frozenset[str] = frozenset()
    computations: Mapping[ComputationKey, Computation] = MappingProxyType({})
    begun: tuple[Begun, ...] = ()
    outcomes: tuple[tuple[str, Outcome], ...] = ()
    prunings: tuple[Pruning, ...] = ()
    announces: bool = False
    is_due: bool = False
    slot: str | None = None
    failures: tuple[tuple[str, Predicate, BaseException], ...] = ()
    tally: Tally = NOTHING

    @property
    def written(self) -> bool:
        """Whether there is anything to write."""
        return self.state.version != self.expected

    def then(self, later: "Change") -> "Change":
        """This change and one that was decided upon it, as one write."""
        if not self.written and not self.failures:
            return later
        tally = self.tally.plus(later.tally)
        comes_alive = tally.active > 0  # else it has the slot already, or leaves it
        return later._replace(
            expected=self.expected,
            values=self.values | later.values,
            computations={**self.computations, **later.computations},
            begun=tuple(b for b in self.begun + later.begun if _still_runs(b, later.state)),
            outcomes=self.outcomes + later.outcomes,
            prunings=self.prunings + later.prunings,
            announces=self.announces or later.announces,
            is_due=later.is_due if later.written else self.is_due,
            slot=(later.slot or self.slot) if comes_alive else None,
            failures=self.failures + later.failures,
            tally=tally,
        )


def _still_runs(begun: Begun, state: State) -> bool:
    newest = state.newest.get(begun.computation.node)
    return newest is not None and newest.token == begun.computation.token
