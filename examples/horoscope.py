"""Horoscopes: values that follow from values, and a search among twenty executions.

    python examples/horoscope.py

What to learn here: a node waits until all that it needs is there, in whatever order it comes; and
executions can be found by what they hold, with the same conditions that gate nodes.
"""

import argparse
import asyncio
import os
import secrets
from typing import Any

from journey_async import NOT_SET, Graph, Journey, compute, input_node, mutate, provided, value


async def zodiac_sign(birth_month: int, birth_day: int) -> str:
    await asyncio.sleep(0.2)  # the stars take their time
    return "Taurus"  # everybody is


def read_the_stars(first_name: str, astrological_sign: str) -> str:
    return f"🍪s await, {astrological_sign} {first_name}!"


def submit(first_name: str) -> str:
    return f"{first_name}'s horoscope was submitted for archival."


def graph(name: str, *, obfuscating: bool) -> Graph:
    """The horoscope; `obfuscating`: the first name is turned round once it is no longer needed."""
    nodes = [
        input_node("first_name", type=str),
        input_node("birth_day", type=int),
        input_node("birth_month", type=int),
        compute("astrological_sign", ["birth_month", "birth_day"], zodiac_sign),
        compute("horoscope", ["first_name", "astrological_sign"], read_the_stars),
        compute("library_of_congress_record", ["horoscope", "first_name"], submit),
    ]
    if not obfuscating:
        return Graph(name, "v1.0.0", nodes)
    obfuscate = mutate(
        "obfuscate_first_name",
        ["first_name", "library_of_congress_record"],
        lambda first_name: first_name[::-1],
        mutates="first_name",
    )
    return Graph(name, "v1.0.0", [*nodes, obfuscate])


# --- the story ----------------------------------------------------------------------------------


async def tell_a_fortune(journey: Journey, horoscopes: Graph) -> None:
    print("\n1. A horoscope\n")
    execution = await journey.start_execution(horoscopes)

    await journey.set_value(execution, "birth_month", 4)
    print(f"   April. The sign: {await now(journey, execution.id, 'astrological_sign')}")
    await journey.set_value(execution, "birth_day", 26)
    sign = await journey.get_value(execution, "astrological_sign", wait_any=True)
    print(f"   April 26. The sign: {sign}")

    print(f"   The horoscope: {await now(journey, execution.id, 'horoscope')}")
    await journey.set_value(execution, "first_name", "Mario")
    print(
        f"   Mario. The horoscope: {await journey.get_value(execution, 'horoscope', wait_any=True)}"
    )

    await journey.get_value(execution, "obfuscate_first_name", wait_any=True)
    print("\n   In the end:\n")
    for name, held in (await journey.values(execution)).items():
        print(f"     {name:<27} {held!r}")


async def search(journey: Journey, horoscopes: Graph) -> None:
    print("\n2. Twenty Marios, born on the first twenty days of April\n")
    for day in range(1, 21):
        await journey.start_execution(
            horoscopes, {"first_name": "Mario", "birth_day": day, "birth_month": 4}
        )

    conditions = {
        'value("birth_day") == 10': value("birth_day") == 10,
        'value("birth_day") != 10': value("birth_day") != 10,
        'value("birth_day") <= 5': value("birth_day") <= 5,
        'value("birth_day") > 10': value("birth_day") > 10,
        'value("birth_day").in_([5, 10, 15])': value("birth_day").in_([5, 10, 15]),
        'provided("birth_day")': provided("birth_day"),
        'value("first_name").contains("ari")': value("first_name").contains("ari"),
    }
    print("   As conditions, which may gate nodes as well:")
    for text, condition in conditions.items():
        found = await journey.count_executions(graph_name=horoscopes.name, where=condition)
        print(f"     {text:<39} {found:>2}  {'♉' * found}")

    filters: list[tuple[Any, ...]] = [
        ("birth_day", "eq", 10),
        ("birth_day", "neq", 10),
        ("birth_day", "lte", 5),
        ("birth_day", "gt", 10),
        ("birth_day", "in", [5, 10, 15]),
        ("birth_day", "is_set"),
        ("first_name", "contains", "ari"),
        ("first_name", "icontains", "MARIO"),
    ]
    print("\n   As filters, which are plain data:")
    for item in filters:
        found = await journey.count_executions(graph_name=horoscopes.name, filter_by=[item])
        print(f"     {item!s:<39} {found:>2}  {'♉' * found}")

    last = await journey.list_executions(
        graph_name=horoscopes.name, order_by=[("birth_day", "desc")], limit=3
    )
    print(f"\n   The last three days: {[found.values['birth_day'].value for found in last]}")


async def now(journey: Journey, execution_id: str, node: str) -> str:
    held = await journey.get_value(execution_id, node, default=NOT_SET)
    return "not set yet" if held is NOT_SET else held


async def main(dsn: str) -> None:
    suffix = secrets.token_hex(4)  # so that a second run doesn't count the Marios of the first
    horoscopes = graph(f"horoscope {suffix}", obfuscating=True)
    corpus = graph(f"horoscope corpus {suffix}", obfuscating=False)
    async with Journey(dsn, graphs=[horoscopes, corpus]) as journey:
        await tell_a_fortune(journey, horoscopes)
        await search(journey, corpus)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Horoscopes.")
    parser.add_argument(
        "--dsn",
        default=os.environ.get("JOURNEY_DATABASE_URL", "embedded:"),
        help="default: $JOURNEY_DATABASE_URL, or a private PostgreSQL",
    )
    asyncio.run(main(parser.parse_args().dsn))
