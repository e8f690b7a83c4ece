"""tick_once: something is to happen later, once.

    python examples/tick_once.py

What to learn here: the function returns when; the time is readable at once, and what waits for
the tick runs when it has come. In between nothing runs and nobody has to stay awake: here the
process that scheduled the nap is gone when the nap begins.
"""

import argparse
import asyncio
import os
from datetime import UTC, datetime, timedelta

from journey_async import Graph, Journey, compute, input_node, tick_once


def in_a_moment() -> timedelta:
    return timedelta(seconds=1)  # or days=30, or datetime(2040, 1, 1, tzinfo=UTC)


def nap(name: str) -> str:
    return f"{name} is napping 😴"


graph = Graph(
    "Nap Scheduler",
    "v1",
    [
        input_node("name", type=str),
        tick_once("schedule_nap", ["name"], in_a_moment),
        compute("start_nap", ["name", "schedule_nap"], nap),
    ],
)


async def main(dsn: str) -> None:
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"name": "Mario"})
        due = await journey.get_value(execution, "schedule_nap", wait_any=True)
        due_at = datetime.fromtimestamp(due, UTC)
        print(f"\nThe nap is scheduled for {due_at:%H:%M:%S.%f} UTC")
        print(f"Now: {await journey.get_value(execution, 'start_nap', default='wide awake 👀')}")
    print("(The process ends here. Zzz …)")

    async with Journey(dsn, graphs=[graph]) as journey:
        print("(Another one begins.)")
        started = await journey.get_node(execution.id, "start_nap", wait_any=True)
        assert started.set_time is not None
        late = (started.set_time - due_at) / timedelta(milliseconds=1)
        print(f"{started.value}, {late:.0f} ms after its time")
        execution = await journey.load(execution)
        print(f"The execution is at revision {execution.revision}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="tick_once: something is to happen later, once.")
    parser.add_argument(
        "--dsn",
        default=os.environ.get("JOURNEY_DATABASE_URL", "embedded:"),
        help="default: $JOURNEY_DATABASE_URL, or a private PostgreSQL",
    )
    asyncio.run(main(parser.parse_args().dsn))
