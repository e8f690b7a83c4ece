"""How often a node is tried, and how long to wait in between."""

import math
from typing import Any

from pydantic import Field, field_serializer, field_validator

from journey_async.core.model import Model


class Retry(Model):
    """Attempts since the newest upstream change, with exponential backoff and full jitter.

    `max_attempts` counts all attempts, the first included. Before attempt n + 1 the node waits
    `initial_delay * factor ** (n - 1)` seconds, at most `max_delay`; with `jitter` a random share
    of that (as in "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). An error that is
    an instance of one of `give_up_on` ends the attempts.
    """

    max_attempts: int = Field(default=3, ge=1, le=1_000_000)
    initial_delay: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    factor: float = Field(default=2.0, ge=1, allow_inf_nan=False)
    max_delay: float = Field(default=60.0, ge=0, allow_inf_nan=False)
    jitter: bool = True
    give_up_on: tuple[Any, ...] = ()

    def delay(self, attempt: int, chance: float) -> float:
        """Seconds to wait after `attempt` (from 1) failed; `chance` is random in [0, 1)."""
        if self.initial_delay <= 0 or self.max_delay <= 0:
            return 0.0
        # compared as logarithms, so that a thousandth attempt does not overflow
        doublings = (attempt - 1) * math.log(self.factor)
        capped = doublings >= math.log(self.max_delay) - math.log(self.initial_delay)
        ceiling = self.max_delay if capped else self.initial_delay * self.factor ** (attempt - 1)
        return ceiling * chance if self.jitter else ceiling

    def gives_up_on(self, error: BaseException) -> bool:
        """Whether the error ends the attempts."""
        return isinstance(error, tuple(kind for kind in self.give_up_on if isinstance(kind, type)))

    @field_validator("give_up_on", mode="before")
    @classmethod
    def _several(cls, given: object) -> object:
        return (given,) if isinstance(given, type) else given

    @field_validator("give_up_on")
    @classmethod
    def _exceptions(cls, given: tuple[Any, ...]) -> tuple[Any, ...]:
        for kind in given:
            if isinstance(kind, type) and issubclass(kind, BaseException):
                continue
            if not isinstance(kind, str):
                raise ValueError(f"must hold exception classes, not {kind!r}")
        return given

    @field_serializer("give_up_on", when_used="json")
    def _names(self, given: tuple[Any, ...]) -> list[str]:
        return [k if isinstance(k, str) else f"{k.__module__}.{k.__qualname__}" for k in given]
