"""A credit card application: branches, a reminder, a hidden number, an end that clears itself away.

    python examples/credit_card_application.py

What to learn here: how OR, AND and NOT steer a process that lasts for weeks and waits for people,
and that a step whose reason is gone disappears by itself: the reminder, once the card was asked
for. Nobody calls a step, and nothing has to be remembered but the execution's id.
"""

import argparse
import asyncio
import os
from datetime import timedelta
from typing import Any

from journey_async import (
    Execution,
    ExecutionNotFound,
    Graph,
    Journey,
    any_of,
    archive,
    compute,
    input_node,
    is_true,
    mutate,
    provided,
    tick_once,
    value,
)

MARIO = {
    "full_name": "Mario",
    "birth_date": "10/11/1981",
    "ssn": "123-45-6789",
    "email_address": "mario@example.com",
}
WALUIGI = {**MARIO, "full_name": "Waluigi", "email_address": "waluigi@example.com"}

Values = dict[str, Any]


def graph(delay: float = 1.0, reminder_after: float = 6, archive_after: float = 5) -> Graph:
    """The process; in seconds: what each step takes, when to remind, when to archive.

    What a step is gated by, it waits for and follows. The letters take the address out of `values`
    instead: a new address is no reason to send them again.
    """

    async def credit_score(full_name: str, birth_date: str, ssn: str, email_address: str) -> int:
        hidden = "*" * (len(ssn) - 4) + ssn[-4:]
        say("🏦", f"scoring {full_name}, born {birth_date}, ssn {hidden}, {email_address}")
        await asyncio.sleep(delay)
        return 550 if full_name == "Waluigi" else 800

    async def decide(credit_score: int, full_name: str) -> str:
        await asyncio.sleep(delay)
        decision = "approved" if credit_score > 700 else "rejected"
        say("🏦", f"{full_name} scores {credit_score}: {decision}")
        return decision

    async def congratulate(values: Values) -> str:
        await asyncio.sleep(delay)
        say("📨", f"to {values['email_address']}: Congratulations! Would you like your card?")
        return "email_sent_congrats"

    async def inform_of_rejection(values: Values) -> str:
        await asyncio.sleep(delay)
        say("📨", f"to {values['email_address']}: We regret to inform you …")
        return "email_sent_rejection"

    async def done() -> bool:
        await asyncio.sleep(delay)
        return True

    async def remind(values: Values) -> bool:
        await asyncio.sleep(delay)
        say("📨", f"to {values['email_address']}: Your card is still waiting for you!")
        return True

    async def issue(values: Values) -> bool:
        await asyncio.sleep(delay)
        say("🏭", f"embossing a card for {values['full_name']}")
        return True

    async def tell_it_was_mailed(values: Values) -> bool:
        await asyncio.sleep(delay)
        say("📨", f"to {values['email_address']}: Your card is on its way.")
        return True

    return Graph(
        "Credit Card Application flow graph",
        "v1.0.0",
        [
            input_node("full_name", type=str),
            input_node("birth_date", type=str),
            input_node("ssn", type=str),
            input_node("email_address", type=str),
            compute(
                "credit_score", ["full_name", "birth_date", "ssn", "email_address"], credit_score
            ),
            # Once the score is known, nobody needs the number any more.
            mutate("ssn_redacted", ["credit_score"], lambda: "<redacted>", mutates="ssn"),
            # Two branches, of which one is taken; and the point where they meet again.
            compute("preapproval_decision", ["credit_score", "full_name"], decide),
            compute("congratulate", value("preapproval_decision") == "approved", congratulate),
            compute(
                "inform_of_rejection",
                value("preapproval_decision") == "rejected",
                inform_of_rejection,
            ),
            compute(
                "preapproval_process_completed",
                any_of("congratulate", "inform_of_rejection"),
                done,
            ),
            # A reminder, unless it has become superfluous.
            tick_once(
                "schedule_request_credit_card_reminder",
                ["congratulate"],
                lambda: timedelta(seconds=reminder_after),
            ),
            input_node("credit_card_requested", type=bool),
            compute(
                "send_preapproval_reminder",
                provided("schedule_request_credit_card_reminder")
                & ~is_true("credit_card_requested"),
                remind,
            ),
            compute("initiate_credit_card_issuance", is_true("credit_card_requested"), issue),
            input_node("credit_card_mailed", type=bool),
            compute(
                "credit_card_mailed_notification",
                [is_true("credit_card_mailed"), "initiate_credit_card_issuance"],
                tell_it_was_mailed,
            ),
            # The end: all is done, or nobody has touched it for a day (each input begins it anew).
            tick_once("quiet_for_a_day", ["last_updated_at"], lambda: timedelta(days=1)),
            tick_once(
                "schedule_archival",
                any_of("quiet_for_a_day", "credit_card_mailed_notification", "inform_of_rejection"),
                lambda: timedelta(seconds=archive_after),
            ),
            archive("archive", ["schedule_archival"]),
        ],
    )


# --- the story ----------------------------------------------------------------------------------


async def apply(journey: Journey, process: Graph, applicant: dict[str, str]) -> Execution:
    """Somebody fills in the form, and hears what the bank thinks of it."""
    execution = await journey.start_execution(process)
    execution = await journey.set_values(execution, applicant)
    await journey.get_value(execution, "preapproval_process_completed", wait_any=True)
    return execution


async def tell_marios_story(journey: Journey, process: Graph) -> None:
    print("\n1. Mario applies\n")
    execution = await apply(journey, process, MARIO)

    print("\n2. … and forgets about it\n")
    await journey.get_value(execution, "send_preapproval_reminder", wait_any=True)

    print("\n3. Oh, right: Mario asks for his card\n")
    execution = await journey.set_value(execution, "credit_card_requested", True)
    if not execution.values["send_preapproval_reminder"].is_set:
        say("👻", "the reminder has disappeared: there is nothing to be reminded of")
    await journey.get_value(execution, "initiate_credit_card_issuance", wait_any=True)
    print("\n   What the execution knows by now:\n")
    show(await journey.values(execution))

    print("\n4. The card is mailed\n")
    await journey.set_value(execution, "credit_card_mailed", True)
    await journey.get_value(execution, "credit_card_mailed_notification", wait_any=True)
    await be_archived(journey, execution)


async def tell_waluigis_story(journey: Journey, process: Graph) -> None:
    print("\n5. Waluigi applies, too\n")
    execution = await apply(journey, process, WALUIGI)
    await be_archived(journey, execution)


async def be_archived(journey: Journey, execution: Execution) -> None:
    await journey.get_value(execution, "archive", wait_any=True)
    try:
        await journey.load(execution)
    except ExecutionNotFound:
        say("🗄️", " the execution has archived itself")


def say(who: str, what: str) -> None:
    print(f"   {who} {what}")


def show(values: dict[str, Any]) -> None:
    for name, held in values.items():
        print(f"     {name:<38} {held!r}")


async def main(dsn: str) -> None:
    process = graph(delay=0.2, reminder_after=1, archive_after=0.5)  # weeks, in a few seconds
    async with Journey(dsn, graphs=[process]) as journey:
        await tell_marios_story(journey, process)
        await tell_waluigis_story(journey, process)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A credit card application.")
    parser.add_argument(
        "--dsn",
        default=os.environ.get("JOURNEY_DATABASE_URL", "embedded:"),
        help="default: $JOURNEY_DATABASE_URL, or a private PostgreSQL",
    )
    asyncio.run(main(parser.parse_args().dsn))
