"""What an iteration of a loop returns."""

from dataclasses import dataclass
from typing import Any, Generic

from typing_extensions import TypeVar

from journey_async.errors import InvalidOptionError

T_co = TypeVar("T_co", default=Any, covariant=True)


@dataclass(frozen=True, slots=True)
class Done(Generic[T_co]):
    """The loop ends with this value."""

    value: T_co


@dataclass(frozen=True, slots=True)
class Continue(Generic[T_co]):
    """The loop goes on; the value is carried into the next iteration.

    `fallback`: should the iterations be used up, the value becomes the node's.
    """

    value: T_co
    fallback: bool = False

    def __post_init__(self) -> None:
        """Raises InvalidOptionError."""
        if not isinstance(self.fallback, bool):
            raise InvalidOptionError(f"fallback is True or False, not {self.fallback!r:.80}")
