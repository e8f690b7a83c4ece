"""Runs the example as its reader does; and kills it, as the example says one may."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from pathlib import Path

import pytest

from journey_async import Execution, Journey
from journey_async.core.values import ComputationState

SCRIPT = Path(__file__).parents[2] / "examples" / "basic.py"
AN_ID = re.compile(r"EXEC[0-9A-Z]{26}")

# Lines that tell of a step taken, and headlines, which come just before one is.
STEPS = [
    "Its id is",
    "3. ",
    "x = 12.",
    "I am process",
    "y = 2.",
    "Both are there",
    "6. ",
    "x = 133.",
    "No worries",
    "x = 1.",
    "The sum: 3.",
    "9. ",
]


async def start(dsn: str, *arguments: str) -> Process:
    environment = {**os.environ, "JOURNEY_DATABASE_URL": dsn, "PYTHONUTF8": "1"}
    return await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), *arguments, stdout=PIPE, stderr=STDOUT, env=environment
    )


async def output_of(process: Process) -> str:
    output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0, text
    return text


async def killed_at(process: Process, steps: list[str]) -> str:
    """Kill the program as soon as it has told one of these steps; what it told until then."""
    assert process.stdout is not None
    lines: list[str] = []
    async for line in process.stdout:
        lines.append(line.decode())
        if lines[-1].strip().startswith(tuple(steps)):
            process.kill()
            break
    await process.communicate()
    told = "".join(lines)
    assert process.returncode == -9, told
    return told


async def execution_in(dsn: str, execution_id: str) -> tuple[Execution, list[tuple[str, str]]]:
    async with Journey(dsn, run_computations=False) as journey:
        computations = await journey.computations(execution_id)
        return await journey.load(execution_id), [(c.node, c.state) for c in computations]


def assert_is_at_its_end(execution: Execution, computations: list[tuple[str, str]]) -> None:
    held = {name: node.value for name, node in execution.values.items() if node.is_set}
    assert held.pop("last_updated_at")
    assert held == {"execution_id": execution.id, "x": 1, "y": 2, "sum": 3}
    done = [node for node, state in computations if state == ComputationState.SUCCESS]
    assert sorted(done) == ["large_value_alert", "sum", "sum", "sum"]


async def test_the_story_is_told_in_order(dsn: str) -> None:
    process = await start(dsn)
    story = await output_of(process)

    found = AN_ID.search(story)
    assert found
    execution_id = found[0]
    told = [
        "🧩 'g1', version v1",
        "x -->  sum",
        "y -->  sum",
        f"Its id is {execution_id}",
        "x                  NOT_SET",
        "large_value_alert  NOT_SET",
        "x = 12.",
        "revision 1",
        "I am process",
        "x                  12",
        "y                  NOT_SET",
        "y = 2.",
        "computes itself: 14.",
        "The alert: not set.",
        "x = 133.",
        "the new sum: 135.",
        "The alert: 🚨!",
        "x = 1.",
        "The sum: 3.",
        "The alert: not set. Nobody had to",
        "'sum': 3",
        "System Status: HEALTHY",
        "Name: 'g1'",
        "✓ success: 4",
        "◯ not_set: 1",
        "'database_connected': True",
        "Graph: 'g1'",
        "NODE STATS (3 nodes)",
        "Reached by: 1 executions (100.0%)",
        "'reached_percentage': 100.0",
        "The end.",
    ]
    at = 0
    for fact in told:
        at = story.find(fact, at)
        assert at >= 0, f"{fact!r} is missing, or in the wrong place, in:\n{story}"

    other = re.search(r"I am process (\d+)", story)
    assert other
    assert int(other[1]) not in (process.pid, os.getpid())

    execution, computations = await execution_in(dsn, execution_id)
    assert_is_at_its_end(execution, computations)
    assert execution.revision == 13


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(STEPS[0::2], id="even"),
        pytest.param(STEPS[1::2], id="odd", marks=pytest.mark.exhaustive),
    ],
)
async def test_killed_at_any_step_it_carries_on_to_the_same_end(dsn: str, steps: list[str]) -> None:
    told = await killed_at(await start(dsn), steps)
    found = AN_ID.search(told)
    assert found
    execution_id = found[0]

    # One life after the other: each dies a step later. (Where a life got past its step before it
    # died, for the headline of a step comes just before it is taken, the next one is meant.)
    for place in range(1, len(steps)):
        await killed_at(await start(dsn, execution_id), steps[place:])
    story = await output_of(await start(dsn, execution_id))

    assert "The sum: 3." in story
    assert story.rstrip().splitlines()[-1].startswith("The end.")
    assert_is_at_its_end(*await execution_in(dsn, execution_id))


async def test_a_story_that_has_ended_can_be_asked_for_again(dsn: str) -> None:
    first = await output_of(await start(dsn))
    found = AN_ID.search(first)
    assert found
    before = await execution_in(dsn, found[0])

    again = await output_of(await start(dsn, found[0]))

    assert "x = " not in again
    assert "The sum: 3." in again
    assert await execution_in(dsn, found[0]) == before


async def test_an_id_that_does_not_exist_is_said_in_one_sentence(dsn: str) -> None:
    process = await start(dsn, "EXEC0")
    output, _ = await process.communicate()

    assert process.returncode == 1
    assert output.decode().splitlines()[-1].startswith("there is no execution 'EXEC0'")
