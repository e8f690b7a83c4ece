"""Reads a condition from a text: `sum > 40 & ~is_true(paid)`.

It reads much of what `conditions.text` writes, but no predicates, `always` and `never`.
Names of nodes stand as they are, or in quotes where they hold more than letters, digits and `_.-`.
`and`, `or` and `not` do for `&`, `|` and `~`, which shells have their own ideas about.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import NoReturn

from journey_async.core.conditions import (
    Condition,
    ValueOf,
    all_of,
    any_of,
    is_false,
    is_true,
    not_,
    provided,
    value,
)
from journey_async.errors import ConditionError

MAX_LENGTH = 10_000  # characters
MAX_BRACKETS = 50  # open at a time

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string> "(?:[^"\\]|\\.)*" | '[^']*' )
      | (?P<operator> == | != | <= | >= | [=<>] )
      | (?P<sign> [()\[\],&|~] )
      | (?P<word> [^\s()\[\],&|~=!<>"']+ )
    )""",
    re.VERBOSE | re.DOTALL,
)
_FUNCTIONS: dict[str, Callable[[str], Condition]] = {
    "provided": provided,
    "is_true": is_true,
    "is_false": is_false,
}
_COMPARISONS: dict[str, Callable[[ValueOf, object], Condition]] = {
    "==": lambda node, operand: node == operand,
    "=": lambda node, operand: node == operand,
    "!=": lambda node, operand: node != operand,
    "<": lambda node, operand: node < operand,
    "<=": lambda node, operand: node <= operand,
    ">": lambda node, operand: node > operand,
    ">=": lambda node, operand: node >= operand,
}


def parse_condition(text: str) -> Condition:
    """The condition that a text says; raises ConditionError, which points at the place."""
    if len(text) > MAX_LENGTH:
        raise ConditionError(f"a condition has at most {MAX_LENGTH} characters, not {len(text)}")
    reader = _Reader(text)
    condition = reader.alternatives()
    reader.expect_end()
    return condition


class _Reader:
    """Recursive descent: alternatives of conjunctions of negations of leaves."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._brackets = 0

    def alternatives(self) -> Condition:
        return any_of(*parts) if len(parts := self._joined(self._all, "|", "or")) > 1 else parts[0]

    def expect_end(self) -> None:
        if self._kind() != "end":
            self._refuse("&, | or the end")

    def _all(self) -> Condition:
        return all_of(*parts) if len(parts := self._joined(self._one, "&", "and")) > 1 else parts[0]

    def _joined(self, part: Callable[[], Condition], *joiners: str) -> list[Condition]:
        parts = [part()]
        while self._take(*joiners):
            parts.append(part())
        return parts

    def _one(self) -> Condition:
        negations = 0
        while self._take("~", "not"):
            negations += 1
        condition = self._bracketed() if self._take("(") else self._leaf()
        return not_(condition) if negations % 2 else condition

    def _bracketed(self) -> Condition:
        self._brackets += 1
        if self._brackets > MAX_BRACKETS:
            raise ConditionError(f"a condition has at most {MAX_BRACKETS} brackets in each other")
        condition = self.alternatives()
        self._close(")")
        self._brackets -= 1
        return condition

    def _leaf(self) -> Condition:
        called = self._kind(1) == "sign" and self._word(1) == "("
        if called and self._word() in {*_FUNCTIONS, "value"}:
            function = self._advance()
            self._advance()
            node = self._name()
            self._close(")")
            if function != "value":
                return _FUNCTIONS[function](node)
        else:
            node = self._name()
        return self._comparison(value(node))

    def _comparison(self, node: ValueOf) -> Condition:
        if self._kind() == "operator":
            return _COMPARISONS[self._advance()](node, self._operand())
        if self._take("contains"):
            return node.contains(self._operand())  # type: ignore[arg-type]  # refused if no text
        if self._take("in"):
            return node.in_(self._operands())
        self._refuse("a comparison, as in: sum > 40")

    def _operands(self) -> list[object]:
        if not self._take("["):
            self._refuse("a list, as in: [1, 2]")
        found: list[object] = []
        while not self._take("]"):
            found.append(self._operand())
            if not self._take(","):
                self._close("]")
                break
        return found

    def _operand(self) -> object:
        if self._kind() == "string":
            return _unquoted(self._advance())
        word = self._word()
        try:
            operand: object = json.loads(word)
        except ValueError:
            self._refuse(f"a number, true, false, null, or a text in quotes ({word!r} has none)")
        self._advance()
        return operand

    def _name(self) -> str:
        if self._kind() == "string":
            return str(_unquoted(self._advance()))
        if self._kind() != "word":
            self._refuse("the name of a node")
        return self._advance()

    # --- tokens -------------------------------------------------------------------------------

    def _kind(self, ahead: int = 0) -> str:
        return self._tokens[min(self._next + ahead, len(self._tokens) - 1)][0]

    def _word(self, ahead: int = 0) -> str:
        return self._tokens[min(self._next + ahead, len(self._tokens) - 1)][1]

    def _advance(self) -> str:
        word = self._word()
        self._next += 1
        return word

    def _take(self, *words: str) -> bool:
        if self._kind() in ("sign", "word") and self._word() in words:
            self._advance()
            return True
        return False

    def _close(self, bracket: str) -> None:
        if not self._take(bracket):
            self._refuse(bracket)

    def _refuse(self, wanted: str) -> NoReturn:
        place = self._tokens[min(self._next, len(self._tokens) - 1)][2]
        raise ConditionError(
            f"the condition {self._text!r} cannot be read: at character {place + 1}, "
            f"{wanted} was expected"
        )


def _tokens(text: str) -> Sequence[tuple[str, str, int]]:
    """Kind, text and place of each token; the last one is the end."""
    found: list[tuple[str, str, int]] = []
    place = 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise ConditionError(
                f"the condition {text!r} cannot be read: nothing begins with what stands at "
                f"character {place + 1}"
            )
        found.append((match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        place = match.end()
    return [*found, ("end", "", len(text))]


def _unquoted(string: str) -> str:
    if string.startswith("'"):
        return string[1:-1]
    try:
        text: str = json.loads(string)
    except ValueError:
        raise ConditionError(f"{string} is not a text as JSON writes it") from None
    return text
