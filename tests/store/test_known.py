"""Of an execution that is known as it was, what was written since is read, and all of that."""

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import asyncpg
import pytest

from journey_async.core.commands import SetValues, Start, Succeed
from journey_async.core.graph import Graph
from journey_async.core.nodes import compute, input_node
from journey_async.core.state import State
from journey_async.store.channels import Channels
from journey_async.store.lending import Lending
from journey_async.store.migrations import migrate
from journey_async.store.store import Store
from tests.chaos.server import ChaosServer, chaos_server
from tests.core.story import Story
from tests.core.test_upheavals import Upheaval

GRAPH = Graph("g", "v1", [input_node("x"), input_node("z"), compute("y", ["x"], lambda x: x)])
BY_PLAIN_SQL = """
    WITH written AS (
        UPDATE journey.executions
        SET version = version + 1, revision = revision + 1, wake_at = now()
        RETURNING id, revision
    )
    UPDATE journey."values" AS v SET value = '"by hand"', revision = written.revision
    FROM written WHERE v.execution_id = written.id AND v.node = 'x'
"""


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Store]:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as pool:
        yield Store(Lending(pool), "journey", Channels.of("journey"))


async def write(store: Store, story: Story, command: Any) -> State:
    change = story.do(command)
    assert await store.apply([change], sender="test")
    return change.state


async def read(store: Store, state: State, known: State | None = None) -> State:
    execution_id = state.execution_id
    knowing = {} if known is None else {execution_id: known}
    return (await store.load([execution_id], known=knowing))[execution_id]


def with_another(state: State, node: str) -> State:
    """The state, but for a value: whoever reads only what is newer will not notice."""
    return state._replace(values={**state.values, node: state.values["x"]})


async def test_it_is_as_if_all_were_read(store: Store) -> None:
    random = Random(7)
    for number in range(15):
        upheaval = Upheaval(random)
        story = upheaval.story
        story.state = story.state._replace(execution_id=f"EXEC{number}")
        story.start()
        upheaval.look()
        for _ in range(25):
            if random.random() < 0.15:
                upheaval.evolve()
            upheaval.happen()
        states: list[State] = []
        for change in story.changes:
            if change.written:
                assert await store.apply([change], sender="test")
                for known in random.sample(states, min(len(states), 2)):
                    assert await read(store, change.state, known) == change.state
                states.append(change.state)
        assert await read(store, states[-1], states[-1]) == await read(store, states[-1])


async def test_what_was_not_written_since_is_not_read(store: Store) -> None:
    story = Story(GRAPH)
    known = with_another(await write(store, story, Start({"x": 1, "z": 2})), "z")
    succeeded = await write(store, story, Succeed(story.newest("y").key, story.token("y"), 5))
    found = await read(store, known, known)
    assert found.values["z"] == known.values["x"]
    assert (found.values["y"].value, found.newest) == (5, succeeded.newest)


async def test_what_was_written_by_plain_sql_is_read(store: Store, connection: Any) -> None:
    story = Story(GRAPH)
    known = await write(store, story, Start({"x": 1, "z": 2}))
    await connection.execute(BY_PLAIN_SQL)
    found = await read(store, known, known)
    assert found.values["x"].value == "by hand"
    story.state = found  # another process has read that, and goes on
    await write(store, story, SetValues({"z": 3}))
    assert (await read(store, known, known)).values["x"].value == "by hand"
    assert (await read(store, known, with_another(found, "z"))).values["z"].value == 3


async def test_an_execution_of_the_same_id_that_is_another_one_is_read(
    store: Store, connection: Any
) -> None:
    story = Story(GRAPH)
    known = await write(store, story, Start({"x": 1, "z": 2}))
    await connection.execute("DELETE FROM journey.executions")
    again = Story(GRAPH)
    again.later(1)
    again.state = again.state._replace(created_at=again.now, version=0)
    await write(store, again, Start({"x": 3}))
    await write(store, again, SetValues({"x": 4}))
    written = await write(store, again, SetValues({"x": 5}))
    assert written.version > known.version
    assert await read(store, known, known) == written


async def test_nothing_is_known_of_a_server_that_was_started_anew() -> None:
    with chaos_server() as server:
        dsn = await server.database("known")
        connection = await asyncpg.connect(dsn)
        await migrate(connection)
        await connection.close()
        await _is_forgotten_after_a_start(server, dsn)


async def _is_forgotten_after_a_start(server: ChaosServer, dsn: str) -> None:
    forgotten = 0

    def forget() -> None:
        nonlocal forgotten
        forgotten += 1

    async with asyncpg.create_pool(dsn, min_size=1, max_size=3) as pool:
        store = Store(Lending(pool), "journey", Channels.of("journey"))
        store.when_another_answers(forget)
        state = await write(store, Story(GRAPH), Start({"x": 1, "z": 2}))
        lost = with_another(state, "z")
        assert await read(store, state, lost) == lost
        assert forgotten == 1  # by the first that answered
        await server.stop(immediately=False)
        await server.start()
        await pool.expire_connections()
        # They are all asked of what was there before; and one of them is the first to see.
        found = await asyncio.gather(*(read(store, state, lost) for _ in range(3)))
        assert found == [state] * 3
        assert forgotten == 2
