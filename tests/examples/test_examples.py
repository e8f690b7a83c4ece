"""Runs the examples as their reader does, and compares what they tell with what they promise."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from examples import credit_card_application as credit_card
from journey_async import (
    NOT_SET,
    ExecutionArchivedError,
    ExecutionNotFound,
    Journey,
    NotSetError,
)

EXAMPLES = Path(__file__).parents[2] / "examples"

APPLICATIONS = {"aiohttp_app", "fastapi_app"}  # served, by tests of their own

# What each example tells, in this order; whatever else it tells stands between.
STORIES = {
    "archive": [
        "an order of Mario",
        "archived itself",
        "is archived; pass include_archived=True",
        "takes no writes; unarchive it first",
        "a search finds:  0, and 1 with",
        "revision 6",
        "back again, at revision 7",
    ],
    "compute": [
        "revision 0",
        "🚫 greeting       NOT_SET",
        "revision 1",
        "✅ name           'Mario'",
        "🚫 greeting       NOT_SET",
        "🛑 email_address | provided",
        "revision 4",
        "✅ greeting       'Welcome, Mario at mario@example.com'",
        "success, from email_address r2, name r1",
        "revision 7",
        "✅ greeting       'Welcome, Luigi at mario@example.com'",
    ],
    "conditions": [
        "celsius = 30       heat, where_are_you, round_number",
        "city = Naples      heat, beach, volcano, round_number",
        "on_holiday = True  beach, volcano, round_number",
        "celsius = -5       frost, volcano",
        "city = Oslo        frost",
        "frost          Oslo -12°, Oslo -5°",
        "heat           Palermo 33°",
        "beach          Palermo 33°",
        "volcano        Catania 21°",
        "where_are_you  –",
        "🛑 celsius < 0",
        "✅ celsius >= 25",
        '🛑 city in ["Naples","Palermo"]',
        "🛑 celsius | is_round",
    ],
    "credit_card_application": [
        "scoring Mario, born 10/11/1981, ssn *******6789, mario@example.com",
        "Mario scores 800: approved",
        "Congratulations!",
        "Your card is still waiting for you!",
        "the reminder has disappeared",
        "embossing a card for Mario",
        "'<redacted>'",
        "credit_score                           800",
        "'updated ssn'",
        "'approved'",
        "'email_sent_congrats'",
        "Your card is on its way.",
        "the execution has archived itself",
        "Waluigi scores 550: rejected",
        "We regret to inform you",
        "the execution has archived itself",
    ],
    "historian": [
        "r7  mario    98",
        "r4  –       105",
        "r1  –       100",
        "at revision 9.",
    ],
    "horoscope": [
        "April. The sign: not set yet",
        "April 26. The sign: Taurus",
        "The horoscope: not set yet",
        "Mario. The horoscope: 🍪s await, Taurus Mario!",
        "'oiraM'",
        '"Mario\'s horoscope was submitted for archival."',
        'value("birth_day") == 10                 1 ',
        'value("birth_day") != 10                19 ',
        'value("birth_day") <= 5                  5 ',
        'value("birth_day") > 10                 10 ',
        'value("birth_day").in_([5, 10, 15])      3 ',
        'provided("birth_day")                   20 ',
        'value("first_name").contains("ari")     20 ',
        "('birth_day', 'eq', 10)                  1 ",
        "('birth_day', 'neq', 10)                19 ",
        "('birth_day', 'lte', 5)                  5 ",
        "('birth_day', 'gt', 10)                 10 ",
        "('birth_day', 'in', [5, 10, 15])         3 ",
        "('birth_day', 'is_set')                 20 ",
        "('first_name', 'contains', 'ari')       20 ",
        "('first_name', 'icontains', 'MARIO')    20 ",
        "[20, 19, 18]",
    ],
    "loop": [
        "collected",
        "sorted in Leipzig",
        "sorted in Leipzig",
        "out for delivery",
        "delivered",
        "in 5 iterations",
        "√2.0     ≈ 1.41421",
        "after 5 iterations, and 1.414214² is 2.000000",
        "after 6 iterations, and 48.690007² is 2370.716826",
        "max_iterations_reached",
    ],
    "mutate": [
        "'123-45-6789', set at revision 2",
        "'updated ssn', at revision 6",
        "'<redacted>', still at revision 2",
        "738, computed 1×",
        "at revision 6, and stays there",
    ],
    "retries": [
        "failed after 4 attempts: ConnectionError: no greeting at",
        "failed after 5 attempts: ConnectionError: no greeting at",
        "🎉 Welcome at last, Mario!",
        "❌ failed   r3 ",
        "❌ failed   r5 ",
        "❌ failed   r7 ",
        "❌ failed   r9 ",
        "❌ failed   r11",
        "✅ success  r13",
    ],
    "tick_once": [
        "The nap is scheduled for",
        "Now: wide awake",
        "(Another one begins.)",
        "Mario is napping 😴",
        "at revision 5.",
    ],
    "tick_recurring": [
        "drink, Mario! 🥛",
        "drink, Mario! 🥛🥛",
        "drink, Mario! 🥛🥛🥛",
        "disabled: the count is gone",
        "tick, due at +0.0 s",
        "due at +",
        "due at +",
        "due at +",
        "due at +",
        "09:00 CE",
        "the last report: NOT_SET",
    ],
    "useless_machine": [
        "paw says: 'on? lol no'",
        "the switch is 'off', at revision 1 as 'on'",
        "the paw holds 'updated switch'",
        "paw says: 'on? lol no'",
        "the switch is 'off', at revision 4 as 'on'",
        "paw says: 'ON!!? lol no'",
        "the switch is 'off', at revision 7 as 'ON!!'",
    ],
}


def test_every_example_has_its_story_here() -> None:
    scripts = {script.stem for script in EXAMPLES.glob("*.py")}
    assert scripts == {"basic", *STORIES, *APPLICATIONS}  # basic has a test of its own


LONG = ("credit_card_application", "tick_recurring")  # some seconds each


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.exhaustive] if n in LONG else []) for n in STORIES],
)
async def test_an_example_tells_its_story(name: str, dsn: str) -> None:
    environment = {**os.environ, "PYTHONUTF8": "1"}
    environment.pop("JOURNEY_DATABASE_URL", None)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), "--dsn", dsn),
        env=environment,
        stdout=PIPE,
        stderr=STDOUT,
    )
    output, _ = await process.communicate()
    story = output.decode()
    assert process.returncode == 0, story
    assert "Traceback" not in story

    at = 0
    for fact in STORIES[name]:
        found = story.find(fact, at)
        assert found >= 0, f"{fact!r} is missing, or in the wrong place, in:\n{story}"
        at = found + len(fact)


# --- the credit card application, with time shrunk and a closer look ------------------------------

MOMENT = 0.2  # seconds


async def test_an_application_from_form_to_card(dsn: str) -> None:
    process = credit_card.graph(delay=0, reminder_after=MOMENT, archive_after=MOMENT)
    async with Journey(dsn, graphs=[process]) as journey:
        execution = await credit_card.apply(journey, process, credit_card.MARIO)
        assert await journey.get_value(execution, "preapproval_process_completed") is True
        assert await journey.get_value(execution, "send_preapproval_reminder", wait_any=True)

        execution = await journey.set_value(execution, "credit_card_requested", True)
        assert not execution.values["send_preapproval_reminder"].is_set
        assert await journey.get_value(execution, "initiate_credit_card_issuance", wait_any=True)

        values = await journey.values(execution)
        assert isinstance(values.pop("last_updated_at"), int)
        assert values.pop("schedule_request_credit_card_reminder") > 0
        assert values.pop("quiet_for_a_day") > 0
        assert values == {
            **credit_card.MARIO,
            "execution_id": execution.id,
            "ssn": "<redacted>",
            "ssn_redacted": "updated ssn",
            "credit_score": 800,
            "preapproval_decision": "approved",
            "congratulate": "email_sent_congrats",
            "preapproval_process_completed": True,
            "credit_card_requested": True,
            "initiate_credit_card_issuance": True,
        }

        await journey.set_value(execution, "credit_card_mailed", True)
        assert await journey.get_value(execution, "credit_card_mailed_notification", wait_any=True)
        assert isinstance(await journey.get_value(execution, "archive", wait_any=True), int)
        with pytest.raises(ExecutionNotFound):
            await journey.load(execution)

        everything = await journey.values_all(execution)
        assert everything["send_preapproval_reminder"] is NOT_SET
        assert everything["inform_of_rejection"] is NOT_SET
        assert everything["ssn"] == "<redacted>"
        scores = await journey.computations(execution, "credit_score")
        assert len(scores) == 1  # the number that took the place of the ssn was never scored
        with pytest.raises(ExecutionArchivedError):
            await journey.set_value(execution, "credit_card_mailed", False)


async def test_who_asks_in_time_is_not_reminded(dsn: str) -> None:
    process = credit_card.graph(delay=0, reminder_after=MOMENT, archive_after=MOMENT)
    async with Journey(dsn, graphs=[process]) as journey:
        execution = await journey.start_execution(process, credit_card.MARIO)
        await journey.set_value(execution, "credit_card_requested", True)
        reminder_due = "schedule_request_credit_card_reminder"
        await journey.get_value(execution, reminder_due, wait_any=True)
        await journey.set_value(execution, "credit_card_mailed", True)
        # It archives itself later than a reminder would have come.
        archived_at = await journey.get_node(execution, "archive", wait_any=True)

        assert archived_at.set_time is not None
        assert archived_at.set_time.timestamp() > await journey.get_value(execution, reminder_due)
        assert await journey.computations(execution, "send_preapproval_reminder") == []


async def test_a_rejection_ends_the_process(dsn: str) -> None:
    process = credit_card.graph(delay=0, reminder_after=MOMENT, archive_after=MOMENT)
    async with Journey(dsn, graphs=[process]) as journey:
        execution = await credit_card.apply(journey, process, credit_card.WALUIGI)
        assert await journey.get_value(execution, "inform_of_rejection") == "email_sent_rejection"
        await journey.get_value(execution, "archive", wait_any=True)

        values = await journey.values(execution)
        assert values["preapproval_decision"] == "rejected"
        assert values["ssn"] == "<redacted>"
        with pytest.raises(NotSetError):
            await journey.get_value(execution, "congratulate")
        with pytest.raises(NotSetError):
            await journey.get_value(execution, "schedule_request_credit_card_reminder")
