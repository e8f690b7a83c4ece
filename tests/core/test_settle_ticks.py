"""Ticks: times that lie ahead, have come, move, or are paused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from journey_async.core.conditions import any_of, not_
from journey_async.core.nodes import compute, input_node, tick_once, tick_recurring
from journey_async.core.schedules import cron, every
from journey_async.core.state import State
from journey_async.core.values import NodeKind, NodeValue
from journey_async.errors import GraphError
from tests.core.stories import AVAILABLE, NOW, ONCE, THRICE, begun, f, story, x_and
from tests.core.story import Story


def ticking(*, recurring: bool = False, gate: Any = ("x",)) -> Story:
    kind = tick_recurring if recurring else tick_once
    return x_and(kind("t", list(gate), f), compute("d", ["t"], f))


def test_what_waits_for_a_tick_begins_at_its_time() -> None:
    told = ticking()
    told.succeed("t", NOW + 60)
    assert told.wakes_in == 60
    told.later(59.999_999)
    assert not told.wake().written
    told.later(0.000_001)
    told.wake()
    assert told.running() == ["d"]
    assert told.state.wake_at is None


def test_a_past_tick_fires_at_once() -> None:
    told = ticking()
    told.succeed("t", NOW - 3600)
    assert told.running() == ["d"]


@pytest.mark.parametrize("paused", [0, None])
@pytest.mark.parametrize("recurring", [False, True])
def test_a_paused_tick_does_not_fire_nor_poll(paused: Any, recurring: bool) -> None:
    told = ticking(recurring=recurring)
    told.succeed("t", paused)
    assert told.state.wake_at is None
    told.later(86400)
    assert not told.wake().written
    told.set(x=2)
    assert told.running() == ["t"]


@pytest.mark.parametrize("bad", ["tomorrow", True, -5, [1], {"a": 1}])
def test_a_tick_without_a_time_stops_nothing(bad: Any) -> None:
    told = ticking()
    told.succeed("t", bad)
    told.set(x=2)
    told.succeed("t", NOW)
    assert told.running() == ["d"]


def test_a_tick_between_two_microseconds_fires_when_it_wakes() -> None:
    told = ticking()
    told.succeed("t", NOW + 60.1234567)
    told.sleep()
    assert told.running() == ["d"]


def test_a_tick_just_after_a_microsecond_is_not_forgotten() -> None:
    told = begun(tick_once("t", [], f), compute("d", ["t"], f))
    told.succeed("t", NOW + 60.1234565)
    told.sleep()
    assert told.running() == ["d"] or told.state.wake_at is not None


def test_moving_or_pausing_a_tick_wipes_nothing() -> None:
    told = ticking()
    told.succeed("t", NOW)
    told.succeed("d", "done")
    told.set(x=2)
    told.succeed("t", NOW + 60)
    assert told.value("d") == "done"
    told.set(x=3)
    told.succeed("t", 0)
    assert told.value("d") == "done"


def test_a_tick_moved_on_while_what_it_unblocked_was_queued_does_not_withdraw_it() -> None:
    told = story(input_node("x"), tick_once("t", ["x"], f), compute("d", ["t"], f))
    told.start(x=1)
    told.slots = 1
    told.can_run = lambda node: node.name == "t"
    told.succeed("t", NOW)
    fired = told.node("t").revision
    assert told.shown("d") is AVAILABLE
    told.set(x=2)
    told.succeed("t", NOW + 60)
    assert told.shown("d") is AVAILABLE
    told.can_run = lambda node: True
    told.wake()
    assert told.newest("d").computed_with == {"t": fired}
    told.succeed("d", 1)
    told.sleep()
    assert told.running() == ["d"]
    assert told.newest("d").computed_with == {"t": told.node("t").revision}


def test_a_retry_goes_on_though_the_tick_has_moved_on() -> None:
    told = begun(
        tick_recurring("t", [], every(timedelta(minutes=1))), compute("d", ["t"], f, retry=THRICE)
    )
    told.sleep()
    assert told.running() == ["d"]
    told.fail("d")
    assert told.wakes_in == 1.0
    told.sleep()
    assert told.newest("d").attempt == 2
    told.succeed("d", 1)
    assert told.wakes_in == 59.0


@pytest.mark.parametrize("moved_to", [NOW + 3600, 0])
def test_after_its_last_attempt_a_node_waits_for_its_tick_again(moved_to: int) -> None:
    told = begun(
        input_node("x"),
        input_node("when"),
        tick_once("t", ["when"], f),
        compute("d", ["t", "x"], f, retry=ONCE),
        x=1,
        when=1,
    )
    told.succeed("t", NOW)
    told.fail("d")
    told.set(when=2)
    told.succeed("t", moved_to)
    told.set(x=2)
    assert told.running() == []


def test_a_negated_tick_holds_until_the_tick_is_due() -> None:
    told = begun(tick_once("t", [], f), compute("early", not_("t"), f))
    told.succeed("t", NOW + 60)
    told.succeed("early", 1)
    told.succeed("early", 1)
    assert told.running() == []
    assert told.is_set("early")
    told.sleep()
    assert not told.is_set("early")
    assert told.state.wake_at is None


def test_a_negated_tick_in_an_or_that_becomes_due_computes_again() -> None:
    told = begun(
        tick_once("t", [], f), input_node("x"), compute("a", any_of(not_("t"), "x"), f), x=1
    )
    told.succeed("t", NOW + 60)
    told.succeed("a", "early")
    told.succeed("a", "early")
    assert set(told.newest("a").computed_with) == {"t", "x"}
    told.sleep()
    assert told.running() == ["a"]
    assert set(told.newest("a").computed_with) == {"x"}


def test_a_recurring_tick_runs_again_after_each_firing() -> None:
    told = ticking(recurring=True)
    for cycle in (1, 2, 3):
        told.succeed("t", NOW + 60 * cycle)
        told.sleep()
        assert told.running() == ["t", "d"]
        told.succeed("d", cycle)
    assert told.revision == 1 + 2 * 3 + 1 + 2 * 3


def test_a_slow_recurring_tick_is_one_run_at_a_time() -> None:
    told = ticking(recurring=True)
    told.succeed("t", NOW + 60)
    told.sleep()
    told.succeed("d", 1)
    told.later(3600)
    assert not told.wake().written
    assert told.newest("t").number == 2


def test_firings_during_a_run_are_one_more_run() -> None:
    told = ticking(recurring=True)
    told.succeed("t", NOW + 60)
    told.sleep()
    told.succeed("t", NOW + 120)
    told.sleep()
    told.succeed("t", NOW + 180)
    told.sleep()
    told.succeed("t", NOW + 240)
    assert told.running() == ["d"]
    told.succeed("d", 1)
    assert told.running() == []
    assert told.wakes_in == 60


def test_a_recurring_tick_whose_time_is_always_past_pauses_for_a_second() -> None:
    told = ticking(recurring=True)
    told.succeed("t", NOW - 100)
    assert told.running() == ["d"]
    assert told.wakes_in == 1.0
    told.sleep()
    assert "t" in told.running()


def test_every_counts_from_the_time_it_fired_at() -> None:
    told = begun(tick_recurring("t", [], every(timedelta(seconds=10))), compute("d", ["t"], f))
    assert told.value("t") == NOW + 10
    told.later(13)
    told.wake()
    assert told.value("t") == NOW + 20
    told.later(100)
    told.wake()
    assert told.value("t") == NOW + 120
    assert told.running() == ["d"]


def test_an_interval_beyond_all_times_is_refused_or_stops_nothing() -> None:
    with pytest.raises(GraphError):
        every(timedelta.max)
    begun(tick_recurring("t", [], every(timedelta(days=36500))))


def test_cron_in_place_of_a_function() -> None:
    told = begun(
        tick_recurring("t", [], cron("0 9 * * *", tz="Europe/Berlin")), compute("d", ["t"], f)
    )
    assert told.value("t") == datetime(2024, 3, 2, 8, tzinfo=UTC).timestamp()
    told.sleep()
    assert told.running() == ["d"]
    assert told.value("t") == datetime(2024, 3, 3, 8, tzinfo=UTC).timestamp()
    assert told.revision == 2 + 1 + 2


def test_a_tick_is_not_cleared_and_fires_after_its_inputs_are_gone() -> None:
    told = ticking()
    told.succeed("t", NOW + 60)
    told.unset("x")
    told.sleep()
    assert told.running() == ["d"]


def test_a_tick_once_is_computed_again_after_it_fired() -> None:
    told = ticking()
    told.succeed("t", NOW)
    told.succeed("d", 1)
    told.set(x=2)
    assert told.running() == ["t"]
    told.succeed("t", NOW + 60)
    told.sleep()
    assert told.running() == ["d"]


@pytest.mark.parametrize("early", [0.000_001, 0.005, 1.0])
def test_attention_wanted_by_a_clock_that_is_ahead_is_not_forgotten(early: float) -> None:
    told = begun(input_node("x"), input_node("y"), compute("a", ["x"], f))
    # somebody who could not settle has set x, by a clock that is ahead of ours
    ahead = told.now + timedelta(seconds=early)
    told.state = _written_elsewhere(told.state, "x", 1, ahead)
    told.set(y=1)
    assert told.running() == ["a"] or told.state.wake_at == ahead


def _written_elsewhere(state: State, name: str, value: Any, at: datetime) -> State:
    row = NodeValue(name, NodeKind.INPUT, value, None, state.revision + 1, at)
    return state._replace(
        version=state.version + 1,
        revision=state.revision + 1,
        inputs_revision=state.revision + 1,
        values={**state.values, name: row},
        wake_at=at,
    )


def test_attention_wanted_is_given_by_whoever_comes_first() -> None:
    told = begun(input_node("x"), input_node("y"), compute("a", ["x"], f))
    told.state = _written_elsewhere(told.state, "x", 1, told.now)
    told.set(y=1)
    assert told.running() == ["a"]
    assert told.state.wake_at is None
