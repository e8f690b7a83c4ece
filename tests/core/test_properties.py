"""Random graphs and histories, against the plain evaluation in `model`."""

import os
from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from journey_async.core.change import Begun, Change
from journey_async.core.commands import (
    Archive,
    Command,
    Evolve,
    Fail,
    Release,
    SetValues,
    Start,
    Succeed,
    Unarchive,
    UnsetValues,
)
from journey_async.core.graph import Graph
from journey_async.core.jsonvalue import equal
from journey_async.core.state import State
from journey_async.core.values import ComputationKey
from tests.core.model import evaluated, picked
from tests.core.story import Story, applied, looked_at_as_a_whole
from tests.core.strategies import evolved, graphs, small_values

settings.register_profile(
    "ci",
    deadline=None,
    print_blob=True,
    derandomize=False,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("thorough", settings.get_profile("ci"), max_examples=5000)
PROFILE = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


class Runner:
    """A story whose functions are run: each result depends only on what the attempt saw."""

    def __init__(self, graph: Graph, *, slots: int = 100, whole: bool = True) -> None:
        self.story = Story(graph, slots=slots)
        self.running: dict[ComputationKey, Begun] = {}
        self.whole = whole  # also compare with a look at everything

    def do(self, command: Command) -> Change:
        story = self.story
        before = story.state
        if self.whole and before.version and not isinstance(command, Start):
            expected = _without_tokens(looked_at_as_a_whole(story, command))
            change = story.do(command)
            if change.written:
                expected = expected._replace(version=change.state.version)
                assert _without_tokens(change.state) == expected
        else:
            change = story.do(command)
        self._follow(change)
        return change

    def _follow(self, change: Change) -> None:
        newest = self.story.state.newest
        for begun in change.begun:
            self.running[begun.computation.key] = begun
            graph = self.story.graph
            for name, revision in begun.computation.computed_with.items():
                seen = begun.state.value_of(graph.by_name[name])
                assert seen.revision == revision, "what it sees is what it is said to have seen"
        self.running = {
            key: begun
            for key, begun in self.running.items()
            if newest[key.node] == begun.computation
        }

    def result_of(self, key: ComputationKey) -> Any:
        begun = self.running[key]
        values = begun.state.values
        upstream = {n: values[n] for n in begun.computation.computed_with if n in values}
        return picked(key.node, {n: v.value for n, v in upstream.items() if v.is_set})

    def finish(self, key: ComputationKey) -> Change:
        token = self.running[key].computation.token
        assert token is not None
        return self.do(Succeed(key, token, self.result_of(key)))

    def drain(self, choose: Any = min) -> None:
        """Complete what runs until nothing does."""
        for _ in range(1000):
            if not self.running:
                return
            self.finish(choose(sorted(self.running)))
        raise AssertionError("it never gets quiet")

    def set_values(self) -> dict[str, Any]:
        return {n: v.value for n, v in self.story.state.values.items() if v.is_set}


def _without_tokens(state: State) -> State:
    newest = {n: c._replace(token=None if c.token is None else 0) for n, c in state.newest.items()}
    return state._replace(newest=newest)


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)


