"""The rules: where the original differs as a whole, one rule of the runner says so.

A step of a scenario is compared as it stands unless one of these rules applies. They are about
all scenarios; what is peculiar to one of them stands in `departures.toml`. B numbers are those of
the original's known defects.
"""

import re
from collections.abc import Mapping
from typing import Any

from journey_async.errors import (
    ExecutionArchivedError,
    GraphConflictError,
    NotAnInputError,
    SingletonGraphError,
    UnknownNodeError,
)

RULES: dict[str, str] = {
    # --- what is replayed, and how ---
    "time": "A scenario runs twice as fast as it says: its clock, its sleeps and its timeouts. "
    "If it differs, it is replayed once more at its own speed.",
    "sweeps": "There, what is due is looked at in sweeps; here an alarm clock rings. The runner "
    "lets it ring only while the scenario sweeps: time goes on, but nobody wakes what is due. "
    "`now_offset_s` is for deadlines: what other sweeps lead to looks at the present time.",
    "advance": "One step of the scheduler is the command Wake. Idle executions take on a changed "
    "graph at the next command, as there, not at once, as Journey.register lets them.",
    "how many executions a sweep looked at": "Only the sweep for abandoned computations can be "
    "counted here; the others have no counterpart.",
    "retries": "`max_retries` counts attempts, at least one. The pause before the next attempt is "
    "left out: there it is random, here it would follow Retry.",
    "how long a function takes": "At least 40 ms of a scenario: in the original, handing a result "
    "over takes about as long as several steps, and what they see was recorded.",
    "heartbeats": "There are none: a dead process is noticed otherwise. Options about them are "
    "left out, and errors in them are not made.",
    "bad results": "`bad_return` is not possible, for whatever a function returns is its value; "
    "the function raises instead. `throw` has no counterpart: the scenario is skipped.",
    "values of no JSON type": "An atom or a tuple is replayed as a Python set.",
    "writes of many values": "There, a write of many values leaves out what the object passed in "
    "shows already, however old it is, and null where it shows nothing (B8, B9); here it is "
    "compared with what is stored. The runner leaves out the same.",
    "on_save": "It is asked for once all callbacks have ended. For a mutation the original tells "
    "what the function returned, here it is the value of the mutate node (B44).",
    # --- the execution that a write returns ---
    "what a write returns": "See `handles`: a write of many values returns the state before what "
    "it begins; historian and archive nodes run in the commit that unblocks them, there later; "
    "a write without effect returns what it was handed, or by id (`set`) a revision too many.",
    # --- what is not compared, because it means something else here ---
    "nothing where an execution is wanted": "load(None) is an error here.",
    "the two spellings of many values": "Python has no keyword list.",
    "options that are ours": "An option that only the original refuses.",
    "a timeout that would not be used": "A bad timeout is refused here even if nothing waits.",
    "timeouts are seconds, and may be 0": "0 means at once, and fractions are usual.",
    "null is a value": "Searches there leave out null as if it were unset, and raise if asked for "
    "it (B50); here it is a value like others. Filters about null are not compared, nor "
    "executions that hold null where they are asked. `not_in []` holds on no unset node here.",
    "newer than at the call": "wait_new with an id means: newer than at the call.",
    "a graph refused": "Bad options are refused when the graph is built, not when it runs; what "
    "the scenario does with such a graph is not compared.",
    "diverged": "See `watching`: an improvement has set in, and what follows from it differs.",
    # --- rows and figures ---
    "computations": "What waits has a row there; here it is the answer `not_set` (available is "
    "shown so, too). Abandoned and running rows tell neither their inputs nor an end.",
    "the state of a node": "There, that of its newest completion: while it runs anew, after it was "
    "abandoned or cleared, the last result is still shown (B52). Not compared where it differs.",
    "failures": "A loop that ran out, and a node abandoned for good, are reported as failed here; "
    "there a wait for them times out. There, failures are counted for ever; here since the newest "
    "upstream change (B15).",
    "histories": "Entries of one run of a historian are newest first here, too (B20).",
    "figures": "Figures may hold more here. `flow_ends_here` counts the node that was set last; "
    "there, all that were set in the same second, hence at least as many.",
    # --- texts ---
    "texts": "One line at a time. A condition that is anonymous there may have a text here. A "
    "negated leaf has the sign of what is written. Inputs used have the order of the gate. "
    "Abandoned computations have a block of their own, and null is a value. Diagrams: captions "
    "may say more, negation included; names are quoted where they need to be; no time, no legend.",
}

