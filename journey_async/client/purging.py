"""purge(): archived executions are deleted for good, a few at a time."""

from datetime import datetime, timedelta
from functools import partial

from journey_async.client import options
from journey_async.engine.engine import Engine
from journey_async.errors import InvalidOptionError
from journey_async.store.faults import AnswerLate

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
    late: AnswerLate | None = None
    while True:
        deleted = await engine.patiently(partial(_batch, engine, before, size))
        if isinstance(deleted, AnswerLate):
            late = deleted
            if size == 1:
                raise late
            size //= 2
            continue
        for execution_id in deleted:
            engine.cache.forget(execution_id)
        purged += len(deleted)
        if deleted:  # fewer than asked for, too, where others hold or change some
            late = None
        elif late is not None:  # the server may still be at what took too long, and hold all of it
            raise late
        else:
            return purged


async def _batch(engine: Engine, before: datetime, size: int) -> list[str] | AnswerLate:
    """What was deleted; that it took too long is no reason to try the same again."""
    try:
        return await engine.store.purge_archived(before, size)
    except AnswerLate as error:
        return error
