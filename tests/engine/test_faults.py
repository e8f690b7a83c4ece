"""A database that goes away in the middle, and answers that are lost."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from journey_async import Graph, Journey, Retry, compute, input_node, tick_once
from journey_async.engine import logs, safety_check
from journey_async.errors import DatabaseUnavailable, JourneyError
from journey_async.store.migrations import migrate
from tests.support.backends import TERMINATE
from tests.support.eventually import eventually
from tests.support.graphs import basic_graph, one_input
from tests.support.outages import unavailable
from tests.support.waits import waits_in

UNREADABLE = '{"name": "broken", "version": "v1", "nodes": [{"kind": "odd", "name": "x"}]}'


@contextmanager
def losing_answers(
    monkeypatch: pytest.MonkeyPatch, journey: Journey, times: int, *, written: bool = True
) -> Iterator[Callable[[], int]]:
    """The next writes reach the database (or not), and their answers do not come back."""
    store = journey._engine.store
    apply = store.apply
    lost = 0

    async def losing(*args: Any, **kwargs: Any) -> set[str]:
        nonlocal lost
        if lost == times:
            return await apply(*args, **kwargs)
        if written:
            await apply(*args, **kwargs)
        lost += 1
        raise DatabaseUnavailable("the connection was cut")

    with monkeypatch.context() as patch:
        patch.setattr(store, "apply", losing)
        yield lambda: lost


async def test_a_write_whose_answer_was_lost_is_not_done_twice(
    dsn: str, monkeypatch: pytest.MonkeyPatch, connection: Any
) -> None:
    async with Journey(dsn) as journey:
        with losing_answers(monkeypatch, journey, 1):
            execution = await journey.start_execution(one_input(), {"x": 0})
        assert execution.revision == 1
        assert await connection.fetchval("SELECT count(*) FROM journey.executions") == 1
        for number in (1, 2):
            with losing_answers(monkeypatch, journey, 1):
                execution = await journey.set_value(execution, "x", number)
            assert execution.revision == number + 1
        with losing_answers(monkeypatch, journey, 1):
            assert (await journey.archive(execution)).revision == 4


async def test_a_write_whose_answer_was_lost_is_answered_and_told_of_as_what_it_was(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[Any] = []

    async def endless(x: int) -> None:
        await asyncio.get_running_loop().create_future()

    graph = Graph(
        "g",
        "v1",
        [
            input_node("x", on_save=lambda *told: saved.append(told[2].value)),
            compute("y", ["x"], endless, retry=Retry(max_attempts=1)),
        ],
    )
    async with Journey(dsn, graphs=[graph], grace_period=0) as journey:
        with losing_answers(monkeypatch, journey, 1):
            execution = await journey.start_execution(graph, {"x": 1})
        await eventually(lambda: saved == [1])
        [running] = await journey.computations(execution)
        with losing_answers(monkeypatch, journey, 1):
            abandoned = await journey.abandon_computation(running.id)
        assert (abandoned.key, abandoned.state) == (running.key, "abandoned")
        with losing_answers(monkeypatch, journey, 1):
            again = await journey.retry_computation(execution, "y")
        [_, second] = await journey.computations(execution)
        assert again.revision == (await journey.load(execution)).revision
        assert (second.number, second.state) == (2, "computing")


async def test_a_write_that_never_arrived_is_done_again(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Journey(dsn, patience=10) as journey:
        with losing_answers(monkeypatch, journey, 2, written=False):
            execution = await journey.start_execution(one_input(), {"x": 0})
        with losing_answers(monkeypatch, journey, 2, written=False):
            execution = await journey.set_value(execution, "x", 1)
        assert execution.revision == 2


@pytest.mark.hears("and else says that it polls")
async def test_that_nothing_can_be_written_is_logged_once(
    dsn: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logs, "OUTAGE", 0.0)
    caplog.set_level(logging.WARNING, logger="journey_async")
    async with Journey(dsn, patience=10) as journey:
        execution = await journey.start_execution(one_input())
        with losing_answers(monkeypatch, journey, 1):
            await journey.set_value(execution, "x", 1)
        assert caplog.messages == []
        with losing_answers(monkeypatch, journey, 4, written=False):
            await journey.set_value(execution, "x", 2)
    assert caplog.messages == [
        "nothing can be written, and is tried again and again: the connection was cut",
        "the database takes writes again",
    ]


async def test_what_was_begun_by_a_write_whose_answer_was_lost_runs_here(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = basic_graph()
    async with Journey(dsn, graphs=[graph], max_concurrency=2) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        with losing_answers(monkeypatch, journey, 1):
            await journey.set_value(execution, "y", 2)
        assert await journey.get_value(execution, "sum", wait_any=True) == 3
        [computation] = await journey.computations(execution)
        assert (computation.number, computation.deaths) == (1, 0)
        await eventually(lambda: journey._engine.runner.free == 2)


async def test_who_waits_hears_of_a_result_whose_answer_was_lost(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = asyncio.Event()

    async def waits(x: int) -> int:
        await release.wait()
        return x

    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], waits)])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        wait = asyncio.create_task(journey.get_value(execution, "y", wait_any=True, timeout=20))
        await eventually(lambda: waits_in(journey) == 1)
        with losing_answers(monkeypatch, journey, 1) as lost:
            release.set()
            await eventually(lambda: lost() == 1)
            assert await wait == 1


async def test_an_alarm_set_by_a_write_whose_answer_was_lost_rings(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter([ValueError("once"), None])

    async def flaky(x: int) -> int:
        if error := next(calls):
            raise error
        return x

    soon = Retry(initial_delay=0.05, jitter=False)
    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], flaky, retry=soon)])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        await journey.set_value(execution, "x", 1)
        with losing_answers(monkeypatch, journey, 1) as lost:
            await eventually(lambda: lost() == 1)
        assert await journey.get_value(execution, "y", wait_any=True, timeout=20) == 1


async def test_what_a_lost_answer_began_runs_though_its_caller_gave_up(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = basic_graph()
    async with Journey(dsn, graphs=[graph], patience=0.05) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        with losing_answers(monkeypatch, journey, 1000), monkeypatch.context() as patch:
            patch.setattr(journey._engine.store, "load", unavailable)
            with pytest.raises(DatabaseUnavailable):
                await journey.set_value(execution, "y", 2)
        async with Journey(dsn) as other:
            assert await other.get_value(execution.id, "sum", wait_any=True) == 3
            [computation] = await other.computations(execution.id)
        assert (computation.number, computation.deaths) == (1, 0)


async def test_what_a_lost_answer_began_runs_though_its_caller_was_cancelled(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = basic_graph()
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        queue = journey._engine.committer._queue
        with losing_answers(monkeypatch, journey, 1) as lost, monkeypatch.context() as patch:
            patch.setattr(journey._engine.store, "load", unavailable)
            write = asyncio.create_task(journey.set_value(execution, "y", 2))
            await eventually(
                lambda: lost() and queue.has(execution.id) and not queue.is_in_flight(execution.id)
            )
            write.cancel()
            await asyncio.wait([write])
        assert write.cancelled()
        assert await journey.get_value(execution, "sum", wait_any=True, timeout=20) == 3


async def test_every_connection_can_be_cut(dsn: str, connection: Any) -> None:
    graph = basic_graph()
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"y": 1})
        for x in range(5):
            await connection.fetch(TERMINATE)
            await journey.set_value(execution, "x", x)
            assert await journey.get_value(execution, "sum", settled=True, timeout=10) == x + 1
        listener = journey._engine._listener
        await eventually(lambda: listener.is_listening or listener.is_polling)


async def test_callers_are_told_when_their_patience_is_at_an_end(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Journey(dsn, patience=0.1) as journey:
        execution = await journey.start_execution(one_input())
        with losing_answers(monkeypatch, journey, 1000, written=False):
            async with asyncio.timeout(10):
                with pytest.raises(DatabaseUnavailable):
                    await journey.set_value(execution, "x", 1)
        assert (await journey.set_value(execution, "x", 2)).revision == 1


def with_option(dsn: str, option: str) -> str:
    """The address with one more parameter."""
    return f"{dsn}{'&' if '?' in dsn else '?'}{option}"


@pytest.mark.direct("gives parameters that a pooler does not know")
@pytest.mark.parametrize("setting", ["statement_timeout", "lock_timeout"])
async def test_the_servers_own_timeouts_are_no_strangers(
    dsn: str, connection: Any, setting: str
) -> None:
    async with Journey(with_option(dsn, f"{setting}=100"), patience=0.1) as journey:
        execution = await journey.start_execution(one_input())
        async with connection.transaction():
            await connection.execute("LOCK TABLE journey.executions IN ACCESS EXCLUSIVE MODE")
            async with asyncio.timeout(10):
                with pytest.raises(DatabaseUnavailable):
                    await journey.set_value(execution, "x", 1)
                with pytest.raises(DatabaseUnavailable):
                    await journey.load(execution)
        assert (await journey.set_value(execution, "x", 1)).revision == 1


@pytest.mark.direct("gives parameters that a pooler does not know")
async def test_a_table_that_others_hold_is_told_and_a_row_is_not(
    dsn: str, connection: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logs, "OUTAGE", 0.0)
    caplog.set_level(logging.WARNING, logger="journey_async")
    async with Journey(with_option(dsn, "lock_timeout=100"), patience=0.5) as journey:
        held, execution = [await journey.start_execution(one_input()) for _ in range(2)]
        async with connection.transaction():
            await connection.execute("SELECT FROM journey.executions FOR UPDATE")
            with pytest.raises(DatabaseUnavailable):
                await journey.set_value(held, "x", 1)
        assert caplog.messages == []
        async with connection.transaction():
            await connection.execute("LOCK TABLE journey.executions IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(DatabaseUnavailable):
                await journey.set_value(execution, "x", 1)
    assert "nothing can be written" in caplog.messages[0]


@pytest.mark.direct("gives parameters that a pooler does not know")
async def test_a_server_that_only_reads_is_not_available_for_writing(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn) as writer:
        execution = await writer.start_execution(one_input(), {"x": 1})
    readonly = with_option(dsn, f"options={quote('-c default_transaction_read_only=on')}")
    async with Journey(readonly, patience=0.1, run_computations=False, migrate=False) as journey:
        assert await journey.get_value(execution, "x") == 1
        with pytest.raises(DatabaseUnavailable):
            await journey.set_value(execution, "x", 2)


@pytest.mark.direct("makes the schema anew, and gives no rights to it")
async def test_tables_that_are_gone_are_reported_and_are_used_when_they_are_back(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn, run_computations=False) as journey:
        execution = await journey.start_execution(one_input())
        await connection.execute("DROP SCHEMA journey CASCADE")
        with pytest.raises(JourneyError, match="does not exist"):
            await journey.set_value(execution, "x", 1)
        with pytest.raises(JourneyError, match="does not exist"):
            await journey.load(execution)
        await migrate(connection)
        fresh = await journey.start_execution(one_input())
        await journey.set_value(fresh, "x", 1)


async def test_an_execution_of_an_unreadable_graph_harms_no_other(
    dsn: str, connection: Any, caplog: pytest.LogCaptureFixture
) -> None:
    graph = one_input("broken")
    async with Journey(dsn, run_computations=False) as journey:
        broken = await journey.start_execution(graph)
        await connection.execute("UPDATE journey.graphs SET definition = $1", UNREADABLE)
        async with Journey(dsn) as other:
            fine = await other.start_execution(one_input())
            results = await asyncio.gather(
                other.archive(broken.id), other.set_value(fine, "x", 1), return_exceptions=True
            )
            assert isinstance(results[0], JourneyError)
            assert not isinstance(results[1], BaseException)
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


async def test_the_alarm_is_not_lost_while_the_scheduler_looks(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told of a time while its question is at the database, it asks again."""
    async with Journey(dsn, graphs=[one_input()]) as journey:
        engine = journey._engine
        scheduler, store = engine.scheduler, engine.store
        asked = 0
        attention = store.attention

        async def told_meanwhile(*args: Any, **kwargs: Any) -> Any:
            nonlocal asked
            asked += 1
            found = await attention(*args, **kwargs)
            if asked == 2:
                scheduler.expect(engine.clock.now())  # a commit behind the question's snapshot
            return found

        monkeypatch.setattr(store, "attention", told_meanwhile)
        scheduler.expect()
        await eventually(lambda: asked >= 1)
        scheduler._next = engine.clock.now()  # as if a timer had woken it
        scheduler.expect()
        await eventually(lambda: asked >= 3)


