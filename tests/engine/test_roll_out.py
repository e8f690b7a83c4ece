"""Old and new code side by side: whose definition holds, and what becomes of it when they go."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from journey_async import Done, Execution, Graph, Journey, compute, input_node, loop, tick_once
from journey_async.core import events
from journey_async.core.draft import Draft
from journey_async.engine import deaths, evolver, safety_check
from journey_async.errors import ExecutionNotFound, GraphConflictError, InvalidValueError
from journey_async.store.sql import in_schema, statement
from tests.support.eventually import eventually
from tests.support.worker import calls, graph_of, worker

NEWEST = "SELECT hash FROM journey.graphs ORDER BY registration DESC, hash DESC LIMIT 1"
REGISTRATIONS = "SELECT hash, registration FROM journey.graphs ORDER BY hash"
HOLD_THE_FIRST = """
    SELECT id FROM journey.executions
    ORDER BY graph_name, graph_version, graph_hash LIMIT 1 FOR NO KEY UPDATE
"""
AT_ONCE = "UPDATE journey.graphs SET registration = 1, started = 1"
TAKEN_FOR_DEAD = "DELETE FROM journey.workers WHERE id = $1"


def orders(*steps: str) -> Graph:
    """An input `x`, and steps that take it."""
    nodes = [compute(name, ["x"], lambda x: x) for name in steps]
    return Graph("orders", "v1", [input_node("x"), *nodes])


OLD, NEW, NEWER = orders("y"), orders("y", "z"), orders("y", "z", "a")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Safety checks are made without much of a pause."""
    monkeypatch.setattr(safety_check, "INTERVAL", 0.1)


async def check(*journeys: Journey) -> None:
    """Some safety checks, one after the other."""
    for _ in range(3):
        for journey in journeys:
            await journey._engine.safety_check.check()


async def on(journey: Journey, execution: Execution | str) -> str:
    """The definition that an execution has."""
    return (await journey.load(execution)).graph_hash


async def taken_on(graph: Graph, journey: Journey, execution: Execution) -> None:
    """Return when an execution has a definition."""

    async def has_it() -> bool:
        return await on(journey, execution) == graph.hash

    await eventually(has_it)


async def test_a_node_that_left_and_returns_as_another_kind_is_read_as_what_it_is(
    dsn: str,
) -> None:
    x = input_node("x")
    tick = tick_once("due", ["x"], lambda: timedelta(days=1))
    date = [x, input_node("due"), compute("y", ["due"], lambda due: due)]
    definitions = [Graph("orders", "v1", nodes) for nodes in ([x, tick], [x], date)]
    async with Journey(dsn, graphs=definitions[:1]) as journey:
        execution = await journey.start_execution(definitions[0], {"x": 1})
        due = await journey.get_value(execution, "due", wait_any=True)
    async with Journey(dsn, graphs=definitions[1:2]) as journey:
        await journey.set_value(execution.id, "x", 2)
    async with Journey(dsn, graphs=definitions[2:]) as journey:
        assert await journey.get_value(execution.id, "y", wait_any=True) == due


async def test_what_is_started_as_newer_code_is_registered_begins_on_that_with_its_values(
    dsn: str,
) -> None:
    typed = Graph("orders", "v1", [input_node("x", type=str)])
    async with Journey(dsn, graphs=[OLD]) as journey:
        await journey.register(NEW)
        answer = await journey._engine.create(OLD, "order-17", {"x": 1})
        assert answer.state.graph_hash == NEW.hash
        assert await journey.get_value("order-17", "y", settled=True) == 1
        assert (await journey.get_node("order-17", "x")).revision == 1
        await journey.register(typed)
        with pytest.raises(InvalidValueError):
            await journey._engine.create(NEW, "order-18", {"x": 1})
        with pytest.raises(ExecutionNotFound):
            await journey.load("order-18")


# --- what nothing happens to --------------------------------------------------------------------


async def test_all_idle_executions_take_on_a_new_definition_one_batch_after_the_other(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evolver, "BATCH", 3)
    async with Journey(dsn, graphs=[OLD], run_computations=False) as old:
        idle = [await old.start_execution(OLD) for _ in range(10)]
    async with Journey(dsn, graphs=[NEW], run_computations=False) as new:
        await new._engine.evolver.check()
    async with Journey(dsn, run_computations=False) as client:
        assert {await on(client, execution) for execution in idle} == {NEW.hash}


