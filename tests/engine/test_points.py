"""Dies at every fault point, with every kind of node, and counts what runs again.

For each pair a worker dies when it reaches the point for the first time, then for the second, and
so on until a run ends without reaching it that often. Another worker takes over each time. What is
computed is the same in the end; `recorded` of each `Kind` says which functions run once more.
"""

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from journey_async import (
    Continue,
    Done,
    Graph,
    archive,
    compute,
    historian,
    input_node,
    loop,
    mutate,
    tick_once,
    tick_recurring,
)
from journey_async.testing import Point, TestClock
from journey_async.testing.relay import RelayJourney

NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Calls(Counter[str]):
    """How often each function was called."""

    def __call__(self, node: str, result: Any) -> Any:
        self[node] += 1
        return result


@dataclass(frozen=True)
class Kind:
    """A kind of node in a graph: what is computed, and in which order it is recorded.

    `commits` are the writes of the workers when nobody dies: for each the function whose result it
    records, or None. Who dies before such a write has to call that function again.
    """

    nodes: Callable[[Calls], list[Any]]
    values: dict[str, Any]
    commits: tuple[str | None, ...]
    minutes: int = 0

    @property
    def functions(self) -> tuple[str, ...]:
        """The functions in the order of their calls."""
        return tuple(node for node in self.commits if node is not None)


def computing(calls: Calls) -> list[Any]:
    async def s(x: int) -> int:
        return int(calls("s", x + 1))

    return [compute("s", ["x"], s), compute("end", ["s"], lambda s: calls("end", s * 10))]


def in_a_thread(calls: Calls) -> list[Any]:
    def s(x: int) -> int:
        return int(calls("s", x + 1))

    return [compute("s", ["x"], s), compute("end", ["s"], lambda s: calls("end", s * 10))]


def mutating(calls: Calls) -> list[Any]:
    return [
        input_node("target"),
        mutate("s", ["x"], lambda x: calls("s", x + 1), mutates="target"),
        compute("end", ["target"], lambda target: calls("end", target * 10)),
    ]


def keeping_history(calls: Calls) -> list[Any]:
    return [
        compute("c", ["x"], lambda x: calls("c", x + 1)),
        historian("s", ["c"]),
        compute("end", ["s"], lambda s: calls("end", [entry["value"] for entry in s])),
    ]


def archiving(calls: Calls) -> list[Any]:
    return [compute("c", ["x"], lambda x: calls("c", x + 1)), archive("s", ["c"])]


def ticking_once(calls: Calls) -> list[Any]:
    return [
        tick_once("s", ["x"], lambda: calls("s", MINUTE)),
        compute("end", ["s"], lambda: calls("end", "it was time")),
    ]


def ticking_again(calls: Calls) -> list[Any]:
    return [tick_recurring("s", ["x"], lambda: calls("s", MINUTE))]


def looping(calls: Calls) -> list[Any]:
    async def s(x: int, values: dict[str, Any]) -> Any:
        turn = values.get("s", 0) + 1
        return calls("s", Done("enough") if turn == 3 else Continue(turn))

    return [
        loop("s", ["x"], s, max_iterations=5),
        compute("end", ["s"], lambda s: calls("end", s + "!")),
    ]


AT_ONE, AT_TWO, AT_THREE = (int((NOON + n * MINUTE).timestamp()) for n in (1, 2, 3))
KINDS = {
    "compute": Kind(computing, {"s": 2, "end": 20}, (None, "s", "end")),
    "compute in a thread": Kind(in_a_thread, {"s": 2, "end": 20}, (None, "s", "end")),
    "mutate": Kind(mutating, {"target": 2, "end": 20, "s": "updated target"}, (None, "s", "end")),
    "historian": Kind(keeping_history, {"c": 2, "end": [2]}, (None, "c", "end")),
    "archive": Kind(archiving, {"c": 2, "s": int(NOON.timestamp())}, (None, "c")),
    "tick_once": Kind(
        ticking_once, {"s": AT_ONE, "end": "it was time"}, (None, "s", None, "end"), 1
    ),
    "tick_recurring": Kind(ticking_again, {"s": AT_THREE}, (None, "s", None, "s", None, "s"), 2),
    "loop": Kind(looping, {"s": "enough", "end": "enough!"}, (None, "s", "s", "s", "end")),
}


def called_again(kind: Kind, point: Point, nth: int) -> tuple[str, ...]:
    """Whose call is lost with the worker that reaches a point for the nth time."""
    match point:
        case Point.AFTER_FUNCTION | Point.BEFORE_RECORD:
            return kind.functions[nth - 1 : nth]
        case Point.BEFORE_COMMIT:
            return tuple(node for node in kind.commits[nth - 1 : nth] if node is not None)
        case _:
            return ()


@pytest.mark.parametrize("point", Point, ids=lambda point: point.name)
@pytest.mark.parametrize("name", KINDS)
async def test_who_dies_at_a_point_is_followed_by_another(
    dsn: str, name: str, point: Point
) -> None:
    kind = KINDS[name]
    for nth in itertools.count(1):
        calls = Calls()
        graph = Graph(f"{name} {nth}", "v1", [input_node("x"), *kind.nodes(calls)])
        clock = TestClock(NOON)
        async with RelayJourney(dsn, graphs=[graph], clock=clock, point=point, nth=nth) as journey:
            execution = await journey.start_execution(graph, {"x": 1})
            await clock.advance(minutes=kind.minutes)
            execution = await journey.settle(execution)
            values = {node: value.value for node, value in execution.values.items()}
            assert values | kind.values == values
            again = Counter(called_again(kind, point, nth))
            assert calls == Counter(kind.functions) + again
            if not journey.deaths:
                break
            assert journey.deaths == 1
    assert nth > 1
