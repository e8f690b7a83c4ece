"""What a node holds (`NodeValue`) and one attempt at computing it (`Computation`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, NamedTuple

from typing_extensions import TypeVar

from journey_async.core.jsonvalue import JSON

T = TypeVar("T", default=Any)


class NodeKind(StrEnum):
    """What a node is; the spelling in the database, in descriptions and in texts."""

    INPUT = "input"
    COMPUTE = "compute"
    MUTATE = "mutate"
    HISTORIAN = "historian"
    ARCHIVE = "archive"
    TICK_ONCE = "tick_once"
    TICK_RECURRING = "tick_recurring"
    LOOP = "loop"


TICKS = frozenset({NodeKind.TICK_ONCE, NodeKind.TICK_RECURRING})


class ComputationState(StrEnum):
    """Where a computation is; the spelling in the database and in texts."""

    AVAILABLE = "available"
    COMPUTING = "computing"
    SUCCESS = "success"
    FAILED = "failed"
    ABANDONED = "abandoned"
    CANCELLED = "cancelled"


# By name: Python 3.11 takes 0.2 us to find a member in its enum, and a commit asks for forty.
AVAILABLE, COMPUTING, SUCCESS, FAILED, ABANDONED, CANCELLED = ComputationState

ACTIVE = frozenset({AVAILABLE, COMPUTING})
UNSUCCESSFUL = frozenset({FAILED, ABANDONED})

WITH_FALLBACK, NO_FALLBACK = "cont_with_fallback", "cont_no_fallback"  # what an iteration wants
MAX_ITERATIONS_REACHED = "max_iterations_reached"
LEFT_THE_GRAPH = "the node left the graph"  # stored, and recognised by that: it stays as it is


@dataclass(frozen=True, slots=True)
class NodeValue(Generic[T]):
    """A node of an execution, set or not.

    `revision` is that of the newest event that set, changed or cleared it (0: never set);
    `set_time` is when, in UTC, and None exactly when the node is not set. `metadata` is what the
    caller gave with the value.
    """

    name: str
    kind: NodeKind
    value: T = None  # type: ignore[assignment]  # while it is not set
    metadata: Any = None
    revision: int = 0
    set_time: datetime | None = None

    @property
    def is_set(self) -> bool:
        """Whether the node has a value; None is one."""
        return self.set_time is not None


class ComputationKey(NamedTuple):
    """A computation within its execution: the node, and which computation of it (from 1)."""

    node: str
    number: int

    def id_in(self, execution_id: str) -> str:
        """The computation's id: that of the execution, the node's name, and the number."""
        return f"{execution_id}:{self.node}:{self.number}"


class Computation(NamedTuple):
    """One attempt at computing a node, or one attempt at one iteration of a loop.

    `attempt` counts from 1 since the newest upstream change; `computed_with` maps each upstream
    node whose condition held to the revision of its value. Times are in UTC: it may begin at
    `due_at`, and is given up at its `deadline`. `worker` is who runs it, or ran it last; `deaths`
    counts the workers that died of it in a row; `error` is what a failed one raised. After one that
    is `permanent` nothing more is tried on its inputs, by the node's options at its end.
    `trace_context` leads to the call that unblocked it, where calls are traced.

    For the engine: `token` fences its result; `successes` counts those of the node so far;
    `carried` is what a loop takes into its next iteration, or what a historian has seen;
    `disposition` says of an iteration that it wants another one, and whether with a fallback.
    """

    execution_id: str
    node: str
    number: int
    kind: NodeKind
    state: ComputationState
    computed_with: Mapping[str, int]
    created_at: datetime
    attempt: int = 1
    iteration: int | None = None
    due_at: datetime | None = None
    started_at: datetime | None = None
    deadline: datetime | None = None
    completed_at: datetime | None = None
    revision_at_start: int | None = None
    revision_at_completion: int | None = None
    worker: str | None = None
    token: int | None = None
    deaths: int = 0
    successes: int = 0
    permanent: bool = False
    error: str | None = None
    carried: JSON = None
    disposition: str | None = None
    trace_context: str | None = None

    @property
    def id(self) -> str:
        """The computation's id: that of the execution, the node's name, and a number."""
        return self.key.id_in(self.execution_id)

    @property
    def key(self) -> ComputationKey:
        """Its place within the execution."""
        return ComputationKey(self.node, self.number)


def has_failed(computation: Computation) -> bool:
    """Whether nothing more is tried on its inputs, and the node got no value of it."""
    return computation.permanent and (
        computation.state in UNSUCCESSFUL or computation.disposition == NO_FALLBACK
    )


def was_dropped(computation: Computation) -> bool:
    """Whether it ended because its node had left the graph: no failure, should the node be back."""
    return computation.state is ABANDONED and computation.error == LEFT_THE_GRAPH


def failure_of(computation: Computation) -> str:
    """Why one that `has_failed` did; a loop's last iteration raised nothing, and wanted another."""
    return computation.error or MAX_ITERATIONS_REACHED
