"""Two numbers, their sum, and an alert when the sum is large: everything in one small story.

    python examples/basic.py                 begin a new execution
    python examples/basic.py EXECUTION_ID    carry on with one, wherever it stands

Kill it at any moment, with kill -9 if you like, and start it again with the id that it printed:
it carries on to the same end. What is done is in the database, and nothing else needs to be.
"""

import argparse
import asyncio
import os
import sys
from functools import partial
from pathlib import Path
from pprint import pformat
from typing import Any

from journey_async import Graph, Journey, JourneyError, compute, input_node, value

DATA = Path(__file__).resolve().parent / ".data"  # of a private PostgreSQL, if no other is named

say = partial(print, flush=True)


# --- the graph: what there is, and what follows from what ---------------------------------------


def add(x: int, y: int) -> int:
    return x + y


graph = Graph(
    "g1",
    "v1",
    [
        input_node("x", type=int),
        input_node("y", type=int),
        compute("sum", ["x", "y"], add),  # waits for both, and runs again when one changes
        compute("large_value_alert", value("sum") > 40, lambda: "🚨"),
    ],
)


# --- the story ----------------------------------------------------------------------------------


async def tell(journey: Journey, execution_id: str | None) -> None:
    if execution_id is None:
        say("\n1. The graph\n")
        say(graph.to_mermaid())
        say("\n   (Paste it into https://mermaid.live to see it drawn.)")

        say("\n2. An execution of it\n")
        execution = await journey.start_execution(graph)
        execution_id = execution.id
        say(f"   Its id is {execution_id}. Nothing is known yet:")
        show(await journey.values_all(execution))
        say("\n   Kill this program whenever you like. To carry on:")
    else:
        say("\n   We were interrupted. Now, where were we? To be interrupted again:")
    say(f"   {sys.orig_argv[0]} {sys.argv[0]} {execution_id}")

    while await take_next_step(journey, execution_id):
        pass
    await look_around(journey)


async def take_next_step(journey: Journey, execution_id: str) -> bool:
    """Do what comes next; which that is, the values of the execution tell. False at the end."""
    execution = await journey.load(execution_id)
    match execution.values["x"].value, execution.values["y"].value:
        case None, None:
            say("\n3. The user supplies x\n")
            execution = await journey.set_value(execution, "x", 12)
            say("   x = 12. That is in the database now.")
            say(f"   The execution is at revision {execution.revision}.")

        case 12, None:
            say("\n4. The user comes back a month later, to another process\n")
            await run_another_process("--show", execution_id)

            say("\n5. The user supplies y\n")
            await journey.set_value(execution, "y", 2)
            say("   y = 2.")

        case 12, 2:
            total = await journey.get_value(execution, "sum", wait_any=True)
            say(f"   Both are there, so the sum computes itself: {total}.")
            say(f"   That is small. The alert: {await alert(journey, execution_id)}.")

            say("\n6. A larger x\n")
            await journey.set_value(execution, "x", 133)
            say("   x = 133.")

        case 133, 2:
            total = await journey.get_value(execution, "sum", settled=True)
            say(f"   No worries, here is the new sum: {total}.")
            say(f"   The alert: {await alert(journey, execution_id)}!")

            say("\n7. A smaller x\n")
            await journey.set_value(execution, "x", 1)
            say("   x = 1.")

        case _:
            total = await journey.get_value(execution, "sum", settled=True)
            say(f"   The sum: {total}.")
            say(f"   The alert: {await alert(journey, execution_id)}. Nobody had to take it back.")
            return False
    return True


async def alert(journey: Journey, execution_id: str) -> str:
    """The alert once it reflects everything that was set so far."""
    text: str = await journey.get_value(
        execution_id, "large_value_alert", settled=True, default="not set"
    )
    return text


async def look_around(journey: Journey) -> None:
    say("\n8. The newest executions with a sum above 2 and an x below 10\n")
    found = await journey.list_executions(
        graph_name=graph.name,
        graph_version=graph.version,
        where=(value("sum") > 2) & (value("x") < 10),
        order_by=[("created_at", "desc")],
        limit=10,
    )
    for execution in found:
        say(f"   {await journey.values(execution)}")

    say("\n9. How the system is doing: as a text, and as data\n")
    status = await journey.status()
    say(status.to_text())
    say(pformat(status.model_dump(mode="json"), width=100, sort_dicts=False))

    say("\n10. How far executions get: as a text, and as data\n")
    analytics = await journey.flow_analytics(graph.name, graph.version)
    say(analytics.to_text())
    say(pformat(analytics.model_dump(mode="json"), width=100, sort_dicts=False))

    say("\nThe end. Everything is still there; run it again, and there is one execution more.")


# --- another process ----------------------------------------------------------------------------


async def run_another_process(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, __file__, *arguments)
    await process.wait()


async def show_execution(journey: Journey, execution_id: str) -> None:
    execution = await journey.load(execution_id)
    say(f"   I am process {os.getpid()} and have never seen this execution before.")
    say(f"   It is at revision {execution.revision}, and knows:")
    show(await journey.values_all(execution))


def show(values: dict[str, Any]) -> None:
    for name, held in values.items():
        say(f"     {name:<18} {held!r}")


# --- the program --------------------------------------------------------------------------------


async def main() -> None:
    parser = argparse.ArgumentParser(description="Two numbers, their sum, and an alert.")
    parser.add_argument("execution_id", nargs="?", help="carry on with this execution")
    parser.add_argument("--dsn", help="default: $JOURNEY_DATABASE_URL, or a private PostgreSQL")
    parser.add_argument("--show", action="store_true", help="only show the execution")
    given = parser.parse_args()

    # The other process inherits the environment; a DSN on its command line would be seen by all.
    dsn = given.dsn or os.environ.get("JOURNEY_DATABASE_URL") or f"embedded:{DATA}"
    os.environ["JOURNEY_DATABASE_URL"] = dsn

    if given.show:
        async with Journey(run_computations=False) as journey:
            await show_execution(journey, given.execution_id)
        return

    say("Two numbers, their sum, and an alert when the sum is large.")
    if dsn.startswith("embedded:"):
        say(f"Everything is kept in a PostgreSQL of its own, in {dsn.removeprefix('embedded:')}.")
    async with Journey(dsn, graphs=[graph]) as journey:
        await tell(journey, given.execution_id)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except JourneyError as error:
        sys.exit(f"{error}")
