"""Attempts are given up at their own deadlines, though one timer serves all of them."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from journey_async.core.change import Begun
from journey_async.core.commands import Start
from journey_async.core.draft import nobody
from journey_async.core.graph import Graph
from journey_async.core.nodes import compute, input_node
from journey_async.core.settle import settle
from journey_async.core.state import new_state
from journey_async.engine.attempts import Attempt
from journey_async.engine.clock import SystemClock
from journey_async.engine.deadlines import Deadlines
from journey_async.testing.clock import LeapingClock
from tests.support.clocks import told
from tests.support.eventually import eventually

START = datetime(2026, 1, 1, tzinfo=UTC)
SECONDS = {"long": 60, "short": 10, "middle": 30}
GRAPH = Graph(
    "g",
    "v1",
    [
        input_node("x"),
        *(
            compute(name, ["x"], lambda x: x, abandon_after_seconds=float(seconds))
            for name, seconds in SECONDS.items()
        ),
    ],
)


class Running:
    """Attempts at the three nodes, begun at the same time, and which of them are given up."""

    def __init__(self, system_clock: SystemClock | None = None) -> None:
        self.clock = LeapingClock(START)
        self.given_up: list[str] = []
        self.unwilling: str | None = None
        env = nobody(START)._replace(capacity=10, can_run=lambda step: True)
        change = settle(GRAPH, new_state("EXEC1", GRAPH, START), Start({"x": 1}), env)
        self.attempts = {begun.computation.node: attempt_at(begun) for begun in change.begun}
        self.deadlines = Deadlines(system_clock or self.clock, self.attempts.values, self._give_up)

    def watch(self, *nodes: str) -> None:
        for node in nodes:
            deadline = self.attempts[node].computation.deadline
            assert deadline is not None
            self.deadlines.watch(deadline)

    def _give_up(self, attempt: Attempt) -> None:
        attempt.given_up = True
        if attempt.step.name == self.unwilling:
            raise RuntimeError(f"{self.unwilling} is not given up")
        self.given_up.append(attempt.step.name)


def attempt_at(begun: Begun) -> Attempt:
    node = begun.computation.node
    binding = GRAPH.bindings[node]
    assert binding is not None
    return Attempt(begun, GRAPH, GRAPH.steps[node], binding)


@pytest.mark.parametrize("order", list(permutations(SECONDS)))
def test_each_is_given_up_at_its_own_deadline(order: tuple[str, ...]) -> None:
    running = Running()
    running.watch(*order)
    for node, seconds in sorted(SECONDS.items(), key=lambda item: item[1]):
        running.clock.leap((START - running.clock.now()).total_seconds() + seconds - 0.001)
        assert node not in running.given_up
        running.clock.leap(0.001)
        assert running.given_up[-1] == node
    assert running.given_up == ["short", "middle", "long"]


def test_what_has_ended_is_not_given_up_and_what_still_runs_is() -> None:
    running = Running()
    running.watch(*SECONDS)
    del running.attempts["short"]
    running.clock.leap(10)
    assert running.given_up == []
    running.clock.leap(20)
    assert running.given_up == ["middle"]
    running.clock.leap(30)
    assert running.given_up == ["middle", "long"]


def test_all_that_is_over_is_given_up_at_once() -> None:
    running = Running()
    running.watch(*SECONDS)
    running.clock.leap(1000)
    assert sorted(running.given_up) == sorted(SECONDS)


def test_nothing_is_given_up_once_it_was_stopped() -> None:
    running = Running()
    running.watch(*SECONDS)
    running.deadlines.stop()
    running.clock.leap(1000)
    assert running.given_up == []


def test_one_that_cannot_be_given_up_keeps_no_other_alive() -> None:
    running = Running()
    running.unwilling = "short"
    running.watch(*SECONDS)
    with pytest.raises(RuntimeError):
        running.clock.leap(10)
    running.clock.leap(20)
    assert running.given_up == ["middle"]


async def test_a_clock_that_was_corrected_counts_for_what_begins_after_it() -> None:
    clock = SystemClock()
    clock.discipline(told(START))
    running = Running(clock)
    running.watch("long")
    clock.discipline(told(START + timedelta(hours=1)))
    running.watch("long")

    async def all_are_given_up() -> bool:
        return sorted(running.given_up) == sorted(SECONDS)

    await eventually(all_are_given_up)
