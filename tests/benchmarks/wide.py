"""What a step costs in graphs of other sizes, with many who wait, and beside many graphs.

    python -m tests.benchmarks.wide [--rounds 3]

The server is a throw-away one with fsync on. For each case the CPU of this process, in ms for each
step (or set, or graph); and the longest turn of the event loop, in ms of CPU, be it one long step
or a hundred computations that end together: medians of the rounds. Of two sizes of a case, the
greater should cost hardly more each.
"""

import argparse
import asyncio
import gc
import json
import os
import statistics
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

from journey_async import Graph, Journey, compute, cron, input_node, tick_once
from tests.chaos.server import chaos_server

Figures: TypeAlias = dict[str, float]
NEW_YEAR = cron("0 0 1 1 *")  # lies ahead for as long as this runs


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make wide", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with chaos_server() as server:
        rounds = [asyncio.run(_round(server.dsn)) for _ in range(options.rounds)]
    found = {
        case: {
            figure: round(statistics.median(turn[case][figure] for turn in rounds), 2)
            for figure in rounds[0][case]
        }
        for case in rounds[0]
    }
    print("| | CPU each, ms | longest turn, ms |\n|---|---|---|")
    for case, figures in found.items():
        print(f"| {case} | {figures['each']} | {figures['turn']} |")
    print(json.dumps({"cpus": os.cpu_count(), "rounds": options.rounds, "cases": found}))


async def _round(dsn: str) -> dict[str, Figures]:
    cases: dict[str, Callable[[str], Coroutine[Any, Any, Figures]]] = {}
    for size in (1_000, 4_000):
        cases[f"a step of a chain of {size:,}"] = partial(_steps, graph=_chain(size))
        cases[f"a step of a fan-out of {size:,}"] = partial(_steps, graph=_fan_out(size))
    cases["a step of a chain of 1,000 that 1,000 wait to be settled"] = _settled
    cases["a step of a chain of 500 that 100 watch"] = _watched
    for size in (100, 1_000):
        cases[f"a set beside {size:,} ticks that lie ahead"] = partial(_ticks, number=size)
        cases[f"one of {size:,} graphs to open a Journey with"] = partial(_open, number=size)
    cases["one of 50 former definitions of 200 nodes"] = _former
    return {case: await measure(dsn) for case, measure in cases.items()}


# --- graphs -----------------------------------------------------------------------------------


async def _one() -> int:
    return 1


def _chain(length: int) -> Graph:
    names = ["n0", *(f"n{n}" for n in range(1, length)), "end"]
    steps = [compute(name, [above], _one) for above, name in pairwise(names)]
    return Graph(f"chain {length}", "v1", [input_node("n0"), *steps])


def _fan_out(width: int) -> Graph:
    names = [f"n{n}" for n in range(1, width)]
    steps = [compute(name, ["n0"], _one) for name in names]
    return Graph(f"fan-out {width}", "v1", [input_node("n0"), *steps, compute("end", names, _one)])


# --- cases ------------------------------------------------------------------------------------


async def _steps(dsn: str, graph: Graph) -> Figures:
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        async with _measured(len(graph.steps)) as found:
            await journey.set_value(execution, "n0", 1)
            await journey.get_value(execution, "end", wait_any=True, timeout=None)
    return found


async def _settled(dsn: str) -> Figures:
    graph = _chain(1_000)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        async with _measured(len(graph.steps)) as found:
            await journey.set_value(execution, "n0", 1)
            waits = (
                journey.get_value(execution, "end", settled=True, timeout=None)
                for _ in range(1_000)
            )
            await asyncio.gather(*waits)
    return found


async def _watched(dsn: str) -> Figures:
    graph = _chain(500)

    async def watches(execution_id: str) -> None:
        async with aclosing(journey.watch(execution_id, since_revision=0)) as events:
            async for event in events:
                if (event.node, event.kind) == ("end", "set"):
                    return

    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        async with _measured(len(graph.steps)) as found:
            watchers = [asyncio.create_task(watches(execution.id)) for _ in range(100)]
            await journey.set_value(execution, "n0", 1)
            await asyncio.gather(*watchers)
    return found


async def _ticks(dsn: str, number: int) -> Figures:
    ticks = [tick_once(f"t{n}", ["x"], NEW_YEAR) for n in range(number)]
    graph = Graph(f"ticks {number}", "v1", [input_node("x"), input_node("y"), *ticks])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        async with _measured(100) as found:
            for y in range(100):
                await journey.set_value(execution, "y", y)
    return found


async def _open(dsn: str, number: int) -> Figures:
    def graph(n: int) -> Graph:
        return Graph(f"{number}: {n}", "v1", [input_node("x"), compute("y", ["x"], _one)])

    graphs = [graph(n) for n in range(number)]
    async with _measured(number) as found, Journey(dsn, graphs=graphs):
        pass
    return found


async def _former(dsn: str) -> Figures:
    def definition(number: int) -> Graph:
        steps = [compute(f"n{number}_{n}", ["x"], _one) for n in range(200)]
        return Graph("often changed", "v1", [input_node("x"), *steps])

    async with Journey(dsn, run_computations=False) as journey:
        for number in range(50):
            await journey.register(definition(number))
    newest = definition(50)
    async with _measured(50) as found, Journey(dsn, graphs=[newest]):
        pass
    return found


# --- measuring --------------------------------------------------------------------------------


@asynccontextmanager
async def _measured(number: int) -> AsyncIterator[Figures]:
    """The figures, there at the end: CPU for each of so many, and the longest turn of the loop."""
    found: Figures = {}
    gc.collect()
    gc.freeze()  # as `journey worker` does: what was there before is not looked through
    beat = asyncio.create_task(_longest(found))
    await asyncio.sleep(0)
    began = time.process_time()
    yield found
    found["each"] = (time.process_time() - began) / number * 1e3
    beat.cancel()
    gc.unfreeze()


async def _longest(found: Figures) -> None:
    """Note how much CPU was used at most until this task had its turn again."""
    found["turn"] = 0.0
    while True:
        began = time.process_time()
        await asyncio.sleep(0.001)
        found["turn"] = max(found["turn"], (time.process_time() - began) * 1e3)


if __name__ == "__main__":
    main()
