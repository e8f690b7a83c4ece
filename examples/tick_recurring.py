"""tick_recurring: something is to happen again and again.

    python examples/tick_recurring.py

What to learn here: three ways to say when. A function decides each time anew; `every()` keeps to
its beat without drifting; `cron()` knows about weekdays and time zones. Switching the tick's
condition off stops it.
"""

import argparse
import asyncio
import os
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from journey_async import (
    NOT_SET,
    Graph,
    Journey,
    compute,
    cron,
    every,
    input_node,
    is_true,
    tick_recurring,
)


def after_a_while() -> timedelta:
    return timedelta(seconds=0.4)


def drink(name: str, remind_to_hydrate: int = 0) -> int:
    """Counts: a parameter with the name of its own node is what it returned last time."""
    return remind_to_hydrate + 1


hydration = Graph(
    "Hydration Reminder",
    "v1",
    [
        input_node("name", type=str),
        input_node("enable_reminders", type=bool),
        tick_recurring("reminder_tick", ["name", is_true("enable_reminders")], after_a_while),
        compute("remind_to_hydrate", ["name", "reminder_tick", is_true("enable_reminders")], drink),
    ],
)

metronome = Graph(
    "Metronome",
    "v1",
    [
        # A node that runs for ever need not keep all its computations.
        tick_recurring("beat", [], every(timedelta(seconds=0.3)), keep_latest_computations=10),
        compute(
            "note",
            ["beat"],
            lambda note="tock": "tick" if note == "tock" else "tock",
            keep_latest_computations=10,
        ),
    ],
)

# There is one such report, however many processes ask for it: a singleton.
report = Graph(
    "Weekday Report",
    "v1",
    [
        tick_recurring("nine_o_clock", [], cron("0 9 * * MON-FRI", tz="Europe/Berlin")),
        compute("report", ["nine_o_clock"], lambda: "All is well."),
    ],
    singleton=True,
)


async def drink_enough(journey: Journey) -> None:
    print("\n1. A function says when\n")
    execution = await journey.start_execution(hydration, {"name": "Mario"})
    print("   nothing happens before reminders are enabled …")
    execution = await journey.set_value(execution, "enable_reminders", True)
    seen = 0
    for _ in range(3):
        glasses = await journey.get_node(execution, "remind_to_hydrate", newer_than=seen)
        seen = glasses.revision
        print(f"   drink, Mario! {'🥛' * glasses.value}")
    execution = await journey.set_value(execution, "enable_reminders", False)
    if not execution.values["remind_to_hydrate"].is_set:
        print("   disabled: the count is gone, in the same moment")


async def keep_time(journey: Journey) -> None:
    print("\n2. every(): a beat that doesn't drift\n")
    execution = await journey.start_execution(metronome)
    first = await journey.get_node(execution, "beat", wait_any=True)
    seen = 0
    for _ in range(5):
        note = await journey.get_node(execution, "note", newer_than=seen)
        seen = note.revision
        assert note.set_time is not None
        at = note.set_time.timestamp() - first.value
        due = int(at / 0.3) * 0.3
        print(f"   {note.value}, due at +{due:.1f} s, {1000 * (at - due):.0f} ms late")
    await journey.archive(execution)


async def see_the_next_report(journey: Journey) -> None:
    print("\n3. cron(): weekdays at nine, in Berlin\n")
    execution = await journey.find_or_start(report)
    due = await journey.get_value(execution, "nine_o_clock", wait_any=True)
    berlin = datetime.fromtimestamp(due, ZoneInfo("Europe/Berlin"))
    print(f"   the next report is due on {berlin:%A, %B %d, %H:%M %Z}")
    print(f"   which is {berlin.astimezone(UTC):%H:%M} UTC; other days it may be another hour")
    held = await journey.get_value(execution, "report", default=NOT_SET)
    print(f"   the last report: {held!r}")


async def main(dsn: str) -> None:
    async with Journey(dsn, graphs=[hydration, metronome, report]) as journey:
        await drink_enough(journey)
        await keep_time(journey)
        await see_the_next_report(journey)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="tick_recurring: again and again.")
    parser.add_argument(
        "--dsn",
        default=os.environ.get("JOURNEY_DATABASE_URL", "embedded:"),
        help="default: $JOURNEY_DATABASE_URL, or a private PostgreSQL",
    )
    asyncio.run(main(parser.parse_args().dsn))
