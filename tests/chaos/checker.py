"""Reads the tables afterwards, with plain SQL: what is lost, stuck, wrong, or older than it was."""

import asyncio
import json
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import asyncpg

from tests.chaos.load import BEAT, LOST, ROUNDS
from tests.support.tallies import drifted

UNFINISHED = """
    SELECT count(*) FROM journey.executions AS e
    WHERE e.graph_name = 'numbers' AND (e.wake_at IS NOT NULL OR EXISTS (
        SELECT FROM journey.computations AS k
        WHERE k.execution_id = e.id AND k.state IN ('available', 'computing')))
"""
LEFT = """
    SELECT k.execution_id, k.node, k.number, k.state, k.worker, k.deaths, k.deadline,
           EXISTS (SELECT FROM journey.workers AS w WHERE w.id = k.worker) AS worker_lives,
           e.wake_at, (e.wake_at < clock_timestamp()) AS is_due
    FROM journey.executions AS e
    LEFT JOIN journey.computations AS k
        ON k.execution_id = e.id AND k.state IN ('available', 'computing')
    WHERE e.graph_name = 'numbers' AND (e.wake_at IS NOT NULL OR k.state IS NOT NULL)
    LIMIT 20
"""
SEEN = """
    SELECT v.execution_id, v.node, v.revision,
           coalesce(v.value ->> 'x', v.value #>> '{}')::bigint AS x
    FROM journey."values" AS v JOIN journey.executions AS e ON e.id = v.execution_id
    WHERE e.graph_name = 'numbers' AND v.set_time IS NOT NULL
      AND v.node IN ('x', 'first', 'threaded', 'last', 'flaky', 'rounds', 'gated', 'after')
"""
VALUES = """
    SELECT v.execution_id, v.node, v.value::text AS value
    FROM journey."values" AS v JOIN journey.executions AS e ON e.id = v.execution_id
    WHERE e.graph_name = 'numbers' AND v.set_time IS NOT NULL
"""
BEATS = """
    SELECT (v.value #>> '{}')::double precision AS at
    FROM journey."values" AS v JOIN journey.executions AS e ON e.id = v.execution_id
    WHERE e.graph_name = 'metronome' AND v.node = 'beats' AND v.set_time IS NOT NULL
"""
WAITS = """
    SELECT w.*, min(f.at) - w.began AS computed_after
    FROM chaos.waits AS w
    LEFT JOIN chaos.effects AS f
        ON f.execution_id = w.execution_id AND f.node = 'last' AND f.x = w.x
    GROUP BY w.id ORDER BY w.seconds
"""
STEPS = ("first", "threaded", "last", "remember", "flaky", "rounds", "gated", "after")


class Wait(NamedTuple):
    """How long somebody waited, and how long it was until the function ran that gave the value.

    The rest of the time passed between its result and the one who waited.
    """

    began: float  # unix seconds
    seconds: float
    computed_after: float | None


@dataclass
class Findings:
    """What was found; `wrong` has a line for everything that may not be."""

    wrong: list[str] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)
    waits: list[Wait] = field(default_factory=list)
    seconds_to_rest: float = 0.0


