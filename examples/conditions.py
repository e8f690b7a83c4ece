"""Conditions: when a step may run, said as data.

    python examples/conditions.py

What to learn here: one condition, three readers. It gates a step, it finds executions in the
database, and it can be read; and a step whose condition no longer holds takes its value back.
"""

import argparse
import asyncio
import os
import secrets
import textwrap

from journey_async import (
    Graph,
    Journey,
    NodeValue,
    compute,
    input_node,
    is_true,
    not_,
    provided,
    unblocked_when,
    value,
)

ALARMS = {
    "frost": value("celsius") < 0,
    "heat": (value("celsius") >= 30) & not_(is_true("on_holiday")),
    "beach": value("city").in_(["Naples", "Palermo"]) & (value("celsius") >= 25),
    "volcano": value("city").contains("Napl") | value("city").contains("Catania"),
    "where_are_you": provided("celsius") & ~provided("city"),
}


def is_round(celsius: NodeValue) -> bool:
    """Any function of a node's value can be a condition, too; but no database can search by it."""
    return celsius.is_set and celsius.value % 10 == 0


def graph(name: str) -> Graph:
    return Graph(
        name,
        "v1",
        [
            input_node("city", type=str),
            input_node("celsius", type=int),
            input_node("on_holiday", type=bool),
            *(compute(alarm, gate, lambda: True) for alarm, gate in ALARMS.items()),
            compute("round_number", unblocked_when("celsius", is_round), lambda: True),
        ],
    )


async def main(dsn: str) -> None:
    weather = graph(f"weather alarms {secrets.token_hex(4)}")
    alarms = [*ALARMS, "round_number"]
    async with Journey(dsn, graphs=[weather]) as journey:
        print("\n1. They gate: alarms come and go\n")
        execution = await journey.start_execution(weather)
        steps: list[tuple[str, object]] = [
            ("celsius", 30),
            ("city", "Naples"),
            ("on_holiday", True),
            ("celsius", -5),
            ("city", "Oslo"),
        ]
        for node, held in steps:
            await journey.set_value(execution, node, held)
            ringing = [a for a in alarms if await rings(journey, execution.id, a)]
            print(f"   {node + ' = ' + str(held):<18} {', '.join(ringing) or '–'}")

        print("\n2. They search: the same conditions, in the database\n")
        for city, celsius in [("Palermo", 33), ("Catania", 21), ("Oslo", -12)]:
            await journey.start_execution(weather, {"city": city, "celsius": celsius})
        for alarm, gate in ALARMS.items():
            found = await journey.list_executions(
                graph_name=weather.name, where=gate, order_by=["celsius"]
            )
            cities = [f"{e.values['city'].value} {e.values['celsius'].value}°" for e in found]
            print(f"   {alarm:<14} {', '.join(cities) or '–'}")

        print("\n3. They can be read: why is there no alarm in Oslo, at 28°?\n")
        execution = await journey.start_execution(weather, {"city": "Oslo", "celsius": 28})
        for alarm in alarms:
            waiting_for = await journey.what_am_i_waiting_for(execution, alarm)
            print(f"   {alarm}\n{textwrap.indent(waiting_for, '      ')}")


async def rings(journey: Journey, execution_id: str, alarm: str) -> bool:
    held: bool = await journey.get_value(execution_id, alarm, settled=True, default=False)
    return held


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Conditions: when a step may run, said as data.")
    parser.add_argument(
        "--dsn",
        default=os.environ.get("JOURNEY_DATABASE_URL", "embedded:"),
        help="default: $JOURNEY_DATABASE_URL, or a private PostgreSQL",
    )
    asyncio.run(main(parser.parse_args().dsn))
