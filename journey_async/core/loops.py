"""What an iteration of a loop returns."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Done:
    """The loop ends with this value."""

    value: Any


@dataclass(frozen=True, slots=True, kw_only=False)
class Continue:
    """The loop goes on; the value is carried into the next iteration.

    `fallback`: should the iterations be used up, the value becomes the node's.
    """

    value: Any
    fallback: bool = False
