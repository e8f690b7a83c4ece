"""Where values came from, and what would follow from others."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from journey_async import (
    Graph,
    Journey,
    Retry,
    archive,
    compute,
    historian,
    input_node,
    mutate,
    unblocked_when,
    value,
)
from journey_async.cli.shapes import causes_data
from journey_async.client.causes import cause_of
from journey_async.client.previewing import previewed
from journey_async.core.state import new_state
from journey_async.core.values import Computation, ComputationState, NodeKind, NodeValue
from journey_async.errors import (
    ComputationFailed,
    ExecutionArchivedError,
    InvalidOptionError,
    InvalidValueError,
    JourneyError,
    NotAnInputError,
    UnknownNodeError,
)
from tests.core.story import Story
from tests.support.effort import growth
from tests.support.graphs import basic_graph, everything


async def test_a_value_is_traced_to_what_callers_set(dsn: str) -> None:
    async with Journey(dsn, graphs=[basic_graph()]) as journey:
        execution = await journey.start_execution(basic_graph(), {"x": 40, "y": 2})
        await journey.get_value(execution, "large_value_alert", wait_any=True)
        alert = await journey.why(execution, "large_value_alert")
        assert (alert.value, alert.is_current, alert.attempt) == ("🚨", True, 1)
        assert alert.computation == f"{execution.id}:large_value_alert:1"
        [total] = alert.inputs
        assert (total.node, total.value, total.revision) == ("sum", 42, 3)
        assert [(i.node, i.value, i.revision, i.computation) for i in total.inputs] == [
            ("x", 40, 1, None),
            ("y", 2, 1, None),
        ]
        lines = alert.to_text().splitlines()
        assert lines[0].startswith('large_value_alert: "🚨" | compute | rev 5 | set at ')
        assert lines[1].startswith(" └─ sum: 42 | compute | rev 3 | set at ")
        assert lines[2].startswith("     ├─ x: 40 | input | rev 1 | set at ")
        assert lines[2].endswith("by a caller")


async def test_what_changed_since_is_said_to_have(dsn: str) -> None:
    async with Journey(dsn, graphs=[basic_graph()]) as journey:
        execution = await journey.start_execution(basic_graph(), {"x": 1, "y": 2})
        await journey.get_value(execution, "sum", settled=True)
        async with Journey(dsn, run_computations=False) as other:
            await journey.close()
            await other.set_value(execution.id, "x", 5)
            total = await other.why(execution.id, "sum")
            assert [(i.node, i.is_current, i.value) for i in total.inputs] == [
                ("x", False, None),
                ("y", True, 2),
            ]
            assert "x | input | rev 1 | changed since" in total.to_text()


async def test_an_unset_node_tells_what_it_waits_for(dsn: str) -> None:
    async with Journey(dsn, graphs=[basic_graph()]) as journey:
        execution = await journey.start_execution(basic_graph(), {"x": 1})
        told = await journey.why(execution, "sum")
        assert told.revision is None
        assert told.to_text() == "sum | compute | not set\n  waits for provided(y)"
        with pytest.raises(UnknownNodeError):
            await journey.why(execution, "nothing")


async def test_an_unset_node_whose_gate_holds_tells_what_else_keeps_it(dsn: str) -> None:
    def fails(x: int) -> int:
        raise ValueError("no good")

    failing = compute("y", ["x"], fails, retry=Retry(max_attempts=1))
    graph = Graph("orders", "v1", [input_node("x"), failing])
    async with Journey(dsn, graphs=[graph], run_computations=False) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        idle = await journey.why(execution, "y")
        assert idle.to_text() == (
            "y | compute | not set\n  'y' waits for a worker that has the code of graph 'orders' "
            "version 'v1' and is free"
        )
        async with Journey(dsn, graphs=[graph]) as worker:
            with pytest.raises(ComputationFailed):
                await worker.get_value(execution, "y", wait_any=True)
        failed = await journey.why(execution, "y")
        assert failed.kept_by == "'y' has failed: ValueError: no good"
        await journey.archive(execution)
        archived = await journey.why(execution, "y")
        assert archived.kept_by == "the execution is archived, and nothing of it runs"


async def test_a_mutated_value_is_traced_to_its_mutation(dsn: str) -> None:
    graph = Graph(
        "g",
        "v1",
        [
            input_node("x"),
            input_node("target"),
            mutate("m", ["x"], lambda x: x + 1, mutates="target", update_revision_on_change=True),
        ],
    )
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await journey.get_value(execution, "m", wait_any=True)
        told = await journey.why(execution, "target")
        assert told.computation == f"{execution.id}:m:1"
        assert [i.node for i in told.inputs] == ["x"]


def test_of_what_ended_at_the_same_moment_it_is_known_what_wrote_the_value() -> None:
    steps = [compute("y", ["x"], lambda x: x), mutate("m", ["go"], lambda: 0, mutates="y")]
    told = Story(Graph("g", "v1", [input_node("x"), input_node("go"), *steps]))

    def written_by() -> str | None:
        computations = [*told.computations("y"), *told.computations("m")]
        return cause_of(told.state, told.graph, computations, "y", told.now).computation

    told.start(x=1)
    told.succeed("y", 10)
    told.set(go=1)
    assert written_by() == "EXEC1:y:1"
    told.succeed("m", 99)
    assert written_by() == "EXEC1:m:1"
    told.set(x=2)
    told.succeed("y", 20)
    assert written_by() == "EXEC1:y:2"
    told.set(go=2, x=3)
    told.succeed("y", 30)
    told.succeed("m", 99)  # which does not write over what is newer
    assert (written_by(), told.value("y")) == ("EXEC1:y:3", 30)


async def test_a_mutated_value_is_traced_to_a_mutation_that_has_left_the_graph(dsn: str) -> None:
    def graph(mutation: str) -> Graph:
        changes = mutate(mutation, ["x"], lambda: "changed", mutates="y")
        return Graph("g", "v1", [input_node("x"), input_node("y"), changes])

    async with Journey(dsn, graphs=[graph("m")]) as journey:
        execution = await journey.start_execution(graph("m"), {"x": 1})
        await journey.get_value(execution, "m", wait_any=True)
        other = Graph("g", "v1", [input_node("x"), input_node("y")])
        await journey.register(other)
        execution = await journey.set_value(execution, "x", 2)
        assert execution.graph_hash == other.hash
        told = await journey.why(execution, "y")
        assert (told.value, told.computation) == ("changed", f"{execution.id}:m:1")


async def test_a_node_is_explained_once(dsn: str) -> None:
    depth = 40  # a diamond at each step: a tree written out would have 2^40 leaves
    nodes: list[Any] = [input_node("n0"), input_node("m0")]
    for n in range(1, depth):
        above = [f"n{n - 1}", f"m{n - 1}"]
        nodes += [compute(f"n{n}", above, lambda: 1), compute(f"m{n}", above, lambda: 2)]
    graph = Graph("diamonds", "v1", nodes)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"n0": 1, "m0": 2})
        await journey.get_value(execution, f"n{depth - 1}", wait_any=True)
        cause, again = [await journey.why(execution, f"n{depth - 1}") for _ in range(2)]
        text = cause.to_text()
    assert len(repr(cause)) < 1_000
    assert cause == again
    assert len(text.splitlines()) < 5 * depth
    assert "see above" in text


def test_a_chain_of_causes_may_be_of_any_length() -> None:
    length, now = 3000, datetime.now(UTC)  # longer than calls can be nested
    steps = [compute(f"n{n}", [f"n{n - 1}"], lambda: 1) for n in range(1, length)]
    graph = Graph("chain", "v1", [input_node("n0"), *steps])
    values = {"n0": NodeValue("n0", NodeKind.INPUT, 1, None, 1, now)}
    computations = []
    for n in range(1, length):
        values[f"n{n}"] = NodeValue(f"n{n}", NodeKind.COMPUTE, 1, None, n + 1, now)
        computations.append(
            Computation(
                execution_id="E1",
                node=f"n{n}",
                number=1,
                kind=NodeKind.COMPUTE,
                state=ComputationState.SUCCESS,
                computed_with={f"n{n - 1}": n},
                created_at=now,
                completed_at=now,
                revision_at_completion=n + 1,
            )
        )
    state = new_state("E1", graph, now)._replace(values=values)
    cause = cause_of(state, graph, computations, f"n{length - 1}", now)
    lines = cause.to_text().splitlines()
    assert len(lines) == len(causes_data(cause)) == length
    assert lines[-1].lstrip().startswith("└─ n0: 1 | input | rev 1")


async def test_a_mutation_of_what_unblocked_it_is_no_cause_of_itself(dsn: str) -> None:
    graph = Graph("g", "v1", [input_node("x"), mutate("m", ["x"], lambda x: x + 1, mutates="x")])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await journey.get_value(execution, "m", wait_any=True)
        told = await journey.why(execution, "x")
    assert (told.value, told.computation) == (2, f"{execution.id}:m:1")
    [before] = told.inputs
    assert (before.node, before.revision, before.is_current) == ("x", 1, False)
    assert told.to_text().splitlines()[1] == " └─ x | input | rev 1 | changed since | by a caller"


async def test_what_would_follow_is_what_follows_and_nothing_is_written(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn, graphs=[basic_graph()]) as journey:
        execution = await journey.start_execution(basic_graph(), {"x": 40, "y": 2})
        await journey.get_value(execution, "large_value_alert", wait_any=True)
        await journey.get_value(execution, "large_value_alert", settled=True)
        before = await everything(connection)
        other = await journey.preview(execution, set={"x": 1})
        assert (other.set, other.computed, other.perhaps) == (
            ("x",),
            ("sum",),
            ("large_value_alert",),
        )
        assert (other.cleared, other.kept) == ((), ("y",))
        gone = await journey.preview(execution, unset=["y"])
        assert (gone.unset, gone.cleared) == (("y",), ("sum", "large_value_alert"))
        assert gone.kept == ("x",)
        assert gone.to_text() == "unset: y\ncleared: sum, large_value_alert\nkept: x"
        same = await journey.preview(execution, set={"x": 40})
        assert (same.set, same.computed, same.cleared) == ((), (), ())
        assert await everything(connection) == before


async def test_what_runs_already_will_be_computed_anew(dsn: str) -> None:
    running, end = asyncio.Event(), asyncio.Event()

    async def slowly(x: int) -> int:
        if x > 1:
            running.set()
            await end.wait()
        return x

    nodes = [input_node("x"), compute("c", ["x"], slowly), compute("d", ["c"], lambda c: c)]
    graph = Graph("g", "v1", nodes)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await journey.get_value(execution, "d", wait_any=True)
        await journey.set_value(execution, "x", 2)
        await running.wait()
        told = await journey.preview(execution, set={"x": 3})
        assert (told.computed, told.perhaps, told.kept) == (("c",), ("d",), ())
        same = await journey.preview(execution, set={"x": 2})
        assert (same.computed, same.perhaps) == ((), ())
        execution = await journey.set_value(execution, "x", 3)  # it will be, without anything more
        same = await journey.preview(execution, set={"x": 3})
        assert (same.computed, same.perhaps) == ((), ())
        end.set()


async def test_that_the_execution_would_be_archived_is_told(dsn: str) -> None:
    graph = Graph(
        "g",
        "v1",
        [
            input_node("x"),
            input_node("y"),
            compute("c", ["x"], lambda x: x),
            archive("done", value("x") == 9),
        ],
    )
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"y": 1})
        told = await journey.preview(execution, set={"x": 9})
        assert (told.archived, told.set, told.computed) == (True, ("x",), ("done",))
        assert (told.unset, told.kept) == ((), ("y",))
        assert told.to_text().endswith("and the execution is archived")
        assert await journey.preview(execution, set={"x": 9}, unset=["y"]) == told
        assert not (await journey.preview(execution, set={"x": 8})).archived


async def test_what_is_built_in_and_what_mutations_write_to_may_follow(dsn: str) -> None:
    graph = Graph(
        "g",
        "v1",
        [
            input_node("x"),
            input_node("y"),
            historian("h", ["x"]),
            mutate("m", ["x"], lambda x: x, mutates="y", update_revision_on_change=True),
            compute("z", ["y"], lambda y: y),
        ],
    )
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await journey.get_value(execution, "z", wait_any=True)
        told = await journey.preview(execution, set={"x": 2})
        assert (told.computed, told.perhaps, told.kept) == (("h", "m"), ("y", "z"), ())


def test_to_look_ahead_takes_no_longer_than_the_graph_is_long() -> None:
    def work(size: int) -> Callable[[], object]:
        steps = [compute(f"n{n}", [f"n{n - 1}"], lambda: 1) for n in range(1, size)]
        graph, now = Graph("chain", "v1", [input_node("n0"), *steps]), datetime.now(UTC)
        state = new_state("E1", graph, now)
        assert len(previewed(graph, state, {"n0": 1}, (), now).perhaps) == size - 2
        return lambda: previewed(graph, state, {"n0": 1}, (), now)

    assert growth(work) < 5


@pytest.mark.parametrize(
    "options, error",
    [
        ({"set": {"sum": 1}}, NotAnInputError),
        ({"set": {"nothing": 1}}, UnknownNodeError),
        ({"set": {"x": "one"}}, InvalidValueError),
        ({"unset": "x"}, InvalidOptionError),
        ({"unset": 1}, InvalidOptionError),
        ({"unset": ["sum"]}, NotAnInputError),
    ],
)
async def test_bad_calls_are_refused(dsn: str, options: Any, error: type[Exception]) -> None:
    async with Journey(dsn, run_computations=False) as journey:
        execution = await journey.start_execution(basic_graph())
        with pytest.raises(error):
            await journey.preview(execution, **options)
        await journey.archive(execution)
        with pytest.raises(ExecutionArchivedError):
            await journey.preview(execution, set={"x": 1})


async def test_what_would_follow_is_not_told_where_the_predicates_are_not(dsn: str) -> None:
    asked = compute("w", unblocked_when("z", lambda z: z.is_set), lambda: 1)
    nodes = [input_node("x"), input_node("z"), compute("y", ["x"], lambda x: x), asked]
    graph = Graph("g", "v1", nodes)
    async with Journey(dsn, graphs=[graph]) as worker, Journey(dsn, run_computations=False) as web:
        execution = await worker.start_execution(graph, {"x": 1})
        await worker.get_value(execution, "y", wait_any=True)
        assert (await worker.preview(execution, unset=["x"])).cleared == ("y",)
        with pytest.raises(JourneyError, match="whose code is not here"):
            await web.preview(execution.id, unset=["x"])