class Observer:
    """Reads along, and sees whether anything that was there gives way to something older."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._seen: dict[tuple[str, str], int] = {}
        self.wrong: list[str] = []

    async def observe(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                connection = await asyncpg.connect(self._dsn, timeout=10)
                try:
                    while True:
                        self._look(await connection.fetch(SEEN))
                        await asyncio.sleep(0.25)
                finally:
                    connection.terminate()
            except LOST:
                await asyncio.sleep(0.1)

    def _look(self, rows: list[Any]) -> None:
        for row in rows:
            key = (row["execution_id"], row["node"])
            if row["x"] < self._seen.get(key, 0):
                self.wrong.append(f"{key}: {row['x']} came over {self._seen[key]}")
            self._seen[key] = row["x"]


async def at_rest(connection: asyncpg.Connection, limit: float) -> tuple[bool, float]:
    """Whether nothing is left to do, and how many seconds that took."""
    began = time.monotonic()
    while await connection.fetchval(UNFINISHED):
        if time.monotonic() - began > limit:
            return False, limit
        await asyncio.sleep(0.1)
    return True, time.monotonic() - began


async def check(dsn: str, *, limit: float) -> Findings:
    """Wait until nothing is left to do, for `limit` seconds at most; then look at everything."""
    found = Findings()
    connection = await asyncpg.connect(dsn)
    try:
        rests, found.seconds_to_rest = await at_rest(connection, limit)
        if not rests:
            left = [str(dict(row)) for row in await connection.fetch(LEFT)]
            found.wrong.append(f"stuck after {limit:g} s:\n    " + "\n    ".join(left))
        await _check_executions(connection, found)
        await _check_effects(connection, found)
        await _check_waits(connection, found)
        await _check_metronome(connection, found)
        found.wrong += [f"the tally: {line}" for line in await drifted(connection)]
    finally:
        await connection.close()
    return found


async def _check_executions(connection: asyncpg.Connection, found: Findings) -> None:
    values: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in await connection.fetch(VALUES):
        values[row["execution_id"]][row["node"]] = json.loads(row["value"])
    sets: dict[str, dict[int, bool]] = defaultdict(dict)
    for row in await connection.fetch("SELECT * FROM chaos.sets"):
        sets[row["execution_id"]][row["x"]] = row["acknowledged"]
    for execution_id, numbers in sets.items():
        found.figures["writes acknowledged"] += sum(numbers.values())
        if execution_id not in values and any(numbers.values()):
            found.wrong.append(f"{execution_id}: lost")
    found.figures["executions"] = len(values)
    for execution_id, nodes in values.items():
        known = sets.get(execution_id) or {1: False}  # its writer died before it could tell
        for problem in _problems(nodes, known):
            found.wrong.append(f"{execution_id}: {problem}")
    failed = "SELECT count(*) FROM journey.computations WHERE state = 'abandoned'"
    if abandoned := await connection.fetchval(failed):
        found.wrong.append(f"{abandoned} attempts came to their deadline")
    died = "SELECT coalesce(sum(deaths), 0) FROM journey.computations"
    found.figures["attempts whose process died"] = await connection.fetchval(died)
    ended = "SELECT count(*) FROM journey.computations WHERE state = 'success'"
    found.figures["computations"] = await connection.fetchval(ended)


def _problems(nodes: dict[str, Any], sets: dict[int, bool]) -> list[str]:
    x = nodes["x"]
    problems = []
    least = max((number for number, known in sets.items() if known), default=1)
    if not least <= x <= max(sets):
        problems.append(f"x is {x}; acknowledged {least}, intended {max(sets)}")
    expected = {
        "first": {"x": x, "n": x + 1},
        "threaded": {"x": x, "n": 3 * (x + 1)},
        "last": {"x": x, "from": x, "n": 2 * (x + 1)},
        "flaky": {"x": x},
        "rounds": {"x": x, "round": ROUNDS},
        "after": {"x": x},
    }
    if nodes.get("gate"):
        expected["gated"] = {"x": x}
    elif "gated" in nodes:
        problems.append("gated has a value, and its gate does not hold")
    for node, wanted in expected.items():
        value = nodes.get(node)
        if value is None or {name: value.get(name) for name in wanted} != wanted:
            problems.append(f"{node} is {value}, not {wanted}")
    if nodes.get("seen") != x:
        problems.append(f"seen is {nodes.get('seen')}, not {x}")
    past = [entry["value"] for entry in nodes.get("past", [])]
    if past != sorted(set(past), reverse=True):
        problems.append(f"the history is not in order: {past}")
    if lost := {number for number, known in sets.items() if known} - set(past):
        problems.append(f"the history lacks {sorted(lost)}")
    if foreign := set(past) - set(sets):
        problems.append(f"the history has {sorted(foreign)}, which nobody set")
    return problems


async def _check_effects(connection: asyncpg.Connection, found: Findings) -> None:
    """Every result in the tables was preceded by the effect of the attempt that gave it."""
    unseen = """
        SELECT v.execution_id, v.node FROM journey."values" AS v
        JOIN journey.executions AS e ON e.id = v.execution_id
        WHERE e.graph_name = 'numbers' AND v.set_time IS NOT NULL AND v.value ->> 'key' IS NOT NULL
          AND NOT EXISTS (SELECT FROM chaos.effects AS f WHERE f.key = v.value ->> 'key')
    """
    for row in await connection.fetch(unseen):
        found.wrong.append(f"{row['execution_id']}: {row['node']} has a value without its effect")
    missing = """
        SELECT e.id, s.node FROM journey.executions AS e
        CROSS JOIN unnest($1::text[]) AS s (node)
        JOIN journey."values" AS x ON x.execution_id = e.id AND x.node = 'x'
        LEFT JOIN journey."values" AS g ON g.execution_id = e.id AND g.node = 'gate'
        WHERE e.graph_name = 'numbers' AND (s.node <> 'gated' OR g.value = 'true'::jsonb)
          AND NOT EXISTS (
            SELECT FROM chaos.effects AS f
            WHERE f.execution_id = e.id AND f.node = s.node AND f.x = (x.value #>> '{}')::bigint)
    """
    for row in await connection.fetch(missing, list(STEPS)):
        found.wrong.append(f"{row['id']}: {row['node']} never ran for the last input")
    counted = "SELECT count(*) AS runs, count(DISTINCT key) AS keys FROM chaos.effects"
    [row] = await connection.fetch(counted)
    found.figures["effects"] = row["keys"]
    found.figures["effects more than once"] = row["runs"] - row["keys"]


async def _check_waits(connection: asyncpg.Connection, found: Findings) -> None:
    for row in await connection.fetch(WAITS):
        found.waits.append(Wait(*(row[name] for name in Wait._fields)))
        if row["trouble"]:
            found.wrong.append(f"a wait: {row['trouble']} ({row['seconds']:.1f} s)")
    found.figures["waits"] = len(found.waits)


async def _check_metronome(connection: asyncpg.Connection, found: Findings) -> None:
    """It still beats, by the server's clock."""
    at, now = None, 0.0
    for _ in range(100):
        at = await connection.fetchval(BEATS)
        now = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())")
        if at is not None and float(now) - at < 4 * BEAT:
            return
        await asyncio.sleep(0.1)
    found.wrong.append(f"the metronome has stopped: it beat last at {at}, and it is {now}")
