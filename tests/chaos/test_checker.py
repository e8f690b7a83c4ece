"""What the checker must not overlook: a zero of `make chaos` is worth as much as this."""

from typing import Any

import pytest

from tests.chaos.checker import Observer, _problems
from tests.chaos.load import ROUNDS

SETS = {1: True, 2: True, 3: False}  # the writer of 3 died before it was told


def sound(x: int = 2) -> dict[str, Any]:
    return {
        "x": x,
        "gate": True,
        "seen": x,
        "first": {"x": x, "n": x + 1},
        "threaded": {"x": x, "n": 3 * (x + 1)},
        "last": {"x": x, "from": x, "n": 2 * (x + 1)},
        "flaky": {"x": x},
        "gated": {"x": x},
        "after": {"x": x},
        "rounds": {"x": x, "round": ROUNDS},
        "past": [{"value": number} for number in range(x, 0, -1)],
    }


@pytest.mark.parametrize("x", [2, 3], ids=["acknowledged", "intended"])
def test_what_is_right_is_no_problem(x: int) -> None:
    assert _problems(sound(x), SETS) == []


@pytest.mark.parametrize(
    "tampered",
    [
        sound(1),  # the last write is lost
        {**sound(3), "past": [{"value": 3}, {"value": 1}]},  # one in between is
        {**sound(), "x": 4},  # nobody set that
        {**sound(), "first": {"x": 1, "n": 2}},  # older
        {**sound(), "last": {"x": 2, "from": 1, "n": 6}},  # of inputs that do not fit together
        {**sound(), "threaded": {"x": 2, "n": 8}},  # wrong
        {**sound(), "seen": 1},
        {**sound(), "rounds": {"x": 2, "round": ROUNDS - 1}},
        {**sound(), "gate": False},  # what is behind the gate should be gone
        {**sound(), "past": [{"value": 1}, {"value": 2}]},  # the wrong way round
        {**sound(), "past": [{"value": 2}, {"value": 2}, {"value": 1}]},  # twice
    ]
    + [
        {name: value for name, value in sound().items() if name != missing}
        for missing in ("first", "threaded", "last", "flaky", "gated", "after", "rounds", "seen")
    ],
)
def test_what_is_wrong_is_found(tampered: dict[str, Any]) -> None:
    assert _problems(tampered, SETS)


def test_something_older_over_something_newer_is_seen() -> None:
    observer = Observer("postgresql://nobody")
    for x in (1, 3, 2):
        observer._look([{"execution_id": "e", "node": "last", "x": x}])
    assert observer.wrong == ["('e', 'last'): 2 came over 3"]
