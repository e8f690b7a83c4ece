"""Attempts, whose workers may go away, within the places that there are."""

from collections.abc import Callable

import pytest

from journey_async.core.change import Outcome, SaveFailed
from journey_async.core.commands import Release
from journey_async.core.nodes import (
    compute,
    historian,
    input_node,
    loop,
    mutate,
    tick_once,
    tick_recurring,
)
from journey_async.core.reading import failed_computation, failed_upstream
from journey_async.core.retry import Retry
from journey_async.core.schedules import cron
from journey_async.core.state import shown_state
from tests.core.stories import (
    ABANDONED,
    AVAILABLE,
    CANCELLED,
    COMPUTING,
    FAILED,
    NOW,
    ONCE,
    THRICE,
    begun,
    f,
    story,
    x_and,
)
from tests.core.story import Story

# --- attempts -----------------------------------------------------------------------------------


def test_a_failed_attempt_is_tried_again_after_a_growing_delay() -> None:
    told = x_and(compute("a", ["x"], f, retry=THRICE))
    for attempt, delay in [(1, 1.0), (2, 2.0)]:
        assert told.newest("a").attempt == attempt
        told.fail("a")
        assert told.running() == []
        assert told.wakes_in == delay
        told.sleep()
        assert told.running() == ["a"]
    assert told.newest("a").attempt == 3
    told.fail("a", "for good")
    assert told.state.wake_at is None
    assert [c.state for c in told.computations("a")] == [FAILED] * 3
    assert told.outcomes[-1] == ("a", SaveFailed("for good", "error"))
    assert failed_computation(told.graph, told.state, "a") == told.newest("a")


def test_a_retry_that_is_not_due_is_not_begun_by_anything_else() -> None:
    told = begun(input_node("x"), input_node("y"), compute("a", ["x"], f, retry=THRICE), x=1)
    told.fail("a")
    told.set(y=1)
    assert told.running() == []
    told.later(0.999_999)
    assert not told.wake().written
    told.later(0.000_001)
    told.set(y=2)
    assert told.running() == ["a"]


def test_jitter_takes_a_share_of_the_delay() -> None:
    told = x_and(compute("a", ["x"], f, retry=Retry(initial_delay=8)))
    told.chance = 0.25
    told.fail("a")
    assert told.wakes_in == 2.0


def test_a_permanent_failure_is_the_last() -> None:
    told = x_and(compute("a", ["x"], f, retry=THRICE))
    told.fail("a", permanent=True)
    assert told.running() == []
    assert told.state.wake_at is None
    assert [type(o) for n, o in told.outcomes if n == "a"] == [SaveFailed]


def test_timeouts_use_up_attempts_like_errors() -> None:
    told = x_and(compute("a", ["x"], f, retry=Retry(max_attempts=2, initial_delay=0)))
    told.abandon("a")
    before = told.revision
    told.abandon("a")
    assert told.revision == before, "giving up is no event"
    assert told.running() == []
    assert [c.state for c in told.computations("a")] == [ABANDONED] * 2
    assert told.outcomes[-1] == ("a", SaveFailed("timeout", "timeout"))


def test_timeouts_after_a_success_and_a_new_input_end_too() -> None:
    told = x_and(compute("a", ["x"], f, retry=ONCE))
    told.succeed("a", 1)
    told.set(x=2)
    told.abandon("a")
    assert told.running() == []
    assert not told.wake().written


@pytest.mark.parametrize("how", ["fail", "abandon"])
def test_an_upstream_change_gives_new_attempts_even_if_none_ever_succeeded(how: str) -> None:
    told = x_and(compute("a", ["x"], f, retry=ONCE))
    getattr(told, how)("a")
    assert told.running() == []
    told.set(x=2)
    assert told.running() == ["a"]
    assert (told.newest("a").attempt, told.newest("a").number) == (1, 2)


def test_an_upstream_change_while_a_retry_waits_begins_anew_at_once() -> None:
    told = x_and(compute("a", ["x"], f, retry=THRICE))
    told.fail("a")
    told.set(x=2)
    assert told.running() == ["a"]
    assert told.newest("a").attempt == 1


def test_an_attempt_on_outdated_inputs_does_not_count() -> None:
    told = x_and(compute("a", ["x"], f, retry=ONCE))
    told.set(x=2)
    told.fail("a")
    assert told.running() == ["a"]
    assert told.newest("a").attempt == 1


