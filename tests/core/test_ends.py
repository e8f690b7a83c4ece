"""Attempts that end in a row are settled as one, and come to what they come to one by one."""

from itertools import count
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from journey_async.core.change import Change
from journey_async.core.commands import Ends, Fail, Succeed
from journey_async.core.nodes import compute, input_node, mutate
from journey_async.core.settle import settle
from journey_async.core.state import State
from tests.core.stories import f, graph, story
from tests.core.story import Story
from tests.core.test_properties import PROFILE
from tests.core.test_upheavals import Upheaval

FIRST_TOKEN = 10**6  # of what begins because of them


def one_by_one(told: Story, ends: list[Succeed | Fail]) -> Change:
    env = told.env()._replace(capacity=told.slots, fresh_token=count(FIRST_TOKEN).__next__)
    change = Change(told.state.version, told.state)
    for end in ends:
        one = settle(told.graph, change.state, end, env)
        env = env._replace(capacity=env.capacity - len(one.begun))
        change = change.then(one)
    return change


def in_a_row(told: Story, ends: list[Succeed | Fail]) -> Change:
    env = told.env()._replace(capacity=told.slots, fresh_token=count(FIRST_TOKEN).__next__)
    return settle(told.graph, told.state, Ends(tuple(ends)), env)


def come_to_the_same(told: Story, ends: list[Succeed | Fail]) -> None:
    wanted, found = one_by_one(told, ends), in_a_row(told, ends)
    assert unversioned(found.state) == unversioned(wanted.state)
    assert found.written == wanted.written
    begun = [[b.computation for b in change.begun] for change in (found, wanted)]
    assert begun[0] == begun[1]
    for name in ("expected", "values", "computations", "outcomes", "prunings", "slot", "tally"):
        assert getattr(found, name) == getattr(wanted, name), name


def unversioned(state: State) -> State:
    return state._replace(version=0)


@PROFILE
@given(seed=st.integers(0, 2**32))
def test_in_any_upheaval(seed: int) -> None:
    random = Random(seed)
    upheaval = Upheaval(random)
    told = upheaval.story
    told.slots = 100
    told.start()
    upheaval.look()
    for _ in range(60):
        if random.random() < 0.1:
            upheaval.evolve()
        upheaval.happen()
        if len(told.running()) > 1 and random.random() < 0.5:
            break
    running = sorted(told.running())
    random.shuffle(running)
    ends: list[Succeed | Fail] = []
    for node in running:
        computation = told.newest(node)
        if random.random() < 0.3:
            permanent = random.random() < 0.3
            ends.append(Fail(computation.key, told.token(node), "no", permanent=permanent))
        else:
            ends.append(upheaval.success_of(computation))
    come_to_the_same(told, ends)


def test_two_mutations_of_one_input_are_two_events() -> None:
    told = story(
        input_node("x"),
        input_node("t"),
        *(mutate(m, ["x"], f, mutates="t", update_revision_on_change=True) for m in "mn"),
        compute("a", ["t"], f),
    )
    told.start(x=1)
    ends: list[Succeed | Fail] = [
        Succeed(told.newest(m).key, told.token(m), value) for m, value in {"m": 1, "n": 2}.items()
    ]
    come_to_the_same(told, ends)
    assert in_a_row(told, ends).state.revision == told.revision + 3  # and the beginning of a


def test_results_that_come_too_late_change_nothing() -> None:
    told = story(*graph(input_node("x"), compute("a", ["x"], f), compute("b", ["x"], f)).nodes)
    told.start(x=1)
    ends: list[Succeed | Fail] = [Succeed(told.newest(n).key, 0, 1) for n in "ab"]
    assert not in_a_row(told, ends).written
