"""compute: a value that follows from others.

    python examples/compute.py

What to learn here: a function runs when all that it needs is there, in whichever process and
however much later; what it saw is recorded with it; and it runs again when that changes.
"""

import argparse
import asyncio
import os
import textwrap

from journey_async import NOT_SET, Graph, Journey, compute, input_node


def greet(name: str, email_address: str) -> str:
    return f"Welcome, {name} at {email_address}"


graph = Graph(
    "Onboarding",
    "v1",
    [
        input_node("name", type=str),
        input_node("email_address", type=str),
        compute("greeting", ["name", "email_address"], greet),
    ],
)


async def main(dsn: str) -> None:
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        print(f"\nA new execution, {execution.id}")
        await show(journey, execution.id)

        await journey.set_value(execution, "name", "Mario")
        print("\nThe name is set; the greeting waits for the address")
        await show(journey, execution.id)
        waiting_for = await journey.what_am_i_waiting_for(execution, "greeting")
        print(textwrap.indent(waiting_for, "       "))

    # Between two requests there may be a restart, a deployment, a month.
    async with Journey(dsn, graphs=[graph]) as journey:
        print("\nAnother process, which knows nothing but the id")
        await journey.set_value(execution.id, "email_address", "mario@example.com")
        await journey.get_value(execution.id, "greeting", wait_any=True)
        await show(journey, execution.id)

        print("\nWhat the greeting was computed with")
        for computation in await journey.computations(execution.id, "greeting"):
            seen = ", ".join(f"{n} r{r}" for n, r in sorted(computation.computed_with.items()))
            print(f"  {computation.state}, from {seen}")

        await journey.set_value(execution.id, "name", "Luigi")
        await journey.get_value(execution.id, "greeting", settled=True)
        print("\nAnother name, and what followed from it")
        await show(journey, execution.id)


async def show(journey: Journey, execution_id: str) -> None:
    execution = await journey.load(execution_id)
    print(f"  revision {execution.revision}")
    for name, held in (await journey.values_all(execution)).items():
        if name in ("name", "email_address", "greeting"):
            print(f"  {'🚫' if held is NOT_SET else '✅'} {name:<14} {held!r}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="compute: a value that follows from others.")
    parser.add_argument(
        "--dsn",
        default=os.environ.get("JOURNEY_DATABASE_URL", "embedded:"),
        help="default: $JOURNEY_DATABASE_URL, or a private PostgreSQL",
    )
    asyncio.run(main(parser.parse_args().dsn))
