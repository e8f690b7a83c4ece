"""What the original's call would have returned, worked out of what ours returned.

Ours returns the execution as of the command, with all that follows in the same commit. The
original returns an earlier state in three cases (`rules`: "the execution that a write returns"):
a write of many values does not know what it will begin; steps without a function of the user's
(historian, archive) run later; a write that changes nothing gives back what it was handed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from journey_async import Execution, NodeValue
from journey_async.core.values import ComputationState


@dataclass(frozen=True)
class Handle:
    """An execution as last returned; `revision`, `values`, `archived` as the original shows it."""

    execution: Execution
    revision: int
    values: Mapping[str, NodeValue]
    archived: bool

    @property
    def result(self) -> dict[str, Any]:
        """What a write reports."""
        return {"revision": self.revision, "archived": self.archived}

    @property
    def is_behind(self) -> bool:
        """Whether the original's object does not know yet what ours knows."""
        return self.revision != self.execution.revision


def as_it_is(execution: Execution) -> Handle:
    """A handle for an execution that was just loaded."""
    archived = execution.archived_at is not None
    return Handle(execution, execution.revision, execution.values, archived)


def changed(before: Execution, after: Execution, nodes: Iterable[str]) -> bool:
    """Whether a write of these nodes changed anything."""
    return any(after.values[n].revision != before.values[n].revision for n in nodes)


def as_returned(
    before: Execution | None, after: Execution, nodes: Iterable[str], *, many: bool
) -> Handle:
    """The handle for an effective write; `before` is None for an execution that was started."""
    own = max((after.values[node].revision for node in nodes), default=0)
    begun = [c for c in after.computations if (c.revision_at_start or 0) > own]
    ran = {c.node for c in begun if c.state is ComputationState.SUCCESS}
    direct = [c for c in begun if not any(n in ran and r > own for n, r in c.computed_with.items())]
    cleared = [v for v in after.values.values() if not v.is_set and v.revision > own]
    values = dict(after.values)
    for node in ran:
        if before is not None:
            values[node] = before.values[node]
        else:
            values[node] = NodeValue(node, after.values[node].kind)
    revision = own + len(cleared) + (0 if many else len(direct))
    archived = (after if before is None else before).archived_at is not None
    return Handle(after, revision, values, archived if ran else after.archived_at is not None)
