"""The one table of spellings, theirs in, ours out: errors, states, texts."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from journey_async.errors import (
    ExecutionArchivedError,
    ExecutionNotFound,
    GraphError,
    InvalidOptionError,
    InvalidValueError,
    JourneyError,
    NotAnInputError,
    SingletonGraphError,
    UnknownNodeError,
)

# --- errors: what theirs says, and which of ours may stand for it ---------------------------------

ERRORS: list[tuple[str, str, tuple[type[Exception], ...]]] = [
    (
        "ArgumentError",
        r"execution not found|not found$",
        (ExecutionNotFound, ExecutionArchivedError),
    ),
    ("RuntimeError", r"is not a valid input node", (UnknownNodeError, NotAnInputError)),
    ("RuntimeError", r"is not a known node", (UnknownNodeError,)),
    ("ArgumentError", r"singleton", (SingletonGraphError,)),
    ("ArgumentError", r"Invalid timeout|Invalid :wait", (InvalidOptionError, TypeError)),
    ("ArgumentError", r"Unknown options|Invalid keyword", (InvalidOptionError, TypeError)),
    ("ArgumentError", r":graph_version requires", (InvalidOptionError,)),
    ("ArgumentError", r"Unsupported (filter|value type)", (InvalidOptionError,)),
    ("ArgumentError", r":reload option is not supported", (InvalidOptionError, TypeError)),
    ("ArgumentError", r"", (JourneyError, TypeError)),
    ("RuntimeError", r"", (JourneyError,)),
    # accidents: all that matters is that ours refuses too, and on purpose
    ("", r"Journey.set/", (InvalidValueError, InvalidOptionError, ExecutionArchivedError)),
    ("", r"", (JourneyError, TypeError)),
]

GRAPH_ERRORS = (GraphError, TypeError)


def error_fits(theirs: Mapping[str, str], ours: Exception) -> bool:
    """Whether an error of ours stands for theirs."""
    for kind, pattern, fitting in ERRORS:
        if kind in ("", theirs["type"]) and re.search(pattern, theirs["message"]):
            return isinstance(ours, fitting)
    return False


# --- texts of failures, as they are stored --------------------------------------------------------

KEPT = ("timeout", "max_iterations_reached")


def stored_error(theirs: str) -> str:
    """The error of a computation: there an inspected reason, here the exception's type and text."""
    try:
        reason = json.loads(theirs)
    except ValueError:
        reason = theirs.strip('"').replace('\\"', '"')
    return reason_of_failure(reason if isinstance(reason, str) else theirs)


def reason_of_failure(theirs: str) -> str:
    """The reason that a callback is told."""
    raised = re.match(r"Exception\. \*\* \((\w+)\) (.*?)(<STACK>|$)", theirs, re.DOTALL)
    if raised:
        return f"{raised[1]}: {raised[2]}"
    return theirs if theirs in KEPT else f"Failed: {theirs}"


# --- texts for people -----------------------------------------------------------------------------

ANY_REVISION = "<revision or none>"
_OTHER_SIGN = {"✅": "🛑", "🛑": "✅"}
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')
_OUTSIDE: list[tuple[str, str]] = [  # outside of quoted strings
    (r"&provided\?/1", "provided"),
    (r"&true\?/1", "is_true"),
    (r"&false\?/1", "is_false"),
    (r"\|provided\?\|", "|provided|"),
    (r"\|true\?\|", "|is_true|"),
    (r"\|false\?\|", "|is_false|"),
    (r"%\{", "{"),
    (r" => ", ": "),
    (r"\bnil\b", "null"),
    (r"(?<![\w>]):(?=[a-zA-Z_])", ""),
]


def _negated_leaf(found: re.Match[str]) -> str:
    """There a negated leaf has the sign of what it negates, here that of what is written."""
    return f"{_OTHER_SIGN[found[1]]} not(:{found[2]}){found[3]}{ANY_REVISION}"


def _error_line(found: re.Match[str]) -> str:
    return f"    error: {json.dumps(stored_error(found[1]), ensure_ascii=False)}"


_ANYWHERE: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"(?m)^    error: (.*)$", _error_line),
    (r"(?m)(✅|🛑) :not\(:(\w+)\)( \| .*?)(?: \| rev \d+)?$", _negated_leaf),
    (r"updated \[(:[^\]]*)\]", lambda m: f"updated {m[1].replace(':', '')}"),
    (r"updated :(?=\w)", "updated "),
    (r"<br/>:(?=\w)", "<br/>"),
]


def text(theirs: str) -> str:
    """A text of theirs in our spelling."""
    for pattern, replacement in _ANYWHERE:
        theirs = re.sub(pattern, replacement, theirs)
    parts: list[str] = []
    position = 0
    for string in _STRINGS.finditer(theirs):
        parts += [_outside(theirs[position : string.start()]), string[0]]
        position = string.end()
    return "".join([*parts, _outside(theirs[position:])])


def _outside(part: str) -> str:
    for pattern, replacement in _OUTSIDE:
        part = re.sub(pattern, replacement, part)
    return part


def marker(theirs: Any) -> Any:
    """The text that a mutate node holds; other values stay as they are."""
    if isinstance(theirs, str) and re.fullmatch(r"updated (:\w+|\[:.*\])", theirs):
        return text(theirs)
    if isinstance(theirs, dict):
        return {key: marker(value) for key, value in theirs.items()}
    if isinstance(theirs, list):
        return [marker(item) for item in theirs]
    return theirs
