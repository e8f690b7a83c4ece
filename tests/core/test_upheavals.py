"""Steps of every kind, while their graph changes under them and others write who lack its code.

Nothing is computed: results are drawn. After each command it is looked whether anything was lost,
whether the alarm is early enough, and whether what is counted step by step is what there is.
"""

from datetime import timedelta
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from journey_async.core.commands import Evolve, Release, RetryNode, SetValues, Succeed
from journey_async.core.conditions import Condition, all_of, any_of, not_, provided, value
from journey_async.core.description import described_graph
from journey_async.core.evaluation import Evaluation
from journey_async.core.gates import unblocked_when
from journey_async.core.graph import Graph
from journey_async.core.nodes import (
    LoopNode,
    Node,
    Step,
    archive,
    compute,
    historian,
    input_node,
    loop,
    mutate,
    tick_once,
    tick_recurring,
)
from journey_async.core.reading import failed_computation
from journey_async.core.retry import Retry
from journey_async.core.schedules import every
from journey_async.core.settle import settle
from journey_async.core.tally import Tally
from journey_async.core.values import (
    ACTIVE,
    TICKS,
    Computation,
    ComputationKey,
    ComputationState,
    NodeKind,
    NodeValue,
)
from journey_async.errors import GraphError
from tests.core.story import NOON, Story, everyone, some_function
from tests.core.strategies import SMALL
from tests.core.test_properties import PROFILE

NOW = int(NOON.timestamp())
INPUTS = ["x", "y"]
STEPS = ["a", "b", "c", "d"]
TEN_YEARS = timedelta(days=3650)


def positive(node: NodeValue) -> bool:
    return bool(node.value > 0)


def gate(random: Random, names: list[str]) -> Condition:
    """A condition, sometimes by a function, which not everybody has."""
    names = random.sample(names, min(len(names), random.randint(1, 3)))
    leaves = [
        random.choice(
            [provided(n), provided(n), not_(n), value(n) > 0, unblocked_when(n, positive)]
        )
        for n in names
    ]
    joined = random.choice([all_of, any_of])(*leaves)
    return random.choice([joined, joined, not_(joined)])


def step(random: Random, name: str, upstream: list[str]) -> Step:
    """A step of any kind."""
    gated_by = gate(random, upstream)
    retry = random.choice([Retry(max_attempts=1), Retry(max_attempts=2, initial_delay=4)])
    match random.choice(list(NodeKind)[1:]):
        case NodeKind.MUTATE:
            target = random.choice(upstream)
            return mutate(name, gated_by, some_function, mutates=target, retry=retry)
        case NodeKind.HISTORIAN:
            return historian(name, gated_by, max_entries=random.choice([1, None]))
        case NodeKind.ARCHIVE:
            return archive(name, gated_by)
        case NodeKind.TICK_ONCE:
            return tick_once(name, gated_by, some_function, retry=retry)
        case NodeKind.TICK_RECURRING:
            times: Any = random.choice([some_function, every(timedelta(seconds=7))])
            return tick_recurring(name, gated_by, times, retry=retry)
        case NodeKind.LOOP:
            return loop(name, gated_by, some_function, max_iterations=2, retry=retry)
        case _:
            return compute(name, gated_by, some_function, retry=retry)


def next_definition(random: Random, last: Graph | None) -> Graph:
    """A definition in which nodes of the last one stay, change, leave, and return."""
    nodes: list[Node] = [*map(input_node, INPUTS)]
    for name in STEPS:
        fate = random.choice(["stays", "stays", "changes", "changes", "leaves", "is an input"])
        node = last.by_name.get(name) if last and fate == "stays" else None
        if fate == "is an input":
            node = input_node(name)
        elif node is None and fate != "leaves":
            node = step(random, name, [node.name for node in nodes])
        if node is not None and _fits(node, nodes):
            nodes.append(node)
    random.shuffle(nodes)
    return Graph("g", "v1", nodes)


def _fits(node: Node, nodes: list[Node]) -> bool:
    try:
        return bool(Graph("g", "v1", [*nodes, node]))
    except GraphError:
        return False