class History(RuleBasedStateMachine):
    """Events, failures, deaths, time and other definitions, in any order; then it gets quiet."""

    runner: Runner
    inputs: dict[str, Any]

    @initialize(graph=graphs(), slots=st.sampled_from([0, 1, 2, 100]), data=st.data())
    def begin(self, graph: Graph, slots: int, data: st.DataObject) -> None:
        note(str([(n.name, getattr(n, "gated_by", None)) for n in graph.nodes]))
        self.runner = Runner(graph, slots=slots)
        names = st.sampled_from(sorted(graph.inputs))
        self.inputs = dict(data.draw(st.dictionaries(names, small_values(), max_size=2)))
        self.runner.do(Start(self.inputs))

    @property
    def story(self) -> Story:
        return self.runner.story

    @property
    def is_archived(self) -> bool:
        return self.story.state.archived_at is not None

    @precondition(lambda self: not self.is_archived)
    @rule(data=st.data(), metadata=st.sampled_from([None, None, None, "m"]))
    def set(self, data: st.DataObject, metadata: Any) -> None:
        names = st.sampled_from(sorted(self.story.graph.inputs))
        values = data.draw(st.dictionaries(names, small_values(), min_size=1, max_size=2))
        self.inputs |= values
        self.runner.do(SetValues(values, metadata))

    @precondition(lambda self: not self.is_archived)
    @rule(data=st.data())
    def unset(self, data: st.DataObject) -> None:
        names = data.draw(
            st.lists(st.sampled_from(sorted(self.story.graph.inputs)), min_size=1, max_size=2)
        )
        for name in names:
            self.inputs.pop(name, None)
        self.runner.do(UnsetValues(tuple(names)))

    @precondition(lambda self: self.runner.running)
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        self.runner.finish(data.draw(st.sampled_from(sorted(self.runner.running))))

    @precondition(lambda self: self.runner.running)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.runner.running)))
        newest = self.story.newest(key.node)
        if newest.attempt >= 3:
            self.runner.finish(key)
            return
        assert newest.token is not None
        command = Fail(key, newest.token, "no")
        self.runner.do(command)
        assert not self.runner.do(command).written, "a result counts once"

    @precondition(lambda self: self.runner.running)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.runner.running)))
        newest = self.story.newest(key.node)
        if newest.attempt >= 3:
            return
        assert newest.token is not None
        late = Succeed(key, newest.token, "late")
        self.story.now = max(self.story.now, newest.deadline or self.story.now)
        self.story.abandon(key.node)
        self.runner._follow(self.story.changes[-1])
        assert not self.runner.do(late).written

    @rule(died=st.booleans())
    def release(self, died: bool) -> None:
        if any(c.deaths >= 9 for c in self.story.state.newest.values()):
            died = False
        self.runner.do(Release(self.story.worker, died))

    @rule(slots=st.sampled_from([0, 1, 2, 100]))
    def other_capacity(self, slots: int) -> None:
        self.story.slots = slots
        self.wake()

    @rule(seconds=st.sampled_from([0.000001, 0.5, 1.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.story.later(seconds)

    @rule()
    def wake(self) -> None:
        self.story.wake()
        self.runner._follow(self.story.changes[-1])

    @rule(data=st.data())
    def evolve(self, data: st.DataObject) -> None:
        self.story.graph = data.draw(evolved(self.story.graph))
        self.runner.do(Evolve())

    @precondition(lambda self: not self.is_archived)
    @rule()
    def archive(self) -> None:
        self.runner.do(Archive())

    @precondition(lambda self: self.is_archived)
    @rule()
    def unarchive(self) -> None:
        self.runner.do(Unarchive())

    @invariant()
    def the_running_are_those_that_were_begun(self) -> None:
        if hasattr(self, "runner"):
            assert sorted(self.story.running()) == sorted(k.node for k in self.runner.running)

    def teardown(self) -> None:
        if not hasattr(self, "runner"):
            return
        if self.is_archived:
            self.unarchive()
        self.story.slots = 2
        for _ in range(200):
            self.runner.drain()
            if self.story.state.wake_at is None:
                break
            self.story.sleep()
            self.runner._follow(self.story.changes[-1])
        assert self.story.state.wake_at is None
        held = self.runner.set_values()
        of_the_graph = {name: held[name] for name in held if name in self.story.graph.by_name}
        assert same(of_the_graph, evaluated(self.story.graph, self.inputs))


def test_a_quiet_execution_holds_what_plain_evaluation_gives() -> None:
    run_state_machine_as_test(History, settings=settings(PROFILE, stateful_step_count=25))


steps = st.lists(
    st.tuples(st.sampled_from(["x0", "x1", "x2"]), st.none() | small_values().map(lambda v: [v])),
    max_size=6,
)


def _told(graph: Graph, history: list[tuple[str, Any]], choose: Any, between: Any) -> Runner:
    runner = Runner(graph, whole=False)
    runner.do(Start({}))
    for name, boxed in history:
        if name in graph.inputs:
            runner.do(UnsetValues((name,)) if boxed is None else SetValues({name: boxed[0]}))
            for _ in range(between()):
                if runner.running:
                    runner.finish(choose(sorted(runner.running)))
    runner.drain(choose)
    return runner


@PROFILE
@given(graph=graphs(), history=steps, random=st.randoms(use_true_random=False))
def test_the_order_of_completions_does_not_matter(
    graph: Graph, history: list[tuple[str, Any]], random: Any
) -> None:
    one = _told(graph, history, min, lambda: 0)
    other = _told(graph, history, random.choice, lambda: random.randrange(4))
    assert same(one.set_values(), other.set_values())


@PROFILE
@given(graph=graphs(), history=steps, data=st.data())
def test_merging_changes_is_applying_one_after_the_other(
    graph: Graph, history: list[tuple[str, Any]], data: st.DataObject
) -> None:
    runner = Runner(graph, slots=3, whole=False)
    runner.do(Start({}))
    commands: list[Command] = [
        UnsetValues((n,)) if b is None else SetValues({n: b[0]})
        for n, b in history
        if n in graph.inputs
    ]
    start = runner.story.state
    merged: Change | None = None
    written = False
    for command in commands:
        for step in (command, None):
            if step is None and runner.running:
                change = runner.finish(data.draw(st.sampled_from(sorted(runner.running))))
            elif step is not None:
                change = runner.do(step)
            else:
                continue
            written = written or change.written
            merged = change if merged is None else merged.then(change)
    if merged is None:
        return
    assert merged.expected == start.version
    assert merged.written is written
    assert (merged.state.version > start.version) is written
    assert merged.state == runner.story.state
    kept = {c.token for c in start.newest.values()}
    running = {c.token for c in merged.state.newest.values() if c.token is not None}
    assert running - kept <= {begun.computation.token for begun in merged.begun}
    values, newest = applied(start, merged)
    assert values == merged.state.values
    assert newest == merged.state.newest


@PROFILE
@given(graph=graphs())
def test_a_graph_is_the_same_whatever_the_order_of_its_nodes(graph: Graph) -> None:
    turned = Graph(graph.name, graph.version, graph.nodes[:1:-1])
    assert turned.hash == graph.hash
    again = Graph.model_validate(graph.model_dump(mode="json"))
    assert again == graph
    assert again.hash == graph.hash
    assert Graph.model_validate_json(graph.model_dump_json()).hash == graph.hash
