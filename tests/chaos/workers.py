"""The processes: each a program of its own, which ends on SIGTERM or when its parent has gone.

python -m tests.chaos.workers ROLE OPTIONS (as JSON)
"""

import asyncio
import json
import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import asyncpg

from journey_async import Context, Graph, Journey, compute, input_node
from journey_async.errors import DatabaseUnavailable
from tests.chaos.load import Record, Writer, graphs

READY = "ready"


async def main(role: str, options: dict[str, Any]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with asyncpg.create_pool(options["direct"], min_size=0, max_size=4) as pool:
        await ROLES[role](options, Record(pool), stop)


async def compute_on(options: dict[str, Any], record: Record, stop: asyncio.Event) -> None:
    """Compute what there is to compute."""
    chance = random.Random(options["seed"])
    async with await opened(options, graphs=graphs(record, chance)) as journey:
        break_statements(journey, chance, options["faulty"])
        say(READY)
        await stop.wait()


async def write_on(options: dict[str, Any], record: Record, stop: asyncio.Event) -> None:
    """Set numbers, and wait for what follows."""
    chance = random.Random(options["seed"])
    numbers = graphs(record, chance)[0]
    async with await opened(options, run_computations=False) as journey:
        break_statements(journey, chance, options["faulty"])
        say(READY)
        await Writer(journey, numbers, record, chance).run(stop.is_set)


async def hold_on(options: dict[str, Any], record: Record, stop: asyncio.Event) -> None:
    """Compute `y` of the graph `hold`: who is first holds on to it, the others let go."""
    async with await opened(options, graphs=[hold_graph(record)]):
        say(READY)
        await stop.wait()


ROLES: dict[str, Callable[[dict[str, Any], Record, asyncio.Event], Awaitable[None]]] = {
    "compute": compute_on,
    "write": write_on,
    "hold": hold_on,
}


def hold_graph(record: Record) -> Graph:
    """`x` negative: the loop is blocked for so many seconds; `x` 1: the first run never ends."""
    runs = "SELECT count(*) FROM chaos.effects WHERE execution_id = $1"

    async def hold(x: float, context: Context) -> dict[str, Any]:
        await record.effect(context, 0)
        if x < 0:
            time.sleep(-x)  # noqa: ASYNC251 - the very thing
        elif x == 1 and await record._pool.fetchval(runs, context.execution_id) == 1:
            await asyncio.get_running_loop().create_future()
        return {"pid": os.getpid()}

    return Graph(
        "hold", "v1", [input_node("x"), compute("y", ["x"], hold, abandon_after_seconds=600)]
    )


async def opened(options: dict[str, Any], **more: Any) -> Journey:
    """A Journey that can be entered; tried again while the server is away."""
    known = {name: options[name] for name in ("lease", "grace_period") if name in options}
    for _ in range(600):
        journey = Journey(options["dsn"], **known, **more)
        with suppress(DatabaseUnavailable):
            await journey.__aenter__()
            return _Entered(journey)  # type: ignore[return-value]
        await asyncio.sleep(0.05)
    raise RuntimeError("the server did not come back")


class _Entered:
    def __init__(self, journey: Journey) -> None:
        self._journey = journey

    async def __aenter__(self) -> Journey:
        return self._journey

    async def __aexit__(self, *_: object) -> None:
        await self._journey.close()


def break_statements(journey: Journey, chance: random.Random, share: float) -> None:
    """Let a share of the writes fail: before they reach the database, or their answers."""
    store = journey._engine.store
    apply = store.apply

    async def faulty(*arguments: Any, **named: Any) -> set[str]:
        what = chance.random()
        if what < share / 2:
            raise DatabaseUnavailable("made to fail before it was written")
        written = await apply(*arguments, **named)
        if what < share:
            raise DatabaseUnavailable("made to fail after it was written")
        return written

    if share:
        store.apply = faulty  # type: ignore[method-assign]


def say(word: str) -> None:
    """Tell the parent."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def end_with_parent() -> None:
    """The parent holds the other end of standard input for as long as it lives."""
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(process)d %(levelname)s %(message)s")
    threading.Thread(target=end_with_parent, daemon=True).start()
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
