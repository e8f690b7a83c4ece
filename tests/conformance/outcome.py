"""What a step gave: a result, an error, or something that cannot be compared."""

from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.conformance.rules import RULES


class NoCounterpart(Exception):
    """The scenario needs something that Python does not have; it is skipped."""


@dataclass(frozen=True)
class Ok:
    """A step returned."""

    value: Any


@dataclass(frozen=True)
class Raised:
    """A step raised."""

    error: Exception


@dataclass(frozen=True)
class NotCompared:
    """There is nothing to compare here; `rule` says why (`rules.RULES`)."""

    rule: str

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise AssertionError(f"there is no rule {self.rule!r}")


Outcome: TypeAlias = Ok | Raised | NotCompared
