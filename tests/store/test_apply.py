"""Compare and set, directed: two connections, and who waits for whom."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import asyncpg
import pytest

from journey_async.core.change import Change
from journey_async.core.commands import Abandon, SetValues, Start, Succeed, Wake
from journey_async.core.draft import Env
from journey_async.core.graph import Graph
from journey_async.core.nodes import compute, input_node
from journey_async.core.settle import settle
from journey_async.core.state import State, new_state
from journey_async.core.values import Computation, NodeKind, NodeValue
from journey_async.store.channels import Channels
from journey_async.store.faults import DataRefused
from journey_async.store.lending import Lending
from journey_async.store.store import Store
from tests.support.eventually import eventually
from tests.support.locks import waiting_for_locks

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GRAPH = Graph("g", "v1", [input_node("x"), input_node("z"), compute("y", ["x"], lambda x: x)])
CHANNELS = Channels.of("journey")


def decide(state: State, command: Any, *, capacity: int = 10) -> Change:
    tokens = iter(range(1, 100))
    env = Env(
        now=NOW,
        worker="WORKER1",
        capacity=capacity,
        can_run=lambda step: True,
        chance=lambda: 0.0,  # by which a version is one more than the one before
        fresh_token=lambda: next(tokens),
    )
    return settle(GRAPH, state, command, env)


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Store]:
    pool = await asyncpg.create_pool(dsn, min_size=1, max_size=4)
    try:
        yield Store(Lending(pool), "journey", Channels.of("journey"))
    finally:
        await pool.close()


async def apply(store: Store, *changes: Change, connection: Any = None) -> set[str]:
    return await store.apply(changes, sender="test", connection=connection)


async def started(store: Store, number: int = 1, **values: Any) -> State:
    change = decide(new_state(f"EXEC{number}", GRAPH, NOW), Start(values))
    assert await apply(store, change) == {f"EXEC{number}"}
    return change.state


async def load(store: Store, state: State) -> State:
    return (await store.load([state.execution_id]))[state.execution_id]


async def test_what_is_written_is_what_is_loaded(store: Store) -> None:
    state = await started(store, x={"a": [1, None, "é"]})
    assert await load(store, state) == state
    change = decide(state, Succeed(state.newest["y"].key, 1, 7))
    assert await apply(store, change) == {"EXEC1"}
    assert await load(store, state) == change.state


@pytest.mark.parametrize("relation", ["computation_change", "computations"])
async def test_a_computation_is_sent_and_kept_as_the_fields_that_it_has(
    connection: Any, relation: str
) -> None:
    """The row that is sent is the tuple itself, and the execution's version."""
    fields = await connection.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 "
        "ORDER BY attnum",
        f"journey.{relation}",
    )
    assert tuple(row["attname"] for row in fields) == (*Computation._fields, "version")


async def test_times_are_sent_exactly(connection: Any) -> None:
    first, last = datetime(1970, 1, 1, tzinfo=UTC), datetime(2106, 1, 1, tzinfo=UTC)
    microseconds = (last - first) // timedelta(microseconds=1)
    chance = Random(1)
    times = [first + timedelta(microseconds=chance.randrange(microseconds)) for _ in range(10_000)]
    times += [last - timedelta(microseconds=number) for number in range(1000)]
    rows = await connection.fetch(
        "SELECT to_timestamp(t) AS time FROM unnest($1::float8[]) AS t",
        [time.timestamp() for time in times],
    )
    assert [row["time"] for row in rows] == times


