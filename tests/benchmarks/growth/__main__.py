"""What operations cost when much is in the database: a table for people, JSON for programs.

python -m tests.benchmarks.growth [--sizes 1000,100000,1000000] [--rounds 5]

Databases of each size are filled by COPY on a throw-away server with fsync on (a million
executions: 4 GB and about two minutes), and measured in turns, all of them in shared_buffers, which
has a quarter of the memory.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
from collections.abc import Mapping

from tests.benchmarks.growth import history, measures
from tests.chaos.server import ChaosServer, chaos_server


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make growth", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sizes", default="1000,100000,1000000")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    quarter = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    with chaos_server(shared_buffers=f"{quarter // 2**20}MB") as server:
        found, shapes = asyncio.run(_run(server, sizes, options.rounds))
    print(_table("executions in the database", {f"{size:,}": found[size] for size in sizes}))
    print()
    print(_table("one execution with", shapes))
    print(json.dumps({"cpus": os.cpu_count(), "sizes": found, "shapes": shapes}))


async def _run(
    server: ChaosServer, sizes: list[int], rounds: int
) -> tuple[dict[int, dict[str, float]], dict[str, dict[str, float]]]:
    dsns = {size: await server.database(f"growth_{size}") for size in sizes}
    for size, dsn in dsns.items():
        _say(f"fills a database with {size:,} executions")
        await history.build(dsn, size)
        await history.warm_up(dsn)
    turns: dict[int, list[measures.Samples]] = {size: [] for size in sizes}
    for number in range(rounds):
        for size in random.sample(sizes, len(sizes)):
            _say(f"round {number + 1} of {rounds}: {size:,}")
            turns[size].append(await measures.of_size(dsns[size], size, figures=True))
    _say("large executions")
    shapes = [await measures.of_shapes(dsns[sizes[0]]) for _ in range(rounds)]
    return (
        {size: _medians(turns[size]) for size in sizes},
        {shape: _medians([turn[shape] for turn in shapes]) for shape in shapes[0]},
    )


def _medians(turns: list[measures.Samples]) -> dict[str, float]:
    """The median of the turns' medians."""
    return {
        name: round(statistics.median(statistics.median(turn[name]) for turn in turns), 3)
        for name in turns[0]
    }


def _table(title: str, columns: Mapping[str, Mapping[str, float]]) -> str:
    names = list(next(iter(columns.values())))
    lines = [
        f"| {title} | {' | '.join(columns)} |",
        f"|---|{'---|' * len(columns)}",
    ]
    for name in names:
        unit = "" if name == "WAL bytes" else ", ms"
        cells = " | ".join(_number(column[name]) for column in columns.values())
        lines.append(f"| {name}{unit} | {cells} |")
    return "\n".join(lines)


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
