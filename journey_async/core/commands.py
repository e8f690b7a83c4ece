"""What can happen to an execution."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from journey_async.core.jsonvalue import JSON
from journey_async.core.values import ComputationKey


@dataclass(frozen=True, slots=True)
class Start:
    """The execution begins; `values` are set in the same change. `checked_by`: as of SetValues."""

    values: Mapping[str, JSON]
    checked_by: str | None = None


@dataclass(frozen=True, slots=True)
class SetValues:
    """A caller sets inputs, all with the same metadata; the values are normalised.

    `checked_by` is the hash of the definition by whose types they were checked; None: by no other
    than the execution has.
    """

    values: Mapping[str, JSON]
    metadata: JSON = None
    checked_by: str | None = None


@dataclass(frozen=True, slots=True)
class UnsetValues:
    """A caller unsets inputs."""

    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Succeed:
    """An attempt has its result.

    `continues`: an iteration of a loop returned Continue; `fallback`: with `fallback=True`. `value`
    is normalised, and of the type of what it will be written to.
    """

    key: ComputationKey
    token: int
    value: JSON
    continues: bool = False
    fallback: bool = False


@dataclass(frozen=True, slots=True)
class Fail:
    """An attempt failed; `permanent`: trying again would not help."""

    key: ComputationKey
    token: int
    error: str
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class Abandon:
    """An attempt is given up, at its deadline or by an operator (then without a token)."""

    key: ComputationKey
    token: int | None = None
    error: str = "timeout"


@dataclass(frozen=True, slots=True)
class Release:
    """A worker no longer runs what it began; `died`: it was not asked to stop."""

    worker: str
    died: bool
    keys: tuple[ComputationKey, ...] | None = None


@dataclass(frozen=True, slots=True)
class RetryNode:
    """An operator wants one more attempt at a node."""

    node: str


@dataclass(frozen=True, slots=True)
class Wake:
    """The time has come, there is room, or somebody wrote who could not settle: what is due begins.

    (So it does with any command, by whoever comes first.)
    """


@dataclass(frozen=True, slots=True)
class Evolve:
    """The graph has changed under the same name and version."""


@dataclass(frozen=True, slots=True)
class Archive:
    """Nothing of the execution runs any more."""


@dataclass(frozen=True, slots=True)
class Unarchive:
    """The execution carries on."""


Event: TypeAlias = (
    Start
    | SetValues
    | UnsetValues
    | Succeed
    | Fail
    | Abandon
    | Release
    | RetryNode
    | Wake
    | Evolve
    | Archive
    | Unarchive
)


@dataclass(frozen=True, slots=True)
class Ends:
    """Attempts have ended one after the other, each an event of its own."""

    ends: tuple[Succeed | Fail, ...]


Command: TypeAlias = Event | Ends
