"""Wherever a page shows a call of the command `journey`, that command has such options."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from journey_async.cli.main import build
from tests.docs.pages import PAGES, README, ROOT, blocks_of, name_of

SHELLS = {"sh", "ini", "yaml", "dockerfile"}  # blocks that are not run
CALL = re.compile(r"(?:^|[\s/(\[])journey (?!_)([^\n|;&)]*)")


def calls(page: Path) -> Iterator[list[str]]:
    for block in blocks_of(page):
        if block.language in SHELLS:
            text = re.sub(r"\[.*\]", lambda of: " ".join(as_list(of[0])), block.text)
            for line in text.replace("\\\n", " ").splitlines():
                for call in CALL.findall(re.sub(r"(^|\s)#.*", "", line)):
                    yield shlex.split(call)


def as_list(text: str) -> list[str]:
    """A command as containers have it; what is no list of texts is none."""
    try:
        return [shlex.quote(str(word)) for word in json.loads(text)]
    except ValueError:
        return []


@pytest.mark.parametrize("page", [README, *PAGES], ids=name_of)
def test_the_commands_of_a_page_exist(page: Path) -> None:
    group = build()
    for name in re.findall(r"`journey ([a-z]+)", page.read_text(encoding="utf-8")):
        assert name in group.commands
    for arguments in calls(page):
        assert arguments[0] in group.commands
        group.commands[arguments[0]].make_context(arguments[0], arguments[1:])


def test_calls_are_found() -> None:
    assert ["migrate", "--check"] in list(calls(ROOT / "docs" / "deploying.md"))
    assert ["worker", "--app", "shop:journey"] in list(calls(ROOT / "docs" / "deploying.md"))
