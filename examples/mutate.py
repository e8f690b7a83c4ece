"""mutate: a step that writes into other nodes.

    python examples/mutate.py

What to learn here: a secret is used once and then overwritten in place. As its revision stays
what it was, the score that was computed from the real number is not computed again from stars.
"""

import argparse
import asyncio
import os
import zlib

from journey_async import Graph, Journey, compute, input_node, mutate


def score(name: str, ssn: str) -> int:
    return 300 + zlib.crc32(f"{name} {ssn}".encode()) % 551


graph = Graph(
    "Credit Check",
    "v1",
    [
        input_node("name", type=str),
        input_node("ssn", type=str),
        compute("credit_score", ["name", "ssn"], score),
        mutate("redact_ssn", ["credit_score"], lambda: "<redacted>", mutates="ssn"),
    ],
)


async def main(dsn: str) -> None:
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        execution = await journey.set_value(execution, "name", "Mario")
        execution = await journey.set_value(execution, "ssn", "123-45-6789")
        before = execution.values["ssn"]
        print(f"\nssn           {before.value!r}, set at revision {before.revision}")

        done = await journey.get_node(execution, "redact_ssn", wait_any=True)
        print(f"redact_ssn    {done.value!r}, at revision {done.revision}")

        after = await journey.get_node(execution, "ssn")
        print(f"ssn           {after.value!r}, still at revision {after.revision}")

        points = await journey.get_value(execution, "credit_score", settled=True)
        runs = await journey.computations(execution, "credit_score")
        print(f"credit_score  {points}, computed {len(runs)}×: from the real number")
        execution = await journey.load(execution)
        print(f"\nThe execution is at revision {execution.revision}, and stays there.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="mutate: a step that writes into other nodes.")
    parser.add_argument(
        "--dsn",
        default=os.environ.get("JOURNEY_DATABASE_URL", "embedded:"),
        help="default: $JOURNEY_DATABASE_URL, or a private PostgreSQL",
    )
    asyncio.run(main(parser.parse_args().dsn))
