"""What reaches a terminal: whatever somebody has sent is text there, and never a command."""

import asyncio
import os
import subprocess
import sys
from typing import Any

import pytest

from journey_async import Graph, Journey, Retry, compute, input_node
from journey_async.cli.parsing import parse_value, parse_values
from journey_async.errors import ComputationFailed, InvalidOptionError

EVIL = "\x1b]0;owned\x07 \x9b31m \x7f \u202edrowssap\r"
CONTROLS = set("\x1b\x07\x9b\x7f\u202e\r")


def fails(x: str) -> None:
    raise ValueError(x)


async def test_nothing_that_was_sent_moves_the_cursor(dsn: str, journey: Any) -> None:
    name = "e\x1b[2Jvil \x9b1m"
    nodes = [
        input_node("x"),
        input_node(name),
        compute("y", ["x"], fails, retry=Retry(max_attempts=1)),
    ]
    graph = Graph(name, "v1", nodes)
    async with Journey(dsn, graphs=[graph]) as worker:
        execution = await worker.start_execution(graph, {"x": EVIL, name: EVIL})
        with pytest.raises(ComputationFailed):
            await worker.get_value(execution, "y", wait_any=True)
        commands: list[tuple[list[str], int]] = [
            (["get", execution.id, "x"], 0),
            (["get", execution.id, "y", "--wait"], 1),
            (["get", execution.id, name], 0),
            *(([c, execution.id], 0) for c in ("values", "show", "history", "computations")),
            *(([c, execution.id, "y"], 0) for c in ("why", "waiting")),
            *(([c], 0) for c in ("list", "graphs", "status")),
            (["list", "--where", "typo = 1"], 2),
            (["graphs", "--mermaid", name], 0),
            (["funnel", name, "v1"], 0),
        ]
        for arguments, code in commands:
            for more in ([], ["--json"]):
                answer = await journey(*arguments, *more, code=code)
                assert not CONTROLS & set(answer.out + answer.err), (arguments, answer)


async def test_what_is_escaped_is_json_still(dsn: str, journey: Any) -> None:
    graph = Graph("g", "v1", [input_node("x")])
    async with Journey(dsn, graphs=[graph]) as worker:
        execution = await worker.start_execution(graph, {"x": EVIL})
    assert (await journey("get", execution.id, "x", "--json")).data["value"] == EVIL


async def test_a_terminal_that_cannot_show_a_character_shows_its_number(dsn: str) -> None:
    graph = Graph("g", "v1", [input_node("x")])
    async with Journey(dsn, graphs=[graph]) as worker:
        execution = await worker.start_execution(graph, {"x": "é"})
    shown = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "journey_async.cli", "get", execution.id, "x", "--dsn", dsn),
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await shown.communicate()
    assert (shown.returncode, out, err) == (0, b'"\\u00e9"\n', b"")


@pytest.mark.parametrize(
    "text, says",
    [
        ("[" * 100_000, "nested deeper"),
        ("1" * 5_000, "5,000 digits"),
        ("-" + "1" * 5_000, "digits"),
    ],
)
def test_what_is_json_but_cannot_be_stored_is_refused(text: str, says: str) -> None:
    with pytest.raises(InvalidOptionError, match=says):
        parse_value(text)


@pytest.mark.parametrize("text", ["007", "-01", "٣٤", "1e", "0x10"])
def test_what_only_looks_like_a_number_is_a_text(text: str) -> None:
    assert parse_value(text) == text


def test_a_node_gets_one_value() -> None:
    assert parse_values(["x=1", "y=a=b"]) == {"x": 1, "y": "a=b"}
    with pytest.raises(InvalidOptionError, match="'x' is named twice"):
        parse_values(["x=1", "y=2", "x=2"])
