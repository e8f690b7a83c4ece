"""The useless machine: you switch it on, and a paw comes out and switches it off.

    python examples/useless_machine.py

What to learn here: a mutation changes the value of another node but not its revision, so that the
paw is not woken by its own doing.
"""

import argparse
import asyncio
import os

from journey_async import Graph, Journey, input_node, mutate


def paw(switch: str) -> str:
    print(f"   paw says: '{switch}? lol no'")
    return "off"


graph = Graph(
    "useless machine example graph",
    "v1.0.0",
    [
        input_node("switch", type=str),
        mutate("paw", ["switch"], paw, mutates="switch"),
    ],
)


async def main(dsn: str) -> None:
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        print("\n   ┌─────────────────┐\n   │  off ▐█▌──── on │\n   └─────────────────┘\n")
        for attempt in ["on", "on", "ON!!"]:
            print(f"   you switch it {attempt}")
            execution = await journey.set_value(execution, "switch", attempt)
            set_at = execution.values["switch"].revision
            # What you have just set is what the paw has answered once everything is settled.
            await journey.get_value(execution, "paw", settled=True)
            switch = await journey.get_node(execution, "switch")
            print(
                f"   the switch is {switch.value!r}, at revision {switch.revision} as {attempt!r}"
            )
            assert switch.revision == set_at
            print(f"   the paw holds {await journey.get_value(execution, 'paw')!r}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The useless machine.")
    parser.add_argument(
        "--dsn",
        default=os.environ.get("JOURNEY_DATABASE_URL", "embedded:"),
        help="default: $JOURNEY_DATABASE_URL, or a private PostgreSQL",
    )
    asyncio.run(main(parser.parse_args().dsn))
