"""What statements answer that is not seen from above."""

from datetime import timedelta
from typing import Any

from tests.support.rows import NOW, add_states, computation, reading_engine, state


async def test_what_is_overdue_for_longest_comes_first(dsn: str, connection: Any) -> None:
    ids = [f"E{number}" for number in range(6)]
    running = [
        computation(e, "y", "computing", worker=e, deadline=NOW - timedelta(seconds=number))
        for number, e in enumerate(ids)
    ]
    await add_states(connection, map(state, ids), running)
    async with reading_engine(dsn) as engine:
        found = await engine.store.overdue_work(NOW, 4)
    assert [work.execution_id for work in found] == ["E5", "E4", "E3", "E2"]
