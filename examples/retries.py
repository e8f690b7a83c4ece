"""Retries: a function that fails, is tried again, gives up, and is given another chance.

    python examples/retries.py

What to learn here: attempts are counted since the newest upstream change and kept with their
errors; when they are used up, whoever waits is told so; an operator may grant one more.
"""

import argparse
import asyncio
import os
from datetime import UTC, datetime

from journey_async import (
    ComputationFailed,
    Context,
    Execution,
    Graph,
    Journey,
    Retry,
    compute,
    input_node,
)


def greet(name: str, context: Context) -> str:
    if context.attempt <= 5:
        raise ConnectionError(f"no greeting at {datetime.now(UTC):%H:%M:%S.%f}")
    return f"Welcome at last, {name}!"


graph = Graph(
    "Welcome, but failing",
    "v1",
    [
        input_node("name", type=str),
        # After each failure a random pause, up to 0.1, 0.2, 0.4 seconds; without a `retry=`
        # there are 3 attempts, with pauses of up to 1 and 2 seconds.
        compute("greeting", ["name"], greet, retry=Retry(max_attempts=4, initial_delay=0.1)),
    ],
)


async def main(dsn: str) -> None:
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        execution = await journey.set_value(execution, "name", "Mario")
        print("\n1. Four attempts\n")
        await wait(journey, execution)

        print("\n2. An operator tries again, too early\n")
        execution = await journey.retry_computation(execution, "greeting")
        await wait(journey, execution)

        print("\n3. And again\n")
        execution = await journey.retry_computation(execution, "greeting")
        await wait(journey, execution)

        print("\nWhat is kept of it\n")
        for attempt in await journey.computations(execution, "greeting"):
            mark = "✅" if attempt.error is None else "❌"
            ended = attempt.revision_at_completion
            print(f"   {mark} {attempt.state:<8} r{ended:<3} {attempt.error or ''}".rstrip())


async def wait(journey: Journey, execution: Execution) -> None:
    try:
        print(f"   🎉 {await journey.get_value(execution, 'greeting', wait_any=True)}")
    except ComputationFailed as error:
        print(f"   💥 {error}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Retries.")
    parser.add_argument(
        "--dsn",
        default=os.environ.get("JOURNEY_DATABASE_URL", "embedded:"),
        help="default: $JOURNEY_DATABASE_URL, or a private PostgreSQL",
    )
    asyncio.run(main(parser.parse_args().dsn))
