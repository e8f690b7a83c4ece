"""Ticks on a test clock, loops, mutations and historians: random histories with crashes.

The graph has a fixed shape whose gates are drawn. Nodes that remember (ticks, what a tick unblocks,
mutations, historians) are gated by inputs, so that what they remember does not depend on the order
in which others finish.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from journey_async.core.commands import Command, Release, SetValues, Start, Succeed, UnsetValues
from journey_async.core.conditions import Condition, all_of
from journey_async.core.graph import Graph
from journey_async.core.jsonvalue import encode, equal
from journey_async.core.nodes import (
    HistorianNode,
    Node,
    Step,
    compute,
    historian,
    input_node,
    loop,
    mutate,
    tick_once,
    tick_recurring,
)
from journey_async.core.schedules import every
from journey_async.core.values import TICKS, Computation, NodeKind
from tests.core.model import holds, met_names, met_values, picked
from tests.core.story import NOON, WORKER, Story, some_function
from tests.core.strategies import conditions, small_values
from tests.core.test_properties import PROFILE

NOW = int(NOON.timestamp())
PERIOD = 20
CAP = 3
TIMES = [0, None, NOW - 100, NOW + 10, NOW + 30, NOW + 70]
INPUTS = ["x", "y", "z", "w"]


@st.composite
def clockworks(draw: st.DrawFn) -> Graph:
    """A graph with a node of every kind; gates are drawn, and the order of the nodes."""
    regular = every(timedelta(seconds=PERIOD))
    xy = conditions(["x", "y"])
    steady: Any = draw(st.sampled_from([regular, some_function]))
    nodes: list[Node] = [
        *map(input_node, INPUTS),
        tick_once("t", ["w"], some_function),
        tick_recurring("r", [], steady),
        mutate("m", draw(xy), some_function, mutates="z", update_revision_on_change=True),
        historian(
            "h",
            draw(conditions(["x", "z"])),
            max_entries=draw(st.sampled_from([None, 1, 2, 1000])),
        ),
        compute("c", draw(conditions(["x", "y", "z"])), some_function),
        compute("d", all_of("t", draw(xy)), some_function),
        compute("e", all_of("r", draw(xy)), some_function),
        loop("l", draw(conditions(["x", "y", "c"])), some_function, max_iterations=CAP),
        compute("k", draw(conditions(["c", "l", "d", "e"])), some_function),
    ]
    return Graph("g", "v1", draw(st.permutations(nodes)))


def tick_of(values: Mapping[str, Any]) -> Any:
    return TIMES[crc32(encode(["t", values.get("w")]).encode()) % len(TIMES)]


def iterations_of(values: Mapping[str, Any]) -> int:
    seen = sorted((name, encode(value)) for name, value in values.items())
    return crc32(repr(seen).encode()) % (CAP + 2) + 1


class Remembering:
    """The model: what the nodes hold, brought up to date event by event."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.values: dict[str, Any] = {}
        self.stamps: dict[str, int] = {}
        self.events = 0
        self.ran_with: dict[str, dict[str, int]] = {}
        self.recorded: dict[str, int] = {}
        self.period_ends = NOW + PERIOD

    def gate(self, name: str) -> Condition:
        node = self.graph.by_name[name]
        assert isinstance(node, Step)
        return node.gated_by

    def set(self, values: Mapping[str, Any]) -> None:
        new = {
            n: v for n, v in values.items() if n not in self.values or not equal(self.values[n], v)
        }
        if new:
            self.events += 1
            self.values |= new
            self.stamps |= dict.fromkeys(new, self.events)

    def unset(self, name: str) -> None:
        if self.values.pop(name, self) is not self:
            self.events += 1
            self.stamps[name] = self.events

    def settle(self, now: float) -> None:
        """Everything that follows from an event, or from the time."""
        self._tick()
        self._record()
        self._mutate()
        self._plain("c")
        self._unblocked_by("d", "t", now)
        self._unblocked_by("e", "r", now)
        while self.period_ends <= now:
            self.period_ends += PERIOD
        self._plain("l")
        self._plain("k")

    def _stale(self, name: str) -> bool:
        """Whether the gate holds on other inputs than the last time; then they are noted."""
        gate = self.gate(name)
        if not holds(gate, self.values):
            return False
        met = {n: self.stamps.get(n, 0) for n in met_names(gate, self.values)}
        if self.ran_with.get(name) == met:
            return False
        self.ran_with[name] = met
        return True

    def _tick(self) -> None:
        if self._stale("t"):
            self.values["t"] = tick_of(self.values)

    def _mutate(self) -> None:
        if self._stale("m"):
            self.values["m"] = "updated z"
            self.set({"z": picked("m", met_values(self.gate("m"), self.values))})
            self._record()

    def _record(self) -> None:
        if not self._stale("h"):
            return
        node = self.graph.by_name["h"]
        assert isinstance(node, HistorianNode)
        fresh = [
            (-stamp, self.graph.position[name], [name, self.values[name]])
            for name, stamp in self.ran_with["h"].items()
            if name in self.values and stamp > self.recorded.get(name, -1)
        ]
        self.recorded |= self.ran_with["h"]
        entries = [entry for _, _, entry in sorted(fresh, key=lambda item: item[:2])]
        self.values["h"] = [*entries, *self.values.get("h", [])][: node.max_entries]

    def _plain(self, name: str) -> None:
        self.values.pop(name, None)
        if holds(self.gate(name), self.values):
            self.values[name] = picked(name, met_values(self.gate(name), self.values))

    def _unblocked_by(self, name: str, tick: str, now: float) -> None:
        """The tick must be due to compute, and must only be set to keep."""
        others = {n: v for n, v in self.values.items() if n not in ("t", "r")}
        time = self.period_ends if tick == "r" else self.values.get("t")
        due = time is not None and 0 < time <= now
        is_set = tick == "r" or tick in self.values
        if due and holds(self.gate(name), {**others, tick: time}):
            met = met_values(self.gate(name), {**others, tick: time})
            met.pop(tick)
            self.values[name] = picked(name, met)
        elif not (is_set and holds(self.gate(name), {**others, tick: time})):
            self.values.pop(name, None)


