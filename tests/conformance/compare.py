"""Compares a step of ours with the recorded one, in our spelling."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.conformance import rules, spelling, texts
from tests.conformance.normalise import normalised
from tests.conformance.outcome import NotCompared, Ok, Outcome, Raised
from tests.conformance.watching import Divergence

TEXT_OPS = frozenset(
    {"introspect", "computation_status_text", "waiting_for", "mermaid_graph", "mermaid_execution"}
)
FIGURES = frozenset({"status", "flow_analytics"})
ENDS = "flow_ends_here_"
MAX_SHOWN = 160
ENTRY = {"node", "value", "metadata", "revision", "timestamp"}


@dataclass
class Comparison:
    """What has to be known of a scenario to compare a step of it."""

    executions: list[str] = field(default_factory=list)  # ids of ours
    unstable: list[str] = field(default_factory=list)
    markers: dict[str, str] = field(default_factory=dict)  # of mutate nodes
    archived: bool = False  # the execution of the step
    divergence: Divergence = field(default_factory=Divergence)

    def difference(
        self, index: int, op: Mapping[str, Any], theirs: Mapping[str, Any], outcome: Outcome
    ) -> str | None:
        """What differs, in a few words; None: nothing."""
        if self.divergence.covers(op):
            return None
        match outcome:
            case NotCompared():
                return None
            case Raised(error):
                if "raised" in theirs:
                    if spelling.error_fits(theirs["raised"], error):
                        return None
                    return f"raised {_named(error)}, recorded {_shown(theirs['raised'])}"
                if rules.may_refuse(op, error):
                    return None
                return f"raised {_named(error)}, recorded {_shown(theirs['ok'])}"
            case Ok(value):
                ours = newest_first(normalised(value, self.executions), ours=True)
                if "raised" in theirs:
                    if rules.may_answer(op, theirs["raised"], archived=self.archived):
                        return None
                    return f"gave {_shown(ours)}, recorded {_shown(theirs['raised'])}"
                wanted = self._expected(op, theirs["ok"])
                ours, wanted = (self.divergence.masked(op["op"], s) for s in (ours, wanted))
                for path, mine, its in self._differences(op, ours, wanted):
                    full = f"$.results[{index}].ok{path}"
                    if self.divergence.passes(path, mine, its):
                        continue
                    if not any(_under(full, known) for known in self.unstable):
                        where = f"at {path[1:] if path.startswith('.') else path}: " if path else ""
                        return f"{where}{_shown(mine)}, recorded {_shown(its)}"
        return None

    def _differences(
        self, op: Mapping[str, Any], ours: Any, theirs: Any
    ) -> Iterator[tuple[str, Any, Any]]:
        if (
            isinstance(ours, str)
            and isinstance(theirs, str)
            and (op["op"] in TEXT_OPS or op.get("format") == "text")
        ):
            found = texts.difference(op["op"], ours, theirs)
            if found is not None:
                yield ("", *found)
            return
        if op.get("sorted") and isinstance(ours, list):
            ours, theirs = sorted(ours, key=json.dumps), sorted(theirs, key=json.dumps)
        if op["op"] in FIGURES:
            ours = _figures(ours, theirs)
        if op["op"] == "on_save_events":
            ours, theirs = (sorted(side, key=_event_order) for side in (ours, theirs))
        yield from differences(ours, theirs)

    def _expected(self, op: Mapping[str, Any], theirs: Any) -> Any:
        """The recorded result in our spelling."""
        if isinstance(theirs, str) and (op["op"] in TEXT_OPS or op.get("format") == "text"):
            return spelling.text(theirs)
        if op["op"] in ("computations", "summary_data"):
            return _with_our_errors(theirs)
        if op["op"] == "on_save_events":
            return [self._expected_event(event) for event in theirs]
        if op["op"] == "archive_twice_same" and isinstance(theirs, dict) and len(theirs) == 1:
            return next(iter(theirs.values()))
        return newest_first(spelling.marker(theirs))

    def _expected_event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        value = event["value"]
        if event["status"] == "error":
            value = spelling.reason_of_failure(value)
        elif event["node"] in self.markers:
            value = self.markers[event["node"]]
        return {**event, "value": newest_first(value)}


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Paths at which two JSON values differ, with both sides; 1 equals 1.0, True does not."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted({*ours, *theirs}):
            if key not in ours or key not in theirs:
                yield f"{path}.{key}", ours.get(key, "nothing"), theirs.get(key, "nothing")
            else:
                yield from differences(ours[key], theirs[key], f"{path}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            yield path, ours, theirs
            return
        for position, (mine, its) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(mine, its, f"{path}[{position}]")
    elif isinstance(ours, bool) is not isinstance(theirs, bool) or ours != theirs:
        yield path, ours, theirs


def newest_first(value: Any, *, ours: bool = False) -> Any:
    """Histories newest first, also within one run; ours must be so already (rule "histories")."""
    if isinstance(value, dict):
        return {key: newest_first(held, ours=ours) for key, held in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(e, dict) and e.keys() == ENTRY for e in value):
            revisions = [entry["revision"] for entry in value]
            if ours and revisions != sorted(revisions, reverse=True):
                return value
            return sorted(value, key=lambda entry: (-entry["revision"], entry["node"]))
        return [newest_first(item, ours=ours) for item in value]
    return value


def _figures(ours: Any, theirs: Any) -> Any:
    """Ours without what only we tell, and with theirs for where flows end (rule "figures")."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        fewer = ours.get(f"{ENDS}count", 0) <= theirs.get(f"{ENDS}count", 0)
        return {
            key: theirs[key] if key.startswith(ENDS) and fewer else _figures(ours[key], theirs[key])
            for key in theirs
            if key in ours
        }
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [_figures(mine, its) for mine, its in zip(ours, theirs, strict=True)]
    return ours


def _with_our_errors(rows: Any) -> Any:
    if isinstance(rows, list):
        return [_with_our_errors(item) for item in rows]
    if isinstance(rows, dict):
        mapped = {
            key: _with_our_errors(item) if isinstance(item, list) else item
            for key, item in rows.items()
        }
        if isinstance(mapped.get("error"), str):
            mapped["error"] = spelling.stored_error(mapped["error"])
        return mapped
    return rows


def _event_order(event: Mapping[str, Any]) -> str:
    return json.dumps([event["node"], event["scope"], event["value"]], sort_keys=True)


def _under(path: str, unstable: str) -> bool:
    return path == unstable or re.match(re.escape(unstable) + r"[.\[]", path) is not None


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:MAX_SHOWN]


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, default=repr)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