class Upheaval:
    """A story that is told what happens by chance."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.story = Story(next_definition(random, None), slots=random.choice([0, 1, 100]))
        self.rows: dict[ComputationKey, Computation] = {}
        self.tally = Tally()

    def look(self) -> None:
        """What must hold after every change."""
        change = self.story.changes[-1]
        self.rows |= change.computations
        self.tally = self.tally.plus(change.tally)
        assert self.counted() == self.tally._replace(created_at=None, updated_at=None)
        assert self.story.state.queued <= self.story.graph.steps.keys()
        if self.story.state.archived_at is None and not self.story.graph.is_opaque:
            for step in self.story.graph.steps.values():
                nothing_is_lost(self.story, step)
            the_alarm_is_early_enough(self.story)

    def counted(self) -> Tally:
        states = [row.state for row in self.rows.values()]
        archived = self.story.state.archived_at is not None
        return Tally(
            active=not archived,
            archived=archived,
            not_set=self.story.state.not_set,
            success=states.count(ComputationState.SUCCESS),
            failed=states.count(ComputationState.FAILED),
            computing=states.count(ComputationState.COMPUTING),
            abandoned=states.count(ComputationState.ABANDONED),
        )

    def happen(self) -> None:
        """Something happens, and perhaps to somebody who has not the code."""
        story, here = self.story, self.story.graph
        story.later(self.random.choice([0, 0, 0, 1, 5, 20]))
        if self.random.random() < 0.2:
            story.graph = described_graph(here.model_dump(mode="json"))
            story.can_run = lambda node: False
            self.one_command()
            story.graph, story.can_run = here, everyone
        self.one_command()

    def one_command(self) -> None:
        story, choose = self.story, self.random.choice
        is_live = story.state.archived_at is None
        inputs, steps = sorted(story.graph.inputs), sorted(story.graph.steps)
        moves = ["run", "run", "run", "release", "wake", "sleep", "archive"]
        moves += ["set", "set", "unset", *["retry"] * bool(steps)] if is_live else ["unarchive"] * 3
        move = choose(moves)
        if move == "set":
            value: Any = choose(SMALL)
            story.do(SetValues({choose(inputs): value}))
        elif move == "unset":
            story.unset(choose(inputs))
        elif move == "retry":
            story.do(RetryNode(choose(steps)))
        elif move == "release":
            story.do(Release(story.worker, died=choose([True, False])))
        elif move == "run" and story.running():
            self.end_of(choose(sorted(story.running())))
        elif move == "sleep" and story.state.wake_at:
            story.sleep()
        elif move == "archive" and self.random.random() < 0.3:
            story.archive()
        elif move == "unarchive":
            story.unarchive()
        else:
            story.wake()
        self.look()

    def end_of(self, node: str) -> None:
        """A running attempt ends, in one way or another."""
        computation, choose = self.story.newest(node), self.random.choice
        how = choose(["succeeds", "succeeds", "fails", "is given up"])
        if how == "fails":
            self.story.fail(node)
        elif how == "is given up":
            self.story.abandon(node)
        else:
            self.story.do(self.success_of(computation))

    def success_of(self, computation: Computation) -> Succeed:
        choose, now = self.random.choice, int(self.story.now.timestamp())
        value: Any = choose([0, now - 5, now + 9] if computation.kind in TICKS else SMALL)
        goes_on = computation.kind is NodeKind.LOOP and choose([True, False])
        token, fallback = self.story.token(computation.node), choose([True, False])
        return Succeed(computation.key, token, value, continues=goes_on, fallback=fallback)

    def evolve(self) -> None:
        self.story.evolve(next_definition(self.random, self.story.graph))
        self.look()


def nothing_is_lost(story: Story, step: Step) -> None:
    """What is to run is open, what is open may run, and what has a value may have it."""
    reading = Evaluation(story.node, story.now)
    newest = story.state.newest.get(step.name)
    may_stay = reading.holds(step.gated_by, keeping=True)
    assert may_stay or story.shown(step.name) is not ComputationState.AVAILABLE
    assert may_stay or not (step.clearable and story.is_set(step.name))
    assert story.node(step.name).kind is step.kind
    if not reading.holds(step.gated_by) or (newest is not None and newest.state in ACTIVE):
        return
    assert newest is not None
    assert newest.kind is step.kind
    met, upstream = reading.met(step.gated_by), story.graph.upstream[step.name]
    assert {name: newest.computed_with.get(name) for name in met} == met
    gone = newest.computed_with.keys() - met.keys()
    assert all(name in upstream and story.node(name).kind in TICKS for name in gone)
    if isinstance(step, LoopNode) and newest.disposition is not None:
        assert newest.iteration == step.max_iterations
    else:
        has_failed = failed_computation(story.graph, story.state, step.name) is not None
        assert newest.state is ComputationState.SUCCESS or has_failed


def the_alarm_is_early_enough(story: Story) -> None:
    """Whoever looks just before it rings finds nothing to do."""
    rings_at = story.state.wake_at or story.now + TEN_YEARS
    if rings_at > story.now:
        before = story.env()._replace(now=rings_at - timedelta.resolution, capacity=100)
        assert not settle(story.graph, story.state, Evolve(), before).written


@PROFILE
@given(seed=st.integers(0, 2**32))
def test_nothing_is_lost_in_any_upheaval(seed: int) -> None:
    random = Random(seed)
    upheaval = Upheaval(random)
    upheaval.story.start()
    upheaval.look()
    for _ in range(30):
        if random.random() < 0.15:
            upheaval.evolve()
        upheaval.happen()
