"""What differs from run to run, made equal, in ours as the recordings have it in theirs."""

import re
from collections.abc import Collection
from datetime import datetime
from enum import Enum
from typing import Any

EXEC, COMPUTATION, TIME, NUMBER = "<EXEC>", "<CMP>", "<TS>", "<N>"
FIRST_SECOND, LAST_SECOND = 1_600_000_000, 2_200_000_000
DURATIONS = frozenset(
    {
        "average_time_to_reach",
        "duration_avg_seconds_to_last_update",
        "duration_median_seconds_to_last_update",
    }
)
TIMES = frozenset({"most_recently_created", "most_recently_updated", "archived_at"})

_TEXTS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(rf"{EXEC}:[^\s:)]+:\d+"), COMPUTATION),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?( UTC)?"), TIME),
    (re.compile(r"\b(1[6-9]\d{8}|2[01]\d{8})(\.\d+)?\b"), TIME),
    (re.compile(r"\d[\d,]* seconds? ago"), f"{NUMBER} seconds ago"),
    (re.compile(r"(Duration:) [\d,]+ seconds?"), rf"\1 {NUMBER} seconds"),
    (re.compile(r"(completed: <TS>) \([^)\n]*\)"), rf"\1 ({NUMBER}s)"),
    (re.compile(r"running for [^\n]*"), f"running for {NUMBER}s"),
    (
        re.compile(r"(Average time to reach|Average duration|Median duration): [\d,.]+ seconds?"),
        rf"\1: {NUMBER} seconds",
    ),
    (re.compile(r"\bgraph_[0-9a-f]{8}\b"), "graph_<HASH>"),
]


def normalised(value: Any, executions: Collection[str], key: str = "") -> Any:
    """A result of ours as a recording of it would be; `executions` are the ids to hide."""
    if key in DURATIONS:
        return NUMBER
    if key in TIMES and value is not None:
        return TIME
    match value:
        case bool() | None:
            return value
        case Enum():
            return value.value
        case datetime():
            return TIME
        case int() | float() if FIRST_SECOND <= value <= LAST_SECOND:
            return TIME
        case str():
            return _text(value, executions)
        case dict():
            return {
                _text(str(k), executions): normalised(v, executions, k) for k, v in value.items()
            }
        case list() | tuple():
            return [normalised(item, executions) for item in value]
    return value


def _text(text: str, executions: Collection[str]) -> str:
    for execution_id in executions:
        text = text.replace(execution_id, EXEC)
    for pattern, replacement in _TEXTS:
        text = pattern.sub(replacement, text)
    return text
