"""The pages of docs/reference/ show everything that is public."""

import inspect
import re
from pathlib import Path

import journey_async
import journey_async.contrib.aiohttp
import journey_async.contrib.fastapi
import journey_async.contrib.logging
import journey_async.contrib.opentelemetry
import journey_async.contrib.prometheus
import journey_async.dashboard
import journey_async.testing
from journey_async import Journey, errors

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
SHOWN = {
    name
    for page in FOLDER.glob("*.md")
    for name in re.findall(r"^\.\. auto\w+:: ([\w.]+)", page.read_text(encoding="utf-8"), re.M)
}


def test_every_public_name_is_in_the_reference() -> None:
    of_errors = set(vars(errors)) if "journey_async.errors" in SHOWN else set()
    missing = {
        f"{package.__name__}.{name}"
        for package in (
            journey_async,
            journey_async.contrib.aiohttp,
            journey_async.contrib.fastapi,
            journey_async.contrib.logging,
            journey_async.contrib.opentelemetry,
            journey_async.contrib.prometheus,
            journey_async.dashboard,
            journey_async.testing,
        )
        for name in package.__all__
        if name not in of_errors
    }
    assert missing - SHOWN == set()


def test_every_verb_is_in_the_reference() -> None:
    verbs = {
        f"journey_async.Journey.{name}"
        for name, member in inspect.getmembers(Journey)
        if name[0] != "_" and (callable(member) or isinstance(member, property))
    }
    assert verbs - SHOWN == set()
    for verb in verbs:
        assert inspect.getdoc(getattr(Journey, verb.rpartition(".")[2])), verb
