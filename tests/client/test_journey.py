"""The verbs of a Journey, on a database."""

import asyncio
import copy
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from anyio import from_thread
from pydantic import BaseModel

from journey_async import (
    NOT_SET,
    Context,
    ExecutionArchivedError,
    ExecutionNotFound,
    Graph,
    Journey,
    NotSetError,
    compute,
    input_node,
    provided,
    unblocked_when,
)
from journey_async.core.values import ComputationState, NodeKind
from journey_async.errors import InvalidValueError, JourneyError
from tests.support.graphs import basic_graph, everything, one_input
from tests.support.refusals import refused


async def test_revisions_count_the_events_that_anybody_can_see(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(basic_graph())
        assert execution.revision == 0
        execution = await journey.set_value(execution, "x", 12)
        assert execution.revision == 1
        execution = await journey.set_value(execution, "y", 20)
        assert execution.revision == 3  # the set, and the computation that it began
        [begun] = execution.computations
        assert (begun.node, begun.state) == ("sum", ComputationState.COMPUTING)
        assert begun.revision_at_start == 3
        assert begun.computed_with == {"x": 1, "y": 2}
        total = await journey.get_node(execution, "sum", wait_any=True)
        assert (total.value, total.revision) == (32, 4)
        assert (await journey.load(execution)).revision == 4


async def test_what_a_write_returns_is_the_execution_as_of_that_command(dsn: str) -> None:
    async with Journey(dsn) as journey:
        started = await journey.start_execution(one_input())
        writes = [journey.set_value(started, "x", number) for number in range(20)]
        snapshots = await asyncio.gather(*writes)
        assert [s.values["x"].value for s in snapshots] == list(range(20))
        assert [s.revision for s in snapshots] == list(range(1, 21))
        assert started.revision == 0
        assert not started.values["x"].is_set


async def test_a_snapshot_has_every_node_of_the_graph(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(basic_graph())
        assert list(execution.values) == [node.name for node in basic_graph().nodes]
        assert execution.values["execution_id"].value == execution.id
        assert execution.values["execution_id"].revision == 0
        seconds = execution.values["last_updated_at"].value
        assert seconds == int(execution.created_at.timestamp())
        assert execution.graph_hash == basic_graph().hash
        assert (execution.graph_name, execution.graph_version) == ("g1", "v1")
        assert execution.created_at == execution.updated_at
        assert execution.created_at.utcoffset() == timedelta(0)
        assert abs(execution.created_at - datetime.now(UTC)) < timedelta(minutes=1)
        assert execution.archived_at is None
        with pytest.raises(AttributeError):
            execution.revision = 3  # type: ignore[misc]
        with pytest.raises(TypeError):
            execution.values["x"] = NOT_SET  # type: ignore[index]


async def test_the_same_value_again_changes_nothing(dsn: str, connection: Any) -> None:
    async with Journey(dsn, run_computations=False) as journey:
        execution = await journey.start_execution(one_input())
        first = await journey.set_value(execution, "x", {"a": [1, None]}, metadata={"by": "me"})
        before = await everything(connection)
        again = await journey.set_value(execution, "x", {"a": [1.0, None]}, metadata={"by": "me"})
        assert again.revision == first.revision == 1
        assert again.values == first.values
        assert await everything(connection) == before
        for different, metadata in [({"a": [True, None]}, {"by": "me"}), ({"a": []}, None)]:
            changed = await journey.set_value(execution, "x", different, metadata=metadata)
            assert changed.revision == first.revision + 1
            first = changed


@pytest.mark.parametrize("values", [(1, True), (0, False), (True, 1), ("1", 1), (None, False)])
async def test_values_that_python_takes_for_equal_are_not(dsn: str, values: Any) -> None:
    async with Journey(dsn, run_computations=False) as journey:
        execution = await journey.start_execution(one_input())
        for number, value in enumerate(values, 1):
            execution = await journey.set_value(execution, "x", value)
            assert execution.revision == number
        found = await journey.get_value(execution, "x")
        assert found == values[-1]
        assert type(found) is type(values[-1])


async def test_none_is_a_value(dsn: str) -> None:
    graph = Graph("g", "v1", [input_node("x"), compute("seen", ["x"], lambda x: [x])])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        with pytest.raises(NotSetError):
            await journey.get_value(execution, "x")
        execution = await journey.set_value(execution, "x", None)
        assert execution.values["x"].is_set
        assert await journey.get_value(execution, "x") is None
        assert await journey.get_value(execution, "seen", wait_any=True) == [None]
    async with Journey(dsn, graphs=[graph]) as other:
        assert (await other.load(execution)).values["x"].is_set
        assert (await other.values(execution))["x"] is None


async def test_metadata_is_kept_with_the_value_and_cleared_with_it(dsn: str) -> None:
    async with Journey(dsn, run_computations=False) as journey:
        execution = await journey.start_execution(one_input())
        await journey.set_value(execution, "x", 1, metadata={"by": "a"})
        assert (await journey.get_node(execution, "x")).metadata == {"by": "a"}
        await journey.set_value(execution, "x", 1, metadata={"by": "b"})
        node = await journey.get_node(execution, "x")
        assert (node.metadata, node.revision, node.kind) == ({"by": "b"}, 2, NodeKind.INPUT)
        execution = await journey.unset_value(execution, "x")
        assert execution.values["x"].metadata is None


async def test_several_values_are_set_at_one_revision(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(basic_graph())
        execution = await journey.set_values(execution, {"x": 1, "y": 2}, metadata="m")
        assert execution.revision == 2
        assert {execution.values[n].revision for n in ("x", "y")} == {1}
        assert {execution.values[n].metadata for n in ("x", "y")} == {"m"}
        assert await journey.get_value(execution, "sum", wait_any=True) == 3


async def test_several_values_are_set_all_or_none(dsn: str, connection: Any) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(basic_graph())
        before = await everything(connection)
        with pytest.raises(InvalidValueError) as raised:
            await journey.set_values(execution, {"x": 1, "y": "two"})
        assert raised.value.node == "y"
        assert await everything(connection) == before
        assert (await journey.set_values(execution, {})).revision == 0


async def test_values_can_be_set_at_the_start(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(basic_graph(), {"x": 40, "y": 2})
        assert execution.revision == 2
        assert await journey.get_value(execution, "large_value_alert", wait_any=True) == "🚨"
        with pytest.raises(InvalidValueError):
            await journey.start_execution(basic_graph(), {"x": "forty"})


async def test_unsetting_clears_what_depended_on_it_in_the_same_commit(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(basic_graph(), {"x": 40, "y": 2})
        await journey.get_value(execution, "large_value_alert", wait_any=True)
        before = await journey.load(execution)
        cleared = await journey.unset_value(execution, "x")
        assert cleared.revision == before.revision + 3  # x, the sum, the alert
        unset = {name for name, value in cleared.values.items() if not value.is_set}
        assert unset == {"x", "sum", "large_value_alert"}
        again = await journey.unset_value(execution, "x", "x")
        assert again.revision == cleared.revision
        restored = await journey.set_value(execution, "x", 39)
        assert await journey.get_value(restored, "large_value_alert", wait_any=True) == "🚨"


async def test_a_condition_that_no_longer_holds_clears_its_node(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(basic_graph(), {"x": 40, "y": 2})
        await journey.get_value(execution, "large_value_alert", wait_any=True)
        execution = await journey.set_value(execution, "x", 1)
        assert await journey.get_value(execution, "sum", settled=True) == 3
        with pytest.raises(NotSetError):
            await journey.get_value(execution, "large_value_alert", settled=True)


async def test_an_archived_execution_can_be_read_and_not_written(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(basic_graph(), {"x": 1})
        archived = await journey.archive(execution)
        assert archived.revision == execution.revision + 1
        assert archived.archived_at is not None
        assert (await journey.archive(execution)).revision == archived.revision
        with pytest.raises(ExecutionNotFound) as raised:
            await journey.load(execution)
        assert raised.value.archived
        assert (await journey.load(execution, include_archived=True)) == archived
        await refused(
            ExecutionArchivedError,
            journey.set_value(execution, "x", 1),
            journey.set_value(execution, "y", 1),
            journey.unset_value(execution, "x"),
            journey.retry_computation(execution, "sum"),
        )
        assert await journey.get_value(execution, "x") == 1
        assert (await journey.values(execution))["x"] == 1
        assert await journey.history(execution)
        carried_on = await journey.unarchive(execution)
        assert (carried_on.revision, carried_on.archived_at) == (archived.revision + 1, None)
        assert (await journey.unarchive(execution)).revision == carried_on.revision
        await journey.set_value(execution, "y", 2)
        assert await journey.get_value(execution, "sum", wait_any=True) == 3


async def test_what_was_queued_when_it_was_archived_runs_after_unarchiving(dsn: str) -> None:
    async with Journey(dsn, run_computations=False) as writer:
        execution = await writer.start_execution(basic_graph(), {"x": 1, "y": 2})
        await writer.archive(execution)
        async with Journey(dsn, graphs=[basic_graph()]) as worker:
            assert [c.state for c in (await worker.computations(execution))] == ["available"]
            await worker.unarchive(execution)
            assert await worker.get_value(execution, "sum", wait_any=True) == 3


async def test_history_is_in_the_order_of_revisions(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(basic_graph())
        await journey.set_value(execution, "x", 30)
        await journey.set_value(execution, "y", 12)
        await journey.get_value(execution, "large_value_alert", wait_any=True)
        entries = await journey.history(execution)
        shown = [(e.revision, e.kind, e.node) for e in entries]
        assert shown == [
            (0, "value", "execution_id"),
            (1, "value", "x"),
            (2, "value", "y"),
            (4, "computation", "sum"),
            (4, "value", "sum"),
            (6, "computation", "large_value_alert"),
            (6, "value", "large_value_alert"),
            (6, "value", "last_updated_at"),
        ]


async def test_all_computations_are_listed_oldest_first(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(basic_graph(), {"y": 1})
        for number in (1, 2, 50):
            execution = await journey.set_value(execution, "x", number)
            await journey.get_value(execution, "sum", settled=True)
        await journey.get_value(execution, "large_value_alert", wait_any=True)
        sums = await journey.computations(execution, "sum")
        assert [c.number for c in sums] == [1, 2, 3]
        assert {c.state for c in sums} == {ComputationState.SUCCESS}
        assert [c.successes for c in sums] == [1, 2, 3]
        assert sums[0].id == f"{execution.id}:sum:1"
        nodes = [c.node for c in await journey.computations(execution)]
        assert nodes == ["sum", "sum", "sum", "large_value_alert"]
        newest = (await journey.load(execution)).computations
        assert [(c.node, c.number) for c in newest] == [("sum", 3), ("large_value_alert", 1)]


async def test_values_and_values_all(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(basic_graph(), {"x": 1})
        found = await journey.values(execution.id)
        assert found.keys() == {"execution_id", "last_updated_at", "x"}
        complete = await journey.values_all(execution)
        assert list(complete) == [node.name for node in basic_graph().nodes]
        assert complete["x"] == 1
        assert complete["sum"] is NOT_SET


class Person(BaseModel):
    name: str
    born: date


async def test_typed_inputs_are_checked_strictly_and_handed_out_parsed(dsn: str) -> None:
    seen: list[Any] = []

    def look(person: Person, day: date) -> int:
        seen.append((person, day))
        return day.year - person.born.year

    graph = Graph(
        "typed",
        "v1",
        [
            input_node("count", type=int),
            input_node("person", type=Person),
            input_node("day", type=date),
            compute("age", ["person", "day"], look),
        ],
    )
    ada = Person(name="Ada", born=date(1815, 12, 10))
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        for wrong in (True, "1", 1.5, None, [1]):
            with pytest.raises(InvalidValueError, match="int"):
                await journey.set_value(execution, "count", wrong)
        for nobody in ({"name": "Ada"}, {"name": 1, "born": "1815-12-10"}, "Ada"):
            with pytest.raises(InvalidValueError, match="Person"):
                await journey.set_value(execution, "person", nobody)
        await journey.set_value(execution, "person", {"name": "Ada", "born": "1815-12-10"})
        same = await journey.set_value(execution, "person", ada)
        assert same.revision == 1
        execution = await journey.set_value(execution, "day", date(1852, 11, 27))
        assert await journey.get_value(execution, "age", wait_any=True) == 37
        assert seen == [(ada, date(1852, 11, 27))]
        assert await journey.get_value(execution, "person") == ada
        assert execution.values["person"].value == ada
        assert (await journey.values(execution))["day"] == date(1852, 11, 27)
    async with Journey(dsn) as stranger:  # knows the description, not the types
        plain = await stranger.get_value(execution.id, "person")
        assert plain == {"name": "Ada", "born": "1815-12-10"}


async def test_a_client_that_does_not_compute_leaves_it_to_a_worker(dsn: str) -> None:
    async with Journey(dsn, run_computations=False) as client:
        execution = await client.start_execution(basic_graph(), {"x": 1, "y": 2})
        [queued] = execution.computations
        assert queued.state is ComputationState.AVAILABLE
        async with Journey(dsn, graphs=[basic_graph()]):
            assert await client.get_value(execution, "sum", wait_any=True) == 3
            execution = await client.set_value(execution, "x", 2)
            assert await client.get_value(execution, "sum", settled=True) == 4


@pytest.mark.parametrize("gate", [provided("x"), unblocked_when("x", lambda x: x.is_set)])
async def test_a_process_without_the_code_can_set_values(dsn: str, gate: Any) -> None:
    graph = Graph("g", "v1", [input_node("x"), compute("twice", gate, lambda x=0: 2 * x)])
    async with Journey(dsn, graphs=[graph]) as worker:
        execution = await worker.start_execution(graph)
        async with Journey(dsn) as stranger:
            await stranger.set_value(execution.id, "x", 21)
            assert await stranger.get_value(execution.id, "twice", wait_any=True) == 42
            assert await worker.get_value(execution, "twice") == 42
            assert (await stranger.load(execution.id)).computations[0].node == "twice"


async def test_a_journey_is_used_from_its_own_event_loop_only(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input(), {"x": 1})

        def elsewhere() -> str:
            with pytest.raises(JourneyError, match="belongs to another event loop") as refused:
                asyncio.run(journey.set_value(execution, "x", 2))
            journey.vitals()  # as it says: from any thread
            return str(refused.value)

        assert "anyio.from_thread.run" in await asyncio.to_thread(elsewhere)
        assert await journey.get_value(execution.id, "x") == 1


async def test_a_step_in_a_thread_reaches_the_journey_by_way_of_anyio(dsn: str) -> None:
    def double(x: int, context: Context) -> int:
        from_thread.run(context.journey.set_value, context.execution_id, "seen", x)
        return 2 * x

    graph = Graph(
        "g", "v1", [input_node("x"), input_node("seen"), compute("double", ["x"], double)]
    )
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 21})
        assert await journey.get_value(execution, "double", wait_any=True) == 42
        assert await journey.get_value(execution.id, "seen") == 21


async def test_a_description_does_not_take_the_place_of_the_code(dsn: str) -> None:
    """It is equal, and has the same hash: what computes goes on, and types are checked."""
    graph = Graph("g", "v1", [input_node("x", type=int), compute("y", ["x"], lambda x: -x)])
    async with Journey(dsn, graphs=[graph]) as journey:
        [described] = await journey.graphs()
        assert described == graph
        assert described.lacks_code
        await journey.register(described)
        execution = await journey.start_execution(described, {"x": 1})
        assert await journey.get_value(execution, "y", wait_any=True) == -1
        with pytest.raises(InvalidValueError):
            await journey.start_execution(described, {"x": "one"})


async def test_a_description_that_is_known_is_not_asked_for_again(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], lambda x: -x)])
    described = Graph.model_validate(graph.model_dump(mode="json"))
    async with Journey(dsn, run_computations=False) as journey:
        await journey.start_execution(described, {"x": 1})
        asked = 0
        graphs = journey._engine.store.graphs

        async def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal asked
            asked += 1
            return await graphs(*args, **kwargs)

        monkeypatch.setattr(journey._engine.store, "graphs", counted)
        for _ in range(3):
            await journey.start_execution(described, {"x": 1})
        assert asked == 0


async def test_a_description_is_no_code_of_a_worker(dsn: str) -> None:
    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], lambda x: -x)])
    described = Graph.model_validate(graph.model_dump(mode="json"))
    async with Journey(dsn, graphs=[described]) as idle:
        execution = await idle.start_execution(described, {"x": 1})
        async with Journey(dsn, graphs=[graph]):
            assert await idle.get_value(execution, "y", wait_any=True) == -1


async def test_a_snapshot_of_another_schema_is_no_execution_of_this_one(empty_dsn: str) -> None:
    graph = Graph("g", "v1", [input_node("x")])
    async with (
        Journey(empty_dsn, schema="here") as here,
        Journey(empty_dsn, schema="there") as there,
    ):
        execution = await there.start_execution(graph, {"x": 1})
        for act in (
            here.set_value(execution, "x", 2),
            here.get_value(execution, "x"),
            here.unset_value(execution, "x"),
        ):
            with pytest.raises(ExecutionNotFound):
                await act


async def test_a_deep_copy_of_a_snapshot_is_the_snapshot_itself(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(basic_graph(), {"x": 1})
    assert copy.deepcopy(execution) is execution
