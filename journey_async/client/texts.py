"""How states, numbers and times look in all texts for people."""

import json
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from journey_async.core.state import NOT_SET_STATE

GLYPHS = {
    NOT_SET_STATE: "⬜",
    "computing": "⏳",
    "success": "✅",
    "failed": "❌",
    "abandoned": "❓",
    "cancelled": "🛑",
}


NOT_A_STEP = "📝 not_compute_node (input nodes do not compute)"


def state_text(state: str) -> str:
    """A state as `shown_state` gives it: `✅ success`."""
    note = " (not yet attempted)" if state == NOT_SET_STATE else ""
    return f"{GLYPHS.get(state, '?')} {state}{note}"


def value_text(value: object) -> str:
    """A value as JSON, on one line."""
    return json.dumps(value, ensure_ascii=False)


def compact(count: int) -> str:
    """A count in at most a few characters: 999, 1.2k, 3.5M."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{rounded(count / size, 1)}{unit}"
    return str(count)


def rounded(number: float, digits: int) -> float:
    """The number with so many decimals, a half away from zero."""
    return float(Decimal(number).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def stamp(time: datetime) -> str:
    """A time in UTC, to the second: 2026-04-23 05:52:45Z."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def iso(time: datetime) -> str:
    """A time in UTC by ISO 8601, to the second: 2026-04-23T05:52:45Z."""
    return stamp(time).replace(" ", "T")


def seconds_between(earlier: datetime, later: datetime) -> int:
    """Whole seconds from one time to another; 0 if clocks disagree about their order."""
    return max(0, int((later - earlier).total_seconds()))


def span(seconds: int) -> str:
    """A duration: 14s, 2m 5s, 1h 2m 3s."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes}m {rest}s"
    return f"{minutes}m {rest}s" if minutes else f"{rest}s"
