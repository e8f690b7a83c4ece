"""historian: a record of how a value changed.

    python examples/historian.py

What to learn here: each change is recorded in the commit that makes it, with its time and its
metadata (who did it, say), so that no change is missed, however fast they come.
"""

import argparse
import asyncio
import os
from datetime import UTC, datetime

from journey_async import Graph, Journey, historian, input_node

graph = Graph(
    "Price Tracker",
    "v1",
    [
        input_node("current_price", type=int),
        historian("price_history", ["current_price"]),
    ],
)


async def main(dsn: str) -> None:
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        await journey.set_value(execution, "current_price", 100)
        await journey.set_value(execution, "current_price", 105)
        await journey.set_value(execution, "current_price", 105)  # no change, no entry
        await journey.set_value(execution, "current_price", 98, metadata={"author": "mario"})

        print("\nThe price, newest first\n")
        for entry in await journey.get_value(execution, "price_history"):
            time = datetime.fromtimestamp(entry["timestamp"], UTC)
            author = (entry["metadata"] or {}).get("author", "–")
            bar = "▇" * (entry["value"] - 90)
            print(
                f"  {time:%H:%M:%S}  r{entry['revision']}  {author:<6} {entry['value']:>4}  {bar}"
            )
        execution = await journey.load(execution)
        print(f"\nThe execution is at revision {execution.revision}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="historian: a record of how a value changed.")
    parser.add_argument(
        "--dsn",
        default=os.environ.get("JOURNEY_DATABASE_URL", "embedded:"),
        help="default: $JOURNEY_DATABASE_URL, or a private PostgreSQL",
    )
    asyncio.run(main(parser.parse_args().dsn))
