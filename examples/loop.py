"""loop: a value that takes several goes.

    python examples/loop.py

What to learn here: each iteration is durable by itself, so a process that dies in the twentieth
carries on there, not at the first. `Continue` hands something to the next iteration, `Done` ends
the loop; what becomes of a loop that has used up its iterations is for `fallback` to say.
"""

import argparse
import asyncio
import os

from journey_async import (
    ComputationFailed,
    Context,
    Continue,
    Done,
    Graph,
    Journey,
    input_node,
    loop,
)


async def ask_the_carrier(parcel: str, question: int) -> str:
    """What a carrier's web site would tell."""
    await asyncio.sleep(0.02)
    stations = ["collected", "sorted in Leipzig", "sorted in Leipzig", "out for delivery"]
    return "delivered" if question > len(stations) else stations[question - 1]


async def track(
    parcel: str, context: Context, delivery: list[str] | None = None
) -> Done | Continue:
    """Ask every now and then; the parameter named like the node is what was carried over."""
    log = delivery or []
    if log:
        await asyncio.sleep(0.1)  # in life: minutes
    status = await ask_the_carrier(parcel, context.iteration or 1)
    if status != "delivered":
        return Continue([*log, status])
    return Done([*log, status])


def root(number: float, context: Context, square_root: float | None = None) -> Done | Continue:
    """Heron's method. The best so far is good enough, should it take too long."""
    guess = number if square_root is None else (square_root + number / square_root) / 2
    if abs(guess * guess - number) < 1e-9:
        return Done(guess)
    return Continue(guess, fallback=True)


def count_sheep(count_sheep: int = 0) -> Done | Continue:
    return Continue(count_sheep + 1)  # one more, and one more …


parcels = Graph(
    "Parcel",
    "v1",
    [input_node("parcel", type=str), loop("delivery", ["parcel"], track, max_iterations=100)],
)
roots = Graph(
    "Square Root",
    "v1",
    [input_node("number", type=float), loop("square_root", ["number"], root, max_iterations=6)],
)
sheep = Graph("Sheep", "v1", [loop("count_sheep", [], count_sheep, max_iterations=5)])


async def main(dsn: str) -> None:
    async with Journey(dsn, graphs=[parcels, roots, sheep]) as journey:
        print("\n1. Until it is there\n")
        execution = await journey.start_execution(parcels, {"parcel": "JVGL 0815"})
        for status in await journey.get_value(execution, "delivery", wait_any=True):
            print(f"   📦 {status}")
        iterations = await journey.computations(execution, "delivery")
        print(f"   in {len(iterations)} iterations, each one a computation of its own")

        print("\n2. As near as six iterations get: fallback=True\n")
        for number in 2.0, 1234.5:
            execution = await journey.start_execution(roots, {"number": number})
            found = await journey.get_value(execution, "square_root", wait_any=True)
            used = len(await journey.computations(execution, "square_root"))
            print(f"   √{number:<7} ≈ {found:<20} after {used} iterations", end="")
            print(f", and {found:.6f}² is {found * found:.6f}")

        print("\n3. Never: no fallback\n")
        execution = await journey.start_execution(sheep)
        try:
            await journey.get_value(execution, "count_sheep", wait_any=True)
        except ComputationFailed as error:
            print(f"   🐑 {error}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="loop: a value that takes several goes.")
    parser.add_argument(
        "--dsn",
        default=os.environ.get("JOURNEY_DATABASE_URL", "embedded:"),
        help="default: $JOURNEY_DATABASE_URL, or a private PostgreSQL",
    )
    asyncio.run(main(parser.parse_args().dsn))
