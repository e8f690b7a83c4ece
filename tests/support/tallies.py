"""Compares what status() tells with what is in the tables."""

import asyncpg

from journey_async.store.sql import as_script, in_schema

SUMS = """
    SELECT graph_name, graph_version, sum(active), sum(archived), sum(not_set), sum(success),
           sum(failed), sum(computing), sum(abandoned)
    FROM :"schema".tallies
    GROUP BY graph_name, graph_version
    HAVING sum(active) + sum(archived) > 0
"""
NOT_SET = 'SELECT id, not_set FROM :"schema".executions'


async def drifted(connection: asyncpg.Connection, schema: str = "journey") -> list[str]:
    """What counting anew would change; it is not changed. Who writes meanwhile has to wait."""
    recount = as_script("recount", schema)
    texts = [in_schema(text, schema) for text in (SUMS, NOT_SET)]
    transaction = connection.transaction()
    await transaction.start()
    try:
        # Every change writes its execution, so this keeps all of them out.
        await connection.execute(f'LOCK TABLE "{schema}".executions IN SHARE ROW EXCLUSIVE MODE')
        before = [set(map(tuple, await connection.fetch(text))) for text in texts]
        await connection.execute(recount.replace("BEGIN;", "").replace("COMMIT;", ""))
        after = [set(map(tuple, await connection.fetch(text))) for text in texts]
    finally:
        await transaction.rollback()
    return [
        f"{said} {row}"
        for was, is_now in zip(before, after, strict=True)
        for said, rows in (("told:", was - is_now), ("found:", is_now - was))
        for row in sorted(map(str, rows))
    ]