async def test_who_is_being_woken_hides_nobody_from_the_alarm(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor the time that comes next, however many there are."""
    monkeypatch.setattr(safety_check, "INTERVAL", 3600.0)
    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], lambda x: x)])
    soon = Graph(
        "soon",
        "v1",
        [tick_once("at", [], lambda: timedelta(seconds=2)), compute("z", ["at"], lambda: "rung")],
    )
    async with (
        Journey(dsn, graphs=[graph, soon], max_concurrency=20) as journey,
        Journey(dsn, graphs=[graph], run_computations=False) as web,
    ):
        rings = await journey.start_execution(soon)
        await journey.get_value(rings, "at", wait_any=True)
        left = [await web.start_execution(graph) for _ in range(15)]
        engine = journey._engine
        attention, apply = engine.store.attention, engine.store.apply
        looked, go_on = asyncio.Event(), asyncio.Event()

        async def looks(*args: Any, **kwargs: Any) -> Any:
            found = await attention(*args, **kwargs)
            looked.set()
            return found

        async def held_up(*args: Any, **kwargs: Any) -> Any:
            await go_on.wait()
            return await apply(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(engine.store, "apply", held_up)
            await asyncio.gather(*(web.set_value(e, "x", n) for n, e in enumerate(left)))
            await eventually(lambda: engine.runner.free == 20 - len(left))
            patch.setattr(engine.store, "attention", looks)
            engine.scheduler.expect()
            await looked.wait()
            go_on.set()
            for number, execution in enumerate(left):
                assert await journey.get_value(execution, "y", wait_any=True) == number
        assert await journey.get_value(rings, "z", wait_any=True, timeout=10) == "rung"


CALLS: dict[str, Callable[[Journey, str], Awaitable[object]]] = {
    "set_value": lambda journey, execution: journey.set_value(execution, "x", 2),
    "load": lambda journey, execution: journey.load(execution),
    "get_value": lambda journey, execution: journey.get_value(execution, "x"),
    "list_executions": lambda journey, _: journey.list_executions(graph_name="g"),
    "watch": lambda journey, execution: anext(journey.watch(execution, since_revision=0)),
}


@pytest.mark.parametrize("verb", CALLS)
async def test_a_definition_is_waited_for_as_patiently_as_anything(
    dsn: str, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    old, new = one_input("g"), Graph("g", "v1", [input_node("x"), input_node("y")])
    async with Journey(dsn, graphs=[old]) as journey, Journey(dsn) as other:
        execution = await other.start_execution(new, {"x": 1})
        await journey.load(execution.id)
        graphs, asked = journey._engine.store.graphs, 0

        async def away_at_times(*args: Any) -> Any:
            nonlocal asked
            asked += 1
            if asked % 3:
                raise DatabaseUnavailable("the server is being restarted")
            return await graphs(*args)

        monkeypatch.setattr(journey._engine.store, "graphs", away_at_times)
        assert await CALLS[verb](journey, execution.id)
        assert asked >= 3


RESTORED = """
    WITH restored AS (
        UPDATE journey.executions
        SET version = version - 1, revision = 1, values_revision = 1, inputs_revision = 1
        WHERE id = $1 RETURNING id
    )
    UPDATE journey."values" SET value = '"one"', revision = 1
    WHERE execution_id IN (SELECT id FROM restored)
"""


async def test_a_database_that_has_lost_a_commit_is_believed(dsn: str, connection: Any) -> None:
    """As after a change to a standby that was behind."""
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(one_input(), {"x": "one"})
        await journey.set_value(execution, "x", "two")
        await connection.execute(RESTORED, execution.id)
        assert await journey.get_value(execution.id, "x") == "one"
