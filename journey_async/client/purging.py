"""purge(): archived executions are deleted for good, a few at a time."""

from datetime import timedelta

from journey_async.client import options
from journey_async.engine.engine import Engine
from journey_async.errors import InvalidOptionError

BATCH = 500  # executions deleted by one statement
LARGEST_BATCH = 1_000_000


async def purge(engine: Engine, older_than: float | timedelta, *, batch_size: int = BATCH) -> int:
    """Delete what was archived longer than `older_than` ago; how many executions that were."""
    if isinstance(older_than, timedelta):
        older_than = older_than.total_seconds()
    age = options.seconds("older_than", older_than)
    size = options.positive("batch_size", batch_size, most=LARGEST_BATCH)
    try:
        before = engine.clock.now() - timedelta(seconds=age)
    except OverflowError:
        raise InvalidOptionError(f"older_than is too long ago: {age:g} seconds") from None
    purged = 0
    while True:
        ids = await engine.patiently(lambda: engine.store.purge_archived(before, size))
        for execution_id in ids:
            engine.cache.drop(execution_id)
        purged += len(ids)
        if len(ids) < size:
            return purged