@pytest.mark.parametrize("how", ["fail", "abandon"])
def test_a_failure_on_outdated_inputs_is_no_terminal_outcome(how: str) -> None:
    told = x_and(compute("a", ["x"], f, retry=ONCE))
    told.set(x=2)
    getattr(told, how)("a")
    assert told.running() == ["a"]
    assert [o for n, o in told.outcomes if n == "a"] == []


def test_successes_do_not_use_up_attempts() -> None:
    told = begun(tick_recurring("t", [], f, retry=Retry(max_attempts=2, initial_delay=0)))
    for cycle in range(1, 5):
        told.succeed("t", NOW + 60 * cycle)
        told.sleep()
        assert told.newest("t").attempt == 1
    told.fail("t")
    assert told.running() == ["t"]
    assert told.newest("t").attempt == 2


def test_a_failing_recomputation_keeps_the_old_value() -> None:
    told = x_and(compute("a", ["x"], f, retry=ONCE))
    told.succeed("a", "old")
    told.set(x=2)
    told.fail("a")
    assert told.value("a") == "old"


def test_a_long_error_is_cut() -> None:
    told = x_and(compute("a", ["x"], f))
    told.fail("a", "e" * 5000)
    assert told.computations("a")[0].error == "e" * 1000


def test_failure_upstream_is_found() -> None:
    told = x_and(compute("a", ["x"], f, retry=ONCE), compute("b", ["a"], f))
    told.fail("a")
    failed = failed_upstream(told.graph, told.state, "b")
    assert failed is not None
    assert failed.node == "a"


def test_retry_by_an_operator_adds_one_attempt() -> None:
    told = x_and(compute("a", ["x"], f, retry=ONCE))
    told.fail("a")
    told.retry("a")
    assert told.running() == ["a"]
    assert told.newest("a").attempt == 2
    told.fail("a")
    assert told.running() == []


def test_retry_by_an_operator_makes_a_waiting_one_due() -> None:
    told = x_and(compute("a", ["x"], f, retry=THRICE))
    told.fail("a")
    told.retry("a")
    assert told.running() == ["a"]
    assert told.newest("a").number == 2


def test_retry_by_an_operator_leaves_a_running_one_and_an_unborn_one_alone() -> None:
    told = begun(
        input_node("x"), input_node("y"), compute("a", ["x"], f), compute("b", ["y"], f), x=1
    )
    assert not told.retry("a").written
    assert not told.retry("b").written


def test_retry_by_an_operator_runs_a_success_again() -> None:
    told = x_and(compute("a", ["x"], f))
    told.succeed("a", 1)
    told.retry("a")
    assert told.running() == ["a"]
    assert told.newest("a").attempt == 1


def test_retry_by_an_operator_does_not_override_the_gate() -> None:
    told = x_and(compute("a", ["x"], f))
    told.succeed("a", 1)
    told.unset("x")
    told.retry("a")
    assert told.running() == []
    assert told.shown("a") is CANCELLED
    told.set(x=1)
    assert told.running() == ["a"]


@pytest.mark.parametrize("archived", [False, True])
def test_a_last_failure_is_told_unless_new_inputs_are_to_be_tried(archived: bool) -> None:
    def outcomes(meanwhile: Callable[[Story], object]) -> list[Outcome]:
        told = x_and(compute("a", ["x"], f, retry=ONCE))
        meanwhile(told)
        if archived:
            told.archive()
        told.fail("a")
        return [outcome for node, outcome in told.outcomes if node == "a"]

    assert outcomes(lambda _: None) == [SaveFailed("no", "error")]
    assert outcomes(lambda told: told.unset("x")) == [SaveFailed("no", "error")]
    assert outcomes(lambda told: told.set(x=2)) == []


# --- workers that go away -----------------------------------------------------------------------


def test_work_of_a_worker_that_died_begins_again_and_no_attempt_is_counted() -> None:
    told = x_and(compute("a", ["x"], f))
    told.worker = "worker-2"
    told.release("worker-1")
    newest = told.newest("a")
    assert (newest.state, newest.worker, newest.attempt) == (COMPUTING, "worker-2", 1)
    assert (newest.number, newest.deaths) == (1, 1)


def test_release_leaves_the_work_of_others_alone() -> None:
    told = x_and(compute("a", ["x"], f))
    assert not told.release("worker-2").written


