"""Workers that live, die and hold locks, as rows have it; and what runs on them."""

import asyncio
from typing import Any

from journey_async import Graph, Journey, compute, input_node

DEAD = """
    INSERT INTO journey.workers (id, lock_key, locked, host, pid, started_at, lease_until)
    VALUES ('WORKERDEAD', 7, $1, 'h', 1, now(), now() + $2 * interval '1 second')
"""
SHIFT = "UPDATE journey.workers SET lease_until = lease_until + $1 * interval '1 second'"
RUN_OUT = """
    UPDATE journey.workers SET lease_until = now() - interval '1 second' WHERE id = 'WORKERDEAD'
"""
RUNS_FOR = """
    WITH written AS (
        UPDATE journey.executions SET version = version + 1 WHERE id = $1 RETURNING id
    )
    UPDATE journey.computations SET worker = $2, token = 1
    WHERE execution_id IN (SELECT id FROM written)
"""
LIVES = """
    INSERT INTO journey.workers (id, lock_key, locked, host, pid, started_at, lease_until)
    VALUES ('WORKERLIVES', 8, false, 'h', 1, now(), now() + interval '1000 seconds')
"""
CUT = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'journey_async'
"""
HELD = """
    SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database
    WHERE locktype = 'advisory' AND d.datname = current_database()
"""
RENEWED = """
    SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND datname = current_database()
        AND state = 'idle' AND query LIKE '%A worker says that it is alive%'
"""
CUT_LIFE_SIGN = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_locks JOIN pg_database AS d ON d.oid = database
    WHERE locktype = 'advisory' AND d.datname = current_database()
"""
MANY_DEAD = """
    INSERT INTO journey.workers (id, lock_key, locked, host, pid, started_at, lease_until)
    SELECT side || n, hashtext(side || n), true, 'h', 1, now(), now() + interval '1000 seconds'
    FROM generate_series(1, $1) AS n, unnest(ARRAY['A', 'Z']) AS side
"""
LOCK = "SELECT FROM journey.executions WHERE id = $1 FOR UPDATE"


async def hangs(x: int) -> None:
    await asyncio.get_running_loop().create_future()


def graph_of(f: Any, name: str = "g") -> Graph:
    return Graph(name, "v1", [input_node("x"), compute("y", ["x"], f)])


async def begun(dsn: str, connection: Any, graph: Graph, worker: str = "WORKERDEAD") -> Any:
    """An execution whose computation runs in another worker, which need not be there."""
    journey = Journey(dsn, graphs=[graph], grace_period=0)
    async with journey:
        execution = await journey.start_execution(graph, {"x": 1})
        await connection.execute(RUNS_FOR, execution.id, worker)
        return execution


async def workers_are(connection: Any, number: int) -> bool:
    return bool(await connection.fetchval("SELECT count(*) FROM journey.workers") == number)
