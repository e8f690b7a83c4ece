"""Reads the arguments of commands."""

import json
import re
from collections.abc import Sequence
from datetime import timedelta

from journey_async.errors import InvalidOptionError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse_values(assignments: Sequence[str]) -> dict[str, object]:
    """The values of `x=12 name=Mario flags='["a"]'`: JSON where it is JSON, else a text."""
    values: dict[str, object] = {}
    for name, value in map(_assignment, assignments):
        if name in values:
            raise InvalidOptionError(f"node {name!r} is named twice; give it one value")
        values[name] = value
    return values


def _assignment(given: str) -> tuple[str, object]:
    name, is_one, text = given.partition("=")
    if not is_one or not name:
        raise InvalidOptionError(f"NODE=VALUE is wanted, as in x=12, not {given!r}")
    return name, parse_value(text)


def parse_value(text: str) -> object:
    """JSON where it is JSON, else a text: 12, true, null, "12", {"a": 1}, Mario."""
    try:
        return json.loads(text)
    except RecursionError:
        raise InvalidOptionError("a value is nested deeper than any that can be stored") from None
    except ValueError:
        if re.fullmatch(r"\s*-?[1-9][0-9]*\s*", text):  # one that Python does not read
            raise InvalidOptionError(
                f"a number of {len(text.strip()):,} digits is more than can be stored; put it in "
                f"quotes to have it as a text"
            ) from None
        return text


def parse_order(given: Sequence[str]) -> list[tuple[str, str]]:
    """What to order by: NAME, or NAME:desc."""
    found = []
    for item in given:
        name, _, direction = item.rpartition(":")
        if direction in ("asc", "desc") and name:
            found.append((name, direction))
        else:
            found.append((item, "asc"))
    return found


def parse_duration(text: str) -> timedelta:
    """A duration as in 90s, 15m, 12h, 30d or 2w.

    A bare number could be taken for days, where it deletes what is older.
    """
    match = re.fullmatch(r"(\d{1,7}(?:\.\d+)?)([smhdw])", text)
    if match is None:
        raise InvalidOptionError(
            f"a duration with its unit is wanted, as in 90s, 15m, 12h or 30d, not {text!r}"
        )
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