async def test_a_safety_check_does_not_wait_for_very_many_to_evolve(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evolver, "BATCH", 1)
    monkeypatch.setattr(evolver, "PATIENCE", 0.0)
    async with Journey(dsn, graphs=[OLD], run_computations=False) as old:
        idle = [await old.start_execution(OLD) for _ in range(5)]
    async with Journey(dsn, graphs=[NEW], run_computations=False) as new:
        await new._engine.evolver.check()
        assert new._engine.evolver.tasks.all
        for execution in idle:
            await taken_on(NEW, new, execution)


@pytest.mark.direct("wants more connections than the pooler has")
async def test_a_row_that_somebody_holds_keeps_no_other_from_evolving(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evolver, "BATCH", 2)
    monkeypatch.setattr(evolver, "SLOW", 0.1)
    async with Journey(dsn, graphs=[OLD], run_computations=False) as old:
        idle = [await old.start_execution(OLD) for _ in range(6)]
    async with Journey(dsn, graphs=[NEW], run_computations=False) as new:
        async with connection.transaction():
            [held] = await connection.fetch(HOLD_THE_FIRST)
            checks = asyncio.create_task(new._engine.evolver.check())
            for execution in idle:
                if execution.id != held["id"]:
                    await taken_on(NEW, new, execution)
            new._engine.evolver.evolve_soon()  # also who looks again
        await checks
        for execution in idle:
            await taken_on(NEW, new, execution)


@pytest.mark.parametrize("bad", [3, 7])
async def test_those_that_cannot_evolve_keep_no_other_from_it_and_the_first_is_told_of(
    dsn: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, bad: int
) -> None:
    monkeypatch.setattr(evolver, "BATCH", 2)
    async with Journey(dsn, graphs=[OLD], run_computations=False) as old:
        idle = sorted([(await old.start_execution(OLD)).id for _ in range(9)])
    defective, sound = set(idle[:bad]), set(idle[bad:])
    evolve = events.evolve

    def fails(draft: Draft) -> None:
        if draft.execution_id in defective:
            raise RuntimeError("a defect")
        evolve(draft)

    monkeypatch.setattr(events, "evolve", fails)
    async with Journey(dsn, run_computations=False) as journey:
        await journey.register(NEW)
        await journey._engine.evolver.check()
        assert {i for i in idle if await on(journey, i) == NEW.hash} == sound
    told = [r.message for r in caplog.records if r.levelname == "ERROR"]
    passes = len(told) // 2  # when the graph is registered, and with the check
    assert 1 <= passes <= 2
    for first, others in zip(told[::2], told[1::2], strict=True):
        assert "could not take on a changed graph" in first
        assert others == f"{bad} executions could not, the first of them told"


# --- whoever came last has gone -----------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
async def test_new_code_goes_on_when_old_code_that_came_last_has_ended(dsn: str) -> None:
    async with Journey(dsn, graphs=[NEW]) as new:
        async with Journey(dsn, graphs=[OLD]) as old:
            idle = await old.start_execution(OLD, {"x": 1})
            assert await old.get_value(idle, "y", wait_any=True) == 1
        await taken_on(NEW, new, idle)
        assert await new.get_value(idle.id, "z", wait_any=True) == 1


@pytest.mark.usefixtures("impatient")
async def test_new_code_goes_on_when_old_code_that_came_last_was_killed(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deaths, "REMEMBERED", 0.0)

    def here(x: int) -> str:
        return "from here"

    old = graph_of(here)
    more = Graph(old.name, old.version, [*old.nodes, compute("z", ["x"], here)])
    async with Journey(dsn, graphs=[more]) as new:
        execution = await new.start_execution(more, {"x": 1})
        async with worker(dsn, tmp_path) as process:
            await taken_on(old, new, execution)
            await new.set_value(execution.id, "x", 2)
            await eventually(lambda: "began 2" in calls(tmp_path))
            process.kill()
            await taken_on(more, new, execution)
            for node in "y", "z":
                assert await new.get_value(execution, node, settled=True) == "from here"


async def test_of_several_that_are_left_the_newest_goes_on(dsn: str, connection: Any) -> None:
    async with Journey(dsn, graphs=[NEW]) as new, Journey(dsn, graphs=[NEWER]) as newer:
        async with Journey(dsn, graphs=[OLD]) as old:
            execution = await old.start_execution(OLD, {"x": 1})
        await check(new)  # which has older code than another that lives
        assert await connection.fetchval(NEWEST) == OLD.hash
        await check(newer, new)
        assert await connection.fetchval(NEWEST) == NEWER.hash
        assert await new.get_value(execution.id, "a", wait_any=True) == 1


