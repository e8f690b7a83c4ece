"""archive: an execution that clears itself away.

    python examples/archive.py

What to learn here: an archived execution is out of the way, not lost. It isn't loaded or found
unless one asks for it, nothing of it runs, and it can be brought back.
"""

import argparse
import asyncio
import os
from datetime import timedelta

from journey_async import (
    ExecutionArchivedError,
    ExecutionNotFound,
    Graph,
    Journey,
    archive,
    input_node,
    tick_once,
    value,
)

graph = Graph(
    "Customer Order",
    "v1",
    [
        input_node("customer_name", type=str),
        tick_once("schedule_cleanup", ["customer_name"], lambda: timedelta(seconds=0.7)),
        archive("archive_order", ["schedule_cleanup"]),
    ],
)


async def main(dsn: str) -> None:
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        execution = await journey.set_value(execution, "customer_name", f"Mario {execution.id}")
        print(f"\n📦 an order of {(await journey.load(execution)).values['customer_name'].value}")

        await journey.get_value(execution, "archive_order", wait_any=True)
        print("🗄️  a little later it has archived itself; now")

        try:
            await journey.load(execution)
        except ExecutionNotFound as error:
            print(f"   load says:       {error}")
        try:
            await journey.set_value(execution, "customer_name", "Luigi")
        except ExecutionArchivedError as error:
            print(f"   set_value says:  {error}")

        mine = value("customer_name") == f"Mario {execution.id}"
        found = await journey.count_executions(where=mine)
        all_of_them = await journey.count_executions(where=mine, include_archived=True)
        print(f"   a search finds:  {found}, and {all_of_them} with include_archived=True")

        execution = await journey.load(execution, include_archived=True)
        print(f"   archived at:     {execution.archived_at:%H:%M:%S} UTC, ", end="")
        print(f"revision {execution.revision}")

        execution = await journey.unarchive(execution)
        execution = await journey.load(execution)
        print(f"♻️  and back again, at revision {execution.revision}")
        await journey.archive(execution)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="archive: an execution that clears itself away.")
    parser.add_argument(
        "--dsn",
        default=os.environ.get("JOURNEY_DATABASE_URL", "embedded:"),
        help="default: $JOURNEY_DATABASE_URL, or a private PostgreSQL",
    )
    asyncio.run(main(parser.parse_args().dsn))
