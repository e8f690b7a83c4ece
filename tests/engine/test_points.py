"""Dies at every fault point, with every kind of node, and counts what runs again.

A worker dies when it reaches the point (with `-m exhaustive`: any time that it does), and another
one takes over. What is computed is the same in the end; `occasions` of each `Kind` says which
function runs once more.
"""

import asyncio
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
from journey_async.engine.registry import Registry
from journey_async.engine.releaser import Releaser
from journey_async.testing import Point, TestClock
from journey_async.testing.relay import OF_THE_NEXT, RelayJourney

pytestmark = pytest.mark.hears("the tests' clock stands still, so no lease runs out")

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
    records, or None. Who dies before such a write has to call that function again. `begins` are
    those of them that begin something as well.
    """

    nodes: Callable[[Calls], list[Any]]
    values: dict[str, Any]
    commits: tuple[str | None, ...]
    begins: tuple[str | None, ...]
    minutes: int = 0

    @property
    def functions(self) -> tuple[str, ...]:
        """The functions in the order of their calls."""
        return tuple(node for node in self.commits if node is not None)

    def occasions(self, point: Point) -> tuple[str | None, ...]:
        """For each time that a point is reached: the function whose result is not written yet."""
        match point:
            case Point.AFTER_FUNCTION | Point.BEFORE_RECORD:
                return self.functions
            case Point.BEFORE_COMMIT:
                return self.commits
            case Point.BEFORE_BEGIN:
                return self.begins
            case Point.HEARTBEAT | Point.AFTER_RELEASE:  # perhaps one: see BY_CHANCE
                return (None,)
            case Point.BEFORE_FUNCTION | Point.AFTER_RECORD:
                return (None,) * len(self.functions)
            case Point.AFTER_BEGIN:
                return (None,) * len(self.begins)
            case Point.ANSWER_LOST | Point.AFTER_COMMIT | Point.BEFORE_NOTIFY | Point.AFTER_NOTIFY:
                return (None,) * len(self.commits)
            case Point.BEFORE_WAKE | Point.LISTENER | Point.BEFORE_RELEASE:
                return (None,)


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
CHAIN = ((None, "s", "end"), (None, "s"))
TICKS = (None, "s", None, "s", None, "s"), (None, None, None)
KINDS = {
    "compute": Kind(computing, {"s": 2, "end": 20}, *CHAIN),
    "compute in a thread": Kind(in_a_thread, {"s": 2, "end": 20}, *CHAIN),
    "mutate": Kind(mutating, {"target": 2, "end": 20, "s": "updated target"}, *CHAIN),
    "historian": Kind(keeping_history, {"c": 2, "end": [2]}, (None, "c", "end"), (None, "c")),
    "archive": Kind(archiving, {"c": 2, "s": int(NOON.timestamp())}, (None, "c"), (None,)),
    "tick_once": Kind(
        ticking_once,
        {"s": AT_ONE, "end": "it was time"},
        (None, "s", None, "end"),
        (None, None),
        minutes=1,
    ),
    "tick_recurring": Kind(ticking_again, {"s": AT_THREE}, *TICKS, minutes=2),
    "loop": Kind(
        looping,
        {"s": "enough", "end": "enough!"},
        (None, "s", "s", "s", "end"),
        (None, "s", "s", "s"),
    ),
}
# A heartbeat comes in a thread of its own, and work that is released is begun in the same commit:
# whether a function had been called by then, which one, and whether it was recorded, is chance.
BY_CHANCE = (Point.HEARTBEAT, Point.AFTER_RELEASE)


# What happens there does not depend on the kind of a node: usually tried with some of them only.
OF_NO_NODE = (
    Point.BEFORE_WAKE,
    Point.BEFORE_NOTIFY,
    Point.AFTER_NOTIFY,
    Point.LISTENER,
    Point.HEARTBEAT,
    Point.BEFORE_RELEASE,
    Point.AFTER_RELEASE,
)


def cases(name: str, *, exhaustive: bool) -> list[tuple[Point, int]]:
    """Each point, and which time that it is reached: the second commit, else the first time."""
    found = []
    kind = KINDS[name]
    for point in Point:
        times = len(kind.occasions(point))
        usual = 2 if times == len(kind.commits) > len(kind.functions) else 1
        if point in OF_NO_NODE and name not in ("compute", "loop"):
            usual = 0
        found += [(point, n) for n in range(1, times + 1) if exhaustive is not (n == usual)]
    return found


SELDOM = ("compute in a thread", "loop", "historian", "archive", "tick_recurring")  # like others


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.exhaustive] if name in SELDOM else [])
        for name in KINDS
    ],
)
async def test_who_dies_at_a_point_is_followed_by_another(
    dsn: str, name: str, subtests: pytest.Subtests
) -> None:
    for point, nth in cases(name, exhaustive=False):
        with subtests.test(point=point.name, nth=nth):
            await die_at(dsn, KINDS[name], point, nth)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", KINDS)
async def test_who_dies_at_any_time_is_followed_by_another(
    dsn: str, name: str, subtests: pytest.Subtests
) -> None:
    for point, nth in cases(name, exhaustive=True):
        with subtests.test(point=point.name, nth=nth):
            await die_at(dsn, KINDS[name], point, nth)


@pytest.mark.parametrize("point", OF_THE_NEXT)
async def test_who_finds_the_dead_while_it_is_opened_releases_their_work_once_it_is_open(
    dsn: str, point: Point, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, clock = Graph("g", "v1", [input_node("x"), *computing(Calls())]), TestClock(NOON)
    journey = RelayJourney(dsn, graphs=[graph], clock=clock, point=point)
    register, died, have_died = Registry.register, Releaser.died, asyncio.Event()

    async def finds_them(self: Releaser, workers: list[str]) -> None:
        have_died.set()
        await died(self, workers)

    async def takes_long(self: Registry, graph: Graph) -> None:
        if journey.deaths:
            await have_died.wait()
            for _ in range(20):  # longer than it takes to release what the dead were running
                await self._store.read_clock()
        await register(self, graph)

    monkeypatch.setattr(Releaser, "died", finds_them)
    monkeypatch.setattr(Registry, "register", takes_long)
    async with journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await clock.advance()
        assert journey.deaths == 2  # its own included
        assert await journey.get_value(execution, "end") == 20


async def die_at(dsn: str, kind: Kind, point: Point, nth: int) -> None:
    """Run the graph to its end, and die on the way."""
    calls = Calls()
    graph = Graph(f"{point.name} {nth}", "v1", [input_node("x"), *kind.nodes(calls)])
    clock = TestClock(NOON)
    async with RelayJourney(dsn, graphs=[graph], clock=clock, point=point, nth=nth) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await clock.advance(minutes=kind.minutes)
        execution = await journey.settle(execution)
        values = {node: value.value for node, value in execution.values.items()}
        assert values | kind.values == values
        assert journey.deaths == (2 if point in OF_THE_NEXT else 1)
    once, lost = Counter(kind.functions), kind.occasions(point)[nth - 1]
    if point in BY_CHANCE:
        assert not once - calls
        assert (calls - once).total() <= 1
    else:
        assert calls == once + Counter([lost] if lost else [])