async def test_what_is_left_of_a_roll_out_that_was_given_up_is_old_code(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn, graphs=[OLD]) as old:
        execution = await old.start_execution(OLD, {"x": 1})
        async with Journey(dsn, graphs=[NEW]) as new:
            assert await new.get_value(execution.id, "z", wait_any=True) == 1
        await check(old)
        assert await on(old, execution) == OLD.hash
        changed = await old.set_value(execution.id, "x", 2)
        assert await old.get_value(changed, "y", settled=True) == 2


# --- nobody has gone ----------------------------------------------------------------------------


async def test_while_both_live_nothing_changes(dsn: str, connection: Any) -> None:
    async with Journey(dsn, graphs=[NEW]) as new, Journey(dsn, graphs=[OLD]) as old:
        execution = await old.start_execution(OLD, {"x": 1})
        registrations = await connection.fetch(REGISTRATIONS)
        await check(new, old)
        await old.get_value(execution, "y", settled=True)
        await check(old, new)
        assert await connection.fetch(REGISTRATIONS) == registrations
        assert await on(new, execution) == OLD.hash


async def test_one_of_several_with_the_newest_code_is_enough(dsn: str, connection: Any) -> None:
    async with Journey(dsn, graphs=[OLD]) as old, Journey(dsn, graphs=[NEW]):
        registrations = await connection.fetch(REGISTRATIONS)
        async with Journey(dsn, graphs=[NEW]):
            pass
        await check(old)
        assert await connection.fetch(REGISTRATIONS) == registrations
        assert await connection.fetchval(NEWEST) == NEW.hash


async def test_a_worker_that_was_taken_for_dead_still_has_its_code(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn, graphs=[OLD]) as old, Journey(dsn, graphs=[NEW], lease=1.0) as new:
        former = new._engine.runner.worker
        await connection.execute(TAKEN_FOR_DEAD, former)
        await eventually(lambda: new._engine.runner.worker != former)
        await check(old)
        assert await connection.fetchval(NEWEST) == NEW.hash


async def test_code_that_a_worker_has_no_longer_does_not_count(dsn: str, connection: Any) -> None:
    async with Journey(dsn, graphs=[OLD]) as journey:
        await journey.register(NEW)
        async with Journey(dsn, graphs=[OLD]):
            pass
        await check(journey)
        assert await connection.fetchval(NEWEST) == NEW.hash


async def test_a_heartbeat_from_before_a_registration_takes_no_code_away(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn, graphs=[NEW]) as new, Journey(dsn, graphs=[OLD]) as old:
        registrations = await connection.fetch(REGISTRATIONS)
        lease_until = datetime.now(UTC) + timedelta(seconds=60)
        heartbeat = in_schema(statement("renew_lease"), "journey")
        await connection.fetch(heartbeat, old._engine.runner.worker, lease_until, False, "{}", 0)
        await check(new, old)
        assert await connection.fetch(REGISTRATIONS) == registrations


async def test_who_registers_at_the_same_moment_agrees_on_an_order(
    dsn: str, connection: Any
) -> None:
    first, second = sorted([OLD, NEW], key=lambda graph: graph.hash)
    async with Journey(dsn, graphs=[first]) as one, Journey(dsn, graphs=[second]) as two:
        await connection.execute(AT_ONCE)
        execution = await one.start_execution(first, {"x": 1})
        await check(one, two)
        assert await on(one, execution) == second.hash
        for x in range(5):
            await asyncio.gather(
                one.set_value(execution.id, "x", x), two.set_value(execution.id, "x", -x)
            )
            assert await on(one, execution) == second.hash
        async with Journey(dsn, graphs=[first]):
            assert await connection.fetchval(NEWEST) == first.hash


async def test_definitions_have_an_order_however_many_start_at_once(
    dsn: str, connection: Any
) -> None:
    graphs = [orders("y", f"z{number}") for number in range(6)]
    async with AsyncExitStack() as stack:
        journeys = [Journey(dsn, graphs=[graph], pool_size=2) for graph in graphs]
        await asyncio.gather(*map(stack.enter_async_context, journeys))
        execution = await journeys[0].start_execution(graphs[0], {"x": 1})
        newest = await connection.fetchval(NEWEST)
        await check(*journeys)
        assert await connection.fetchval(NEWEST) == newest
        assert {await on(journey, execution) for journey in journeys} == {newest}


# --- processes that compute nothing -------------------------------------------------------------


async def test_a_client_with_old_code_takes_nothing_back(dsn: str) -> None:
    async with Journey(dsn, graphs=[OLD]):
        pass
    async with Journey(dsn, graphs=[NEW]) as new:
        async with Journey(dsn, graphs=[OLD], run_computations=False) as client:
            execution = await client.start_execution(OLD, {"x": 1})
            assert await client.get_value(execution, "y", wait_any=True) == 1
            assert await on(client, execution) == NEW.hash
        assert await new.get_value(execution, "z", wait_any=True) == 1


