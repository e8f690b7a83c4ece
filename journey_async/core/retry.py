"""How often a node is tried, and how long to wait in between."""

from typing import Annotated, TypeAlias

from pydantic import Field, field_validator

from journey_async.core.functions import FUNCTION, Function
from journey_async.core.model import Model

TEN_YEARS = 10 * 365 * 86400.0  # seconds

# a class of errors is given, and a Function that holds it, or its name, is what is kept
ErrorField: TypeAlias = Annotated[type[BaseException] | Function, FUNCTION]


class Retry(Model):
    """Attempts since the newest upstream change, with exponential backoff and full jitter.

    `max_attempts` counts all attempts, the first included. Before attempt n + 1 the node waits
    `initial_delay * factor ** (n - 1)` seconds, at most `max_delay`; with `jitter` a random share
    of that (as in "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). An error that is
    an instance of one of `give_up_on` ends the attempts.
    """

    max_attempts: int = Field(default=3, ge=1, le=1_000_000, strict=True)
    initial_delay: float = Field(default=1.0, ge=0, le=TEN_YEARS, strict=True)
    factor: float = Field(default=2.0, ge=1, allow_inf_nan=False, strict=True)
    max_delay: float = Field(default=60.0, ge=0, le=TEN_YEARS, strict=True)
    jitter: bool = Field(default=True, strict=True)
    give_up_on: tuple[ErrorField, ...] = ()

    def delay(self, attempt: int, chance: float) -> float:
        """Seconds to wait after `attempt` (from 1) failed; `chance` is random in [0, 1)."""
        try:
            ceiling = min(self.initial_delay * self.factor ** (attempt - 1), self.max_delay)
        except OverflowError:  # a thousandth attempt
            ceiling = self.max_delay if self.initial_delay else 0.0
        return ceiling * chance if self.jitter else ceiling

    def gives_up_on(self, error: BaseException) -> bool:
        """Whether the error ends the attempts."""
        held = [kind.call for kind in self.give_up_on if isinstance(kind, Function)]
        return isinstance(error, tuple(call for call in held if isinstance(call, type)))

    @property
    def names(self) -> list[str]:
        """The errors in `give_up_on` that are just named, as in a description."""
        return [k.name for k in self.give_up_on if isinstance(k, Function) and k.call is None]

    @field_validator("give_up_on", mode="before")
    @classmethod
    def _several(cls, given: object) -> object:
        return (given,) if isinstance(given, type) else given

    @field_validator("give_up_on")
    @classmethod
    def _exceptions(cls, given: tuple[Function, ...]) -> tuple[Function, ...]:
        for kind in given:
            known = kind.call is not None
            if known and not (isinstance(kind.call, type) and issubclass(kind.call, BaseException)):
                raise ValueError(f"must hold exception classes, not {kind.call!r}")
        return given
