"""Schedules that a tick can have in place of a function."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import field_validator

from journey_async.core.model import Model
from journey_async.errors import InvalidNodeError

FIELDS = 5  # minute, hour, day of the month, month, day of the week
LONGEST = timedelta(days=36500)


class Cron(Model):
    """A cron expression of five fields, read in an IANA time zone; `cron` checks both.

    Not so the model: a stored one is also read where there is nothing to check it with.
    """

    kind: Literal["cron"] = "cron"
    expression: str
    tz: str = "UTC"

    @property
    def is_readable(self) -> bool:
        """Whether what reads it is installed here."""
        return find_spec("cronsim") is not None

    def next_after(self, now: datetime) -> datetime | None:
        """The first time of the expression after `now`; None if there is none for decades."""
        times = _cronsim()(self.expression, now.astimezone(ZoneInfo(self.tz)))
        found: datetime | None = next(times, None)
        return found


class Every(Model):
    """A fixed interval, counted from the time it last fired at, so that it does not drift."""

    kind: Literal["every"] = "every"
    interval: timedelta

    @field_validator("interval")
    @classmethod
    def _positive(cls, interval: timedelta) -> timedelta:
        if not timedelta(0) < interval <= LONGEST:
            raise ValueError(f"must be longer than nothing, and at most {LONGEST.days} days")
        return interval

    def next_after(self, now: datetime, previous: datetime | None) -> datetime:
        """The next time after `now` that lies whole intervals after `previous` (else after now).

        A `previous` that still lies ahead is it.
        """
        if previous is None:
            return now + self.interval
        if previous > now:
            return previous  # a new input does not disturb the beat
        return previous + ((now - previous) // self.interval + 1) * self.interval


def cron(expression: str, *, tz: str = "UTC") -> Cron:
    """`cron("0 9 * * MON-FRI", tz="Europe/Berlin")`; wants the extra `journey-async[cron]`.

    Raises InvalidNodeError for an expression or a zone that cannot be read, or that never comes.
    """
    schedule = Cron(expression=expression, tz=tz)
    try:
        ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidNodeError(f"{tz!r} is no IANA time zone, such as 'Europe/Berlin'") from None
    if len(expression.split()) != FIELDS:
        raise InvalidNodeError(f"{expression!r} is no cron expression: it needs {FIELDS} fields")
    if schedule.next_after(datetime(2000, 1, 1, tzinfo=UTC)) is None:
        raise InvalidNodeError(f"{expression!r} never comes")
    return schedule


def every(interval: timedelta) -> Every:
    """`every(timedelta(minutes=5))`, without drift."""
    if not isinstance(interval, timedelta):
        raise InvalidNodeError(f"every() wants a timedelta, not {interval!r}")
    return Every(interval=interval)


def _cronsim() -> Callable[[str, datetime], Any]:
    try:
        from cronsim import CronSim, CronSimError
    except ModuleNotFoundError:
        raise InvalidNodeError(
            "cron() needs the package cronsim: pip install 'journey-async[cron]'"
        ) from None

    def parsed(expression: str, start: datetime) -> Any:
        try:
            return CronSim(expression, start)
        except CronSimError as error:
            told = f"{expression!r} is no cron expression: {error}"
            raise InvalidNodeError(told) from None

    return parsed