def test_release_of_some_leaves_the_others_running() -> None:
    told = x_and(compute("a", ["x"], f), compute("b", ["x"], f))
    token = told.token("b")
    told.do(Release("worker-1", died=False, keys=(told.newest("a").key,)))
    assert told.token("b") == token
    assert told.newest("a").deaths == 0


def test_the_tenth_death_in_a_row_ends_it() -> None:
    told = x_and(compute("a", ["x"], f))
    for deaths in range(1, 10):
        told.release()
        assert told.newest("a").deaths == deaths
        assert told.running() == ["a"]
    before = told.revision
    told.release()
    assert told.revision == before + 1
    assert told.shown("a") is FAILED
    assert "10 times" in (told.newest("a").error or "")
    assert isinstance(told.outcomes[-1][1], SaveFailed)
    told.set(x=2)
    assert told.running() == ["a"]


def test_an_orderly_stop_is_no_death() -> None:
    told = x_and(compute("a", ["x"], f))
    for _ in range(20):
        told.release(died=False)
    assert told.newest("a").deaths == 0


def test_an_attempt_that_ended_by_itself_breaks_the_row_of_deaths() -> None:
    told = x_and(compute("a", ["x"], f, retry=Retry(initial_delay=0)))
    for _ in range(9):
        told.release()
    told.fail("a")
    told.release()
    assert told.shown("a") is COMPUTING


def test_deaths_are_counted_for_each_iteration_of_a_loop() -> None:
    told = x_and(loop("l", ["x"], f, max_iterations=100))
    for n in range(12):
        told.release()
        told.carry_on("l", n)
    assert told.shown("l") is COMPUTING


def test_released_work_whose_inputs_changed_begins_on_the_new_ones() -> None:
    told = x_and(compute("a", ["x"], f))
    told.set(x=2)
    told.release()
    assert told.newest("a").computed_with == {"x": told.node("x").revision}


def test_released_work_whose_gate_closed_is_withdrawn() -> None:
    told = x_and(compute("a", ["x"], f))
    told.unset("x")
    told.release()
    assert told.shown("a") is CANCELLED


# --- capacity -----------------------------------------------------------------------------------


def test_what_does_not_fit_is_left_available_and_wants_to_be_looked_at() -> None:
    told = story(input_node("x"), *(compute(name, ["x"], f) for name in "cab"), slots=2)
    told.start(x=1)
    assert told.running() == ["c", "a"]
    assert told.shown("b") is AVAILABLE
    assert told.state.wake_at == told.now
    told.succeed("a", 1)
    assert told.running() == ["c", "b"]
    assert told.state.wake_at is None


def test_what_cannot_run_here_is_left_available() -> None:
    told = story(input_node("x"), compute("a", ["x"], f))
    told.can_run = lambda node: False
    told.start(x=1)
    assert told.shown("a") is AVAILABLE
    told.can_run = lambda node: True
    told.wake()
    assert told.running() == ["a"]


def test_steps_without_a_function_need_no_capacity() -> None:
    told = story(
        input_node("x"), historian("h", ["x"]), tick_once("t", ["x"], cron("0 9 * * *")), slots=0
    )
    told.start(x=1)
    assert told.is_set("h")
    assert told.is_set("t")


def test_queued_work_sees_the_newest_inputs_once_it_begins() -> None:
    told = story(input_node("x"), compute("a", ["x"], f), slots=0)
    told.start(x=1)
    told.set(x=2)
    told.slots = 1
    change = told.wake()
    assert change.begun[0].computation.computed_with == {"x": 2}
    assert change.begun[0].state.values["x"].value == 2
    assert told.newest("a").number == 1


def test_queued_work_whose_gate_closes_is_withdrawn() -> None:
    told = story(input_node("x"), compute("a", ["x"], f), slots=0)
    told.start(x=1)
    told.unset("x")
    assert told.shown("a") is CANCELLED
    assert shown_state(told.state, "a") == "not_set"
    assert told.state.wake_at is None
    told.slots = 1
    told.set(x=1)
    assert told.newest("a").number == 2
    assert told.running() == ["a"]


def test_a_withdrawn_run_does_not_hide_that_the_node_has_run() -> None:
    told = begun(input_node("x"), input_node("y"), mutate("m", ["x"], f, mutates="y"), x=1)
    told.succeed("m", 1)
    told.slots = 0
    told.set(x=2)
    told.unset("x")
    assert told.is_set("m")
    assert shown_state(told.state, "m") == "success"
