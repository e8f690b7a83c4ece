"""Steady load for minutes: do dead rows, the sizes of tables, and latency stay as they are?

    python -m tests.benchmarks.soak [--minutes 10] [--rate 60]

So many executions a second of the basic workload are started, computed and archived; what has been
archived for half a minute is purged. The server is a throw-away one with fsync on and autovacuum as
PostgreSQL has it. Latency is from sending y to knowing the sum. A line a minute; then what the last
third is to the middle one, which is when everything has been used for the first time.
"""

import argparse
import asyncio
import json
import statistics
import time
from dataclasses import dataclass, field

import asyncpg

from journey_async import Journey
from tests.benchmarks.basic import GRAPH
from tests.chaos.server import chaos_server

KEPT = 30.0  # seconds between archiving and purging
PURGED_EACH = 5.0  # seconds
LOOKED_EACH = 5.0  # seconds
TABLES = """
    SELECT relname AS name, n_dead_tup AS dead, pg_total_relation_size(relid) AS bytes
    FROM pg_stat_user_tables
    WHERE schemaname = 'journey' AND relname IN ('executions', 'values', 'computations')
"""


@dataclass
class Minute:
    """What was seen in one minute."""

    milliseconds: list[float] = field(default_factory=list)
    dead: list[int] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Medians, and the latency that one in a hundred exceeds."""
        ordered = sorted(self.milliseconds)
        return {
            "executions": len(ordered),
            "p50, ms": round(statistics.median(ordered), 2),
            "p99, ms": round(ordered[int(len(ordered) * 0.99)], 2),
            "dead rows": statistics.median(self.dead),
            "MB": round(statistics.median(self.bytes) / 1e6, 1),
        }


class Soak:
    """The load, and who looks at it."""

    def __init__(self, dsn: str, minutes: int, rate: float) -> None:
        self._dsn = dsn
        self._rate = rate
        self._began = time.monotonic()
        self._ends = self._began + 60 * minutes
        self.minutes = [Minute() for _ in range(minutes)]

    async def run(self) -> None:
        """Until the time is over."""
        async with Journey(self._dsn, graphs=[GRAPH]) as journey:
            self._began = time.monotonic()
            self._ends = self._began + 60 * len(self.minutes)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._purge(journey))
                tasks.create_task(self._look())
                for number in range(int(self._rate * 60 * len(self.minutes))):
                    await asyncio.sleep(self._began + number / self._rate - time.monotonic())
                    tasks.create_task(self._one(journey, number))

    @property
    def _now(self) -> Minute:
        minute = int((time.monotonic() - self._began) / 60)
        return self.minutes[min(minute, len(self.minutes) - 1)]

    async def _one(self, journey: Journey, number: int) -> None:
        execution = await journey.start_execution(GRAPH)
        await journey.set_value(execution, "x", number)
        sent = time.perf_counter()
        await journey.set_value(execution, "y", 50)
        await journey.get_value(execution, "sum", wait_any=True)
        self._now.milliseconds.append((time.perf_counter() - sent) * 1000)
        await journey.get_value(execution, "large_value_alert", settled=True)
        await journey.archive(execution)

    async def _purge(self, journey: Journey) -> None:
        while time.monotonic() < self._ends:
            await journey.purge(older_than=KEPT)
            await asyncio.sleep(PURGED_EACH)

    async def _look(self) -> None:
        connection = await asyncpg.connect(self._dsn)
        while time.monotonic() < self._ends:
            tables = await connection.fetch(TABLES)
            self._now.dead.append(sum(table["dead"] for table in tables))
            self._now.bytes.append(sum(table["bytes"] for table in tables))
            await asyncio.sleep(LOOKED_EACH)
        await connection.close()


def main() -> None:
    """Run, and print."""
    parser = argparse.ArgumentParser(
        prog="make soak", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--rate", type=float, default=60.0, help="executions a second")
    options = parser.parse_args()
    with chaos_server() as server:
        soak = Soak(server.dsn, options.minutes, options.rate)
        asyncio.run(soak.run())
    found = [minute.figures() for minute in soak.minutes]
    print(f"| minute | {' | '.join(found[0])} |")
    print(f"|---|{'---|' * len(found[0])}")
    for number, figures in enumerate(found, start=1):
        print(f"| {number} | {' | '.join(f'{figure:,g}' for figure in figures.values())} |")
    third = max(len(found) // 3, 1)
    middle, last = found[-2 * third : -third] or found, found[-third:]
    drift = {
        name: round(
            statistics.median(f[name] for f in last)
            / max(statistics.median(f[name] for f in middle), 1e-9),
            2,
        )
        for name in found[0]
    }
    print(f"\nthe last third to the middle one: {drift}")
    print(json.dumps({"minutes": found, "drift": drift}))


if __name__ == "__main__":
    main()
