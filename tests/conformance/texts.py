"""Compares texts line by line, where a line of theirs may leave something open.

Trailing blanks mean nothing. What else is let pass are rules (`rules.RULES`, the group "texts").
"""

import re
from itertools import zip_longest

from tests.conformance.spelling import ANY_REVISION

UNFINISHED = "⏳ computing|❓ abandoned"
_NAMED = r"(?: [^|]*)?(?: \| [^|]*)?"  # a comparison, or a label behind the node's name
_OPEN: dict[str, str] = {  # what stands in theirs, and what ours may say in its place
    r"(?:not\()?(\w+)\)? \| &<fn>/1": r"\1" + _NAMED,
    re.escape(ANY_REVISION): r"(?: \| rev \d+)?",
}
_MERMAID_OPEN: dict[str, str] = {
    r"--> \|(is_true|is_false)\|": r"--> \|(?:not )?\1\|",
    r"-->  ": r"--> (?:\|[^|]*\|)? ",
}
_ENTITIES = {"#quot;": '"', "#124;": "|", "#amp;": "&"}


def difference(op: str, ours: str, theirs: str) -> tuple[str, str] | None:
    """The first lines that differ, ours and theirs; None if none does."""
    mermaid = op.startswith("mermaid")
    if mermaid:
        ours, theirs = _diagram(_unescaped(ours)), _diagram(theirs)
    elif op == "introspect":
        ours, theirs = _without_nulls(ours, theirs)
        ours, theirs = _without_abandoned(ours), _without_abandoned(theirs)
    elif op == "computation_status_text" and "⬜" in theirs:
        ours = ours.replace("(no computation yet)", "(<CMP>)", 1)
    elif op == "computation_status_text" and re.search(UNFINISHED, theirs):
        ours, theirs = (re.sub(r"inputs used:\n.*", "", t, flags=re.S) for t in (ours, theirs))
        ours = re.sub(r"\| rev \d+", "| rev", ours)
    elif op == "flow_analytics":
        ours, theirs = _without_ends(ours), _without_ends(theirs)
    for mine, its in zip_longest(_lines(ours), _lines(theirs), fillvalue="(no more)"):
        if not line_fits(mine, its, mermaid=mermaid):
            return mine, its
    return None


def line_fits(ours: str, theirs: str, *, mermaid: bool = False) -> bool:
    """Whether a line is the recorded one, or what that leaves open."""
    left_open = _MERMAID_OPEN if mermaid else _OPEN
    pattern = ""
    end = 0
    for found in re.finditer("|".join(left_open), theirs):
        pattern += re.escape(theirs[end : found.start()])
        pattern += _may_say(found[0], left_open)
        end = found.end()
    return re.fullmatch(pattern + re.escape(theirs[end:]), ours) is not None


def _may_say(theirs: str, left_open: dict[str, str]) -> str:
    for each, ours_may in left_open.items():
        found = re.fullmatch(each, theirs)
        if found is not None:
            name = re.escape(found[1]) if found.re.groups else ""
            negated = theirs.startswith("not(")
            return (r"not\(" if negated else "") + ours_may.replace(r"\1", name)
    raise AssertionError(theirs)


def _lines(text: str) -> list[str]:
    """The lines; the inputs of one computation in the order of their names."""
    lines: list[str] = []
    inputs: list[str] = []
    for line in [*text.rstrip().split("\n"), ""]:
        if re.fullmatch(r" +[^ ]+ \(rev \d+\)", line):
            inputs.append(line)
            continue
        lines += sorted(inputs)
        inputs.clear()
        lines.append(line.rstrip())
    return lines


# --- diagrams -----------------------------------------------------------------------------------


def _diagram(text: str) -> str:
    text = re.sub(r"    %% Caption\n[^\n]*\n", "", text)
    text = re.sub(r"    %% Legend\n.*?\n    end\n", "", text, flags=re.DOTALL)
    text = re.sub(r'^(\s+\w+)\["(.*)"\]$', r"\1[\2]", text, flags=re.MULTILINE)
    return re.sub(r"\n\n+", "\n", text)


def _unescaped(text: str) -> str:
    for entity, character in _ENTITIES.items():
        text = text.replace(entity, character)
    return text


# --- introspection ------------------------------------------------------------------------------


def _without_nulls(ours: str, theirs: str) -> tuple[str, str]:
    """Leave out nodes that hold null: set here, shown as not set there."""
    names = re.findall(r"^  - (\S+): 'null' \| ", ours, re.MULTILINE)
    for name in names:
        ours = re.sub(rf"  - {re.escape(name)}: 'null' \| [^\n]*\n[^\n]*\n\n?", "", ours)
        theirs = re.sub(rf"  - {re.escape(name)}: <unk> \| [^\n]*\n?", "", theirs)
    if names:
        theirs = re.sub(
            r"# of Values: (\d+) \(set\)",
            lambda found: f"# of Values: {int(found[1]) + len(names)} (set)",
            theirs,
        )
        ours, theirs = (re.sub(r"\n\s*\n+", "\n", side) for side in (ours, theirs))
    return ours, theirs


def _without_abandoned(text: str) -> str:
    """Leave out abandoned computations, which have a block of their own here."""
    text = re.sub(r"\n\n- Abandoned:\n.*?(?=\n\n- Outstanding:)", "", text, flags=re.DOTALL)
    return re.sub(r"  - \S+: ❓ abandoned \| [^\n]*(\n {5,}[^\n]*)*\n?", "", text)


def _without_ends(text: str) -> str:
    """Leave out where flows end: the original counts every node of the last second."""
    return re.sub(r"^Flow ends here: .*$", "", text, flags=re.MULTILINE)