async def test_an_alarm_is_exact_however_far_it_lies_ahead(store: Store) -> None:
    state = await started(store)
    for year in (2107, 2500, 9998):
        wake_at = datetime(year, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
        change = decide(state, SetValues({"x": year}))
        written = change._replace(state=change.state._replace(wake_at=wake_at))
        assert await apply(store, written) == {"EXEC1"}
        state = await load(store, state)
        assert state == written.state


async def test_a_lost_swap_gives_no_row_and_writes_nothing(store: Store, connection: Any) -> None:
    state = await started(store)
    one, other = (decide(state, SetValues({"x": x})) for x in (1, 2))
    assert await apply(store, one) == {"EXEC1"}
    assert await apply(store, other) == set()
    assert await apply(store, one) == set()  # nor can it be applied twice
    assert await load(store, state) == one.state
    assert await connection.fetchval("SELECT count(*) FROM journey.computations") == 1


async def test_an_execution_is_not_created_twice(store: Store) -> None:
    state = await started(store, x=1)
    again = decide(new_state("EXEC1", GRAPH, NOW), Start({"x": 2}))
    assert await apply(store, again) == set()
    assert await load(store, state) == state


async def test_of_a_batch_those_are_written_that_can_be(store: Store) -> None:
    states = [await started(store, n) for n in range(5)]
    changes = [decide(state, SetValues({"x": 1})) for state in states]
    await apply(store, changes[3])
    assert await apply(store, *changes) == {"EXEC0", "EXEC1", "EXEC2", "EXEC4"}


async def test_a_row_that_somebody_holds_is_passed_over_without_waiting(
    store: Store, connection: Any
) -> None:
    held, free = await started(store, 1), await started(store, 2)
    changes = [decide(state, SetValues({"x": 1})) for state in (held, free)]
    async with store.locked("EXEC1"):
        async with asyncio.timeout(30):
            assert await apply(store, *changes) == {"EXEC2"}
    assert await apply(store, changes[0]) == {"EXEC1"}


async def test_slots_are_taken_in_one_order_lest_two_batches_wait_for_each_other(
    store: Store, connection: Any
) -> None:
    def start(number: int, slot: str) -> Change:
        return decide(new_state(f"EXEC{number}", GRAPH, NOW), Start({}))._replace(slot=slot)

    async with connection.transaction():
        assert await apply(store, start(1, "a"), connection=connection) == {"EXEC1"}
        waiting = asyncio.create_task(apply(store, start(2, "b"), start(3, "a")))
        await eventually(lambda: waiting_for_locks(connection))
        assert await apply(store, start(4, "b"), connection=connection) == {"EXEC4"}
    assert await waiting == set()


async def test_a_reader_sees_revision_and_values_of_the_same_moment(
    store: Store, connection: Any
) -> None:
    """The torn snapshot: the new revision with the old values, and a swap that passes."""
    state = await started(store, x=1)
    change = decide(state, SetValues({"x": 2}))
    transaction = connection.transaction()
    await transaction.start()
    assert await apply(store, change, connection=connection) == {"EXEC1"}
    assert await load(store, state) == state  # all of it as before
    lost = decide(state, SetValues({"x": 3}))
    assert await apply(store, lost) == set()
    await transaction.commit()
    assert await load(store, state) == change.state
    assert await apply(store, lost) == set()


@pytest.mark.direct("keeps a session of its own")
async def test_who_waited_for_the_lock_sees_what_was_written_meanwhile(
    store: Store, connection: Any
) -> None:
    state = await started(store, x=1)
    change = decide(state, SetValues({"x": 2}))
    transaction = connection.transaction()
    await transaction.start()
    await apply(store, change, connection=connection)

    async def locked_load() -> State:
        async with store.locked("EXEC1") as holder:
            return (await store.load(["EXEC1"], holder))["EXEC1"]

    loading = asyncio.create_task(locked_load())

    await eventually(lambda: waiting_for_locks(connection))
    await transaction.commit()
    assert await loading == change.state


async def test_a_result_and_an_abandonment_take_their_locks_in_the_same_order(
    store: Store, dsn: str
) -> None:
    """Executions first: one of the two is passed over, and holds nothing that the other needs."""
    state = await started(store, x=1)
    computation = state.newest["y"]
    result = decide(state, Succeed(computation.key, 1, "late"))
    abandonment = decide(state, Abandon(computation.key))
    one, two = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    first, second = one.transaction(), two.transaction()
    await first.start()
    await second.start()
    try:
        async with asyncio.timeout(10):
            assert await apply(store, abandonment, connection=one) == {"EXEC1"}
            assert await apply(store, result, connection=two) == set()
            # two is still in its transaction; one goes on with the same rows
            again = decide(abandonment.state, SetValues({"x": 2}))
            assert await apply(store, again, connection=one) == {"EXEC1"}
        await first.commit()
        assert await apply(store, result, connection=two) == set()
        await second.commit()
    finally:
        await one.close()
        await two.close()
    assert await load(store, state) == again.state
    # decided again on what is there, the late result changes nothing
    assert not decide(await load(store, state), Succeed(computation.key, 1, "late")).written


def poisoned(change: Change, text: str) -> Change:
    """The change with a value that PostgreSQL refuses, past all checks."""
    bad = NodeValue("x", NodeKind.INPUT, text, None, change.state.revision, NOW)
    values = {**change.state.values, "x": bad}
    return change._replace(state=change.state._replace(values=values))


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
async def test_a_refused_change_says_so_and_writes_nothing(store: Store, text: str) -> None:
    states = [await started(store, n) for n in range(3)]
    changes = [decide(state, SetValues({"x": 1})) for state in states]
    changes[1] = poisoned(changes[1], text)
    with pytest.raises(DataRefused):
        await apply(store, *changes)
    for state in states:
        assert await load(store, state) == state


async def test_two_active_computations_of_a_node_are_refused(store: Store) -> None:
    state = await started(store, x=1)
    change = decide(state, SetValues({"x": 2}))
    running = state.newest["y"]
    second = running._replace(number=2, token=9)
    twice = change._replace(computations={running.key: running, second.key: second})
    with pytest.raises(DataRefused):
        await apply(store, twice)
    assert await load(store, state) == state


@asynccontextmanager
async def listening(dsn: str) -> AsyncIterator["asyncio.Queue[tuple[str, str]]"]:
    """What is told on the channels, with the channel."""
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    listener = await asyncpg.connect(dsn)
    for channel in (CHANNELS.changed, CHANNELS.due):
        await listener.add_listener(channel, lambda *args: heard.put_nowait((args[2], args[3])))
    try:
        yield heard
    finally:
        await listener.close()


@pytest.mark.direct("listens")
async def test_what_is_left_to_others_is_marked_for_as_long_as_it_is(
    store: Store, dsn: str
) -> None:
    """Also when somebody writes it once more, and the time that it waits since is the same."""
    async with listening(dsn) as heard:
        left = decide(new_state("EXEC1", GRAPH, NOW), Start({"x": 1}), capacity=0)
        again = decide(left.state, SetValues({"z": 1}), capacity=0)
        taken = decide(again.state, Wake())
        assert (left.state.wake_at, again.announces) == (again.state.wake_at, False)
        for change in (left, again, taken):
            await apply(store, change)
        told = [await heard.get() for _ in range(3)]
        mark = GRAPH.hash[:8]
        assert told == [
            (CHANNELS.changed, f"test\nEXEC1 1 {mark}"),
            (CHANNELS.changed, f"test\nEXEC1 2 {mark}"),
            (CHANNELS.changed, "test\nEXEC1 3"),
        ]
        assert heard.empty()


@pytest.mark.direct("listens")
async def test_a_time_to_come_is_told_apart(store: Store, dsn: str) -> None:
    later = NOW + timedelta(hours=1)
    async with listening(dsn) as heard:
        change = decide(new_state("EXEC1", GRAPH, NOW), Start({}))
        state = change.state._replace(wake_at=later)
        await apply(store, change._replace(state=state, announces=True))
        assert await heard.get() == (CHANNELS.changed, "test\nEXEC1 1")
        channel, told = await heard.get()
        assert (channel, told.partition("\n")[0]) == (CHANNELS.due, "test")
        assert float(told.partition("\n")[2]) == later.timestamp()


@pytest.mark.direct("listens")
async def test_one_notification_tells_of_a_whole_batch(store: Store, dsn: str) -> None:
    async with listening(dsn) as heard:
        changes = [decide(new_state(f"EXEC{n:03}", GRAPH, NOW), Start({})) for n in range(250)]
        assert len(await apply(store, *changes)) == 250
        lines: set[str] = set()
        for _ in range(4):
            channel, payload = await heard.get()
            sender, *told = payload.split("\n")
            assert (channel, sender) == (CHANNELS.changed, "test")
            lines |= set(told)
        assert lines == {f"EXEC{n:03} 1" for n in range(250)}
        assert heard.empty()