async def test_what_a_client_was_the_first_to_know_waits_for_its_first_worker(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn, graphs=[OLD]) as old:
        async with Journey(dsn, graphs=[NEW], run_computations=False) as client:
            execution = await client.start_execution(NEW, {"x": 1})
        await check(old)
        assert await on(old, execution) == NEW.hash
        async with Journey(dsn, graphs=[NEW]) as new:
            assert await new.get_value(execution, "z", wait_any=True) == 1
        await check(old)  # that worker has gone
        assert await on(old, execution) == OLD.hash


async def test_newer_code_of_one_graph_holds_up_no_other_of_the_same_shape(dsn: str) -> None:
    other = Graph("other", "v1", NEW.nodes)
    assert other.hash == NEW.hash
    async with (
        Journey(dsn, graphs=[OLD, other]) as old,
        Journey(dsn, graphs=[NEW, other], run_computations=False) as client,
    ):
        await check(old)  # now it knows of the newer one
        execution = await client.start_execution(other, {"x": 1})
        assert await client.get_value(execution, "z", wait_any=True) == 1


# --- what cannot be taken back ------------------------------------------------------------------


async def test_executions_that_cannot_take_a_definition_on_keep_theirs(
    dsn: str, connection: Any
) -> None:
    other = Graph("orders", "v1", [input_node("x"), loop("y", ["x"], Done, max_iterations=3)])
    async with Journey(dsn, graphs=[other]) as looping:
        async with Journey(dsn, graphs=[OLD]) as old:
            execution = await old.start_execution(OLD, {"x": 1})
            assert await old.get_value(execution, "y", wait_any=True) == 1
        with pytest.raises(GraphConflictError):
            await Journey(dsn, graphs=[other]).__aenter__()
        await check(looping)
        assert await on(looping, execution) == OLD.hash
        await looping.archive(execution)
        await check(looping)
        assert await connection.fetchval(NEWEST) == other.hash


# --- a worker that was taken for dead -----------------------------------------------------------


async def newest(connection: Any) -> str:
    return str(await connection.fetchval(NEWEST))


async def test_new_code_that_was_taken_for_dead_comes_back(dsn: str, connection: Any) -> None:
    async with Journey(dsn, graphs=[OLD]) as old, Journey(dsn, graphs=[NEW], lease=1) as new:
        engine = new._engine
        former = engine.runner.worker
        await connection.execute(TAKEN_FOR_DEAD, former)
        await check(old)
        engine.heartbeat_now()
        await eventually(lambda: engine.runner.worker != former)
        await check(new, old, new)
        assert await newest(connection) == NEW.hash


async def test_code_that_is_registered_while_its_worker_is_replaced_is_known(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Journey(dsn, graphs=[OLD]) as old, Journey(dsn, lease=1) as new:
        engine = new._engine
        former, register = engine.runner.worker, engine.store.register_graph

        async def replaced_meanwhile(*args: Any, **kwargs: Any) -> None:
            await register(*args, **kwargs)
            await connection.execute(TAKEN_FOR_DEAD, former)
            await eventually(lambda: engine.runner.worker != former)

        monkeypatch.setattr(engine.store, "register_graph", replaced_meanwhile)
        await new.register(NEW)
        await check(old)
        assert await newest(connection) == NEW.hash


async def test_what_is_begun_goes_by_the_definition_on_which_it_was_decided(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though another one is registered here before the write of it has come back."""
    other = Graph("other", "v1", [input_node("x"), compute("y", ["x"], lambda x: x)])
    async with Journey(dsn, graphs=[OLD, other], max_concurrency=2) as journey:
        execution = await journey.start_execution(OLD)
        innocent = await journey.start_execution(other)
        apply, written, go_on = journey._engine.store.apply, asyncio.Event(), asyncio.Event()

        async def held_up(*args: Any, **kwargs: Any) -> set[str]:
            result = await apply(*args, **kwargs)
            written.set()
            await go_on.wait()
            return result

        with monkeypatch.context() as patch:
            patch.setattr(journey._engine.store, "apply", held_up)
            writes = [journey.set_value(e, "x", 1) for e in (execution, innocent)]
            writing = asyncio.gather(*writes)
            await written.wait()
            await journey._engine.registry.register(orders("a"))
            go_on.set()
            await writing
        assert await journey.get_value(innocent, "y", settled=True) == 1
        await taken_on(orders("a"), journey, await journey.set_value(execution, "x", 2))
        assert await journey.get_value(execution.id, "a", settled=True) == 2
        await eventually(lambda: journey._engine.runner.free == 2)