class Clockwork:
    """The core, its functions run, crashing whenever `crashes` says so."""

    def __init__(self, graph: Graph, slots: int, random: Any, crashes: float) -> None:
        self.story = Story(graph, slots=slots)
        self.random = random
        self.crashes = crashes

    def do(self, command: Command) -> None:
        self.story.do(command)
        self.drain()

    def drain(self) -> None:
        for _ in range(500):
            story = self.story
            if self.random.random() < self.crashes and story.running():
                story.do(Release(WORKER, died=all(self._deaths(n) < 9 for n in story.running())))
            running = sorted(story.running())
            if not running:
                return
            story.do(self.finished(self.random.choice(running)))
        raise AssertionError("it never gets quiet")

    def _deaths(self, name: str) -> int:
        return self.story.newest(name).deaths

    def finished(self, name: str) -> Succeed:
        computation = self.story.newest(name)
        value = self._result(computation)
        token = self.story.token(name)
        if computation.kind is not NodeKind.LOOP:
            return Succeed(computation.key, token, value)
        goes_on = (computation.iteration or 1) < iterations_of(self._seen(computation))
        return Succeed(computation.key, token, value, continues=goes_on, fallback=True)

    def _result(self, computation: Computation) -> Any:
        if computation.node == "t":
            return tick_of(self._seen(computation))
        if computation.node == "r":
            now = int(self.story.now.timestamp())
            return now - (now - NOW) % PERIOD + PERIOD
        return picked(computation.node, self._seen(computation))

    def _seen(self, computation: Computation) -> dict[str, Any]:
        """What the attempt saw when it began: here nothing changes before it ends."""
        nodes = [self.story.node(name) for name in computation.computed_with]
        return {n.name: n.value for n in nodes if n.is_set and n.kind not in TICKS}

    def held(self) -> dict[str, Any]:
        found = {n: v.value for n, v in self.story.state.values.items() if v.is_set}
        if "h" in found:
            found["h"] = [[entry["node"], entry["value"]] for entry in found["h"]]
        found.pop("r")
        return found


moves = st.lists(
    st.one_of(
        st.tuples(
            st.just("set"),
            # w apart: what a tick unblocks may run on other new inputs before or after it moved
            st.dictionaries(st.sampled_from(["x", "y", "z"]), small_values(), min_size=1)
            | st.fixed_dictionaries({"w": small_values()}),
        ),
        st.tuples(st.just("unset"), st.sampled_from(INPUTS)),
        st.tuples(st.just("wait"), st.sampled_from([1, 10, 15, 20, 65])),
    ),
    max_size=8,
)


@PROFILE
@given(
    graph=clockworks(),
    history=moves,
    slots=st.sampled_from([1, 2, 100]),
    random=st.randoms(use_true_random=False),
    crashes=st.sampled_from([0.0, 0.3]),
)
def test_a_quiet_clockwork_holds_what_the_model_remembers(
    graph: Graph, history: list[tuple[str, Any]], slots: int, random: Any, crashes: float
) -> None:
    works = Clockwork(graph, slots, random, crashes)
    model = Remembering(graph)
    works.do(Start({}))
    model.settle(NOW)
    story = works.story

    def compare() -> None:
        found = works.held()
        assert found.keys() == model.values.keys()
        assert {n: v for n, v in found.items() if not equal(v, model.values[n])} == {}

    compare()
    for move, given_ in history:
        if move == "wait":
            until = story.now.timestamp() + given_
            while story.state.wake_at is not None and story.state.wake_at.timestamp() <= until:
                story.sleep()
                works.drain()
                model.settle(story.now.timestamp())
                compare()
            story.later(until - story.now.timestamp())
        else:
            if move == "set":
                works.do(SetValues(given_))
                model.set(given_)
            else:
                works.do(UnsetValues((given_,)))
                model.unset(given_)
            model.settle(story.now.timestamp())
            compare()