READING = frozenset(
    {
        "get", "values", "values_all", "load", "history", "computations", "computation_state",
        "introspect", "computation_status_text", "waiting_for", "mermaid_execution",
        "summary_data",
    }
)  # fmt: skip
SYSTEM_NODES = frozenset({"execution_id", "last_updated_at"})
CRASHES = frozenset({"ArithmeticError", "BadMapError", "CaseClauseError", "KeyError", "MatchError"})

_BUILT_HERE = [  # refused there, a graph here: the message, and why
    (r"unsupported heartbeat config", "heartbeats"),
    (r"Invalid unblocked_when expression: \{:not, \{:(and|or|not),", "not_ takes any condition"),
    (r"Unknown upstream nodes in input node '\S+': not$", "not_ takes any condition"),
]
_REFUSED_HERE = [  # a graph there, refused here: the message, and why
    (r"max_entries", "refused when it is built"),
    (r"run again and again", "an indirect cycle of mutations runs for ever (B30)"),
    (r"execution_id_prefix", "ids are texts that can be typed"),
    (r"system nodes are read-only", "last_updated_at and execution_id are ours (B27)"),
]


def may_build(theirs: Mapping[str, str]) -> bool:
    """Whether a graph that the original refuses can be one here."""
    return any(re.search(pattern, theirs["message"]) for pattern, _ in _BUILT_HERE)


def may_not_build(error: Exception) -> bool:
    """Whether a graph that the original takes is refused here."""
    return any(re.search(pattern, str(error)) for pattern, _ in _REFUSED_HERE)


def may_refuse(op: Mapping[str, Any], error: Exception) -> bool:
    """Whether ours refuses what the original lets happen."""
    if isinstance(error, NotAnInputError):  # system nodes can be set there (B27)
        return bool(SYSTEM_NODES & named(op))
    if isinstance(error, UnknownNodeError):  # there, a text says so
        return op["op"] in ("computation_status_text", "waiting_for")
    if isinstance(error, GraphConflictError):  # there, such a node is never computed (B47)
        return bool(op["op"] == "new_graph")
    if isinstance(error, SingletonGraphError):  # two live ones are possible there (B25)
        return bool(op["op"] == "unarchive")
    return isinstance(error, ExecutionArchivedError)  # nothing is written (B26)


def may_answer(op: Mapping[str, Any], theirs: Mapping[str, str], *, archived: bool) -> bool:
    """Whether ours answers where the original raises."""
    if archived and op["op"] in READING:  # archived executions can be read, by id, too
        return True
    if op["op"] == "waiting_for" and theirs["type"] not in ("ArgumentError", "RuntimeError"):
        return True  # crashes there on an input
    if op["op"] in ("list", "count"):
        return _may_search(op, theirs)
    if theirs["type"] == "Postgrex.Error":
        return bool(op["op"] == "sweep")
    return theirs["type"] in CRASHES  # a bad tick or predicate stops the scheduler there (B14)


def _may_search(op: Mapping[str, Any], theirs: Mapping[str, str]) -> bool:
    """Whether ours looks for what theirs refuses: any JSON can be compared with, and be listed."""
    if "Unsupported value type" in theirs["message"]:
        return True
    asked = [item for item in op.get("filter_by") or [] if len(item) == 3]
    sought = [item[2] for item in asked if item[1] == "list_contains"]
    return any(isinstance(item, bool) or not isinstance(item, str | int) for item in sought)


def asks_about_null(op: Mapping[str, Any]) -> bool:
    """Whether a search depends on what null is (rule "null is a value")."""
    return any(_about_null(*item[1:]) for item in op.get("filter_by") or [])


def _about_null(operator: Any, operand: Any = ...) -> bool:
    if operator in ("in", "not_in") and isinstance(operand, list):
        return None in operand or (operator == "not_in" and not operand)
    return operator in ("is_nil", "is_not_nil") or (operator in ("eq", "neq") and operand is None)


def named(op: Mapping[str, Any]) -> set[str]:
    """The nodes that a write names."""
    return {*op.get("nodes", []), *op.get("values", {}), *([op["node"]] if "node" in op else [])}
