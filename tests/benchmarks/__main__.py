"""Everybody's figures, side by side in one run: a table for people, a line of JSON for programs.

python -m tests.benchmarks [--rounds 5] [--only journey,bare] [--scale 1] [--no-alone] [--docs]

Contestants take turns, round by round, each in a process of its own and on a database of its own,
on one throw-away server with fsync on. What is not installed, or fails, is left out, and that is
said. --docs writes the table and the plots into docs/.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

import asyncpg

from journey_async.embedded import find_bindir
from tests.benchmarks import apart, pgbench
from tests.benchmarks.contestants import CONTESTANTS
from tests.benchmarks.report import Report
from tests.chaos import recovery
from tests.chaos.server import ChaosServer, chaos_server

ALONE = ("cold", "ticks", "parked")
KILLS = 5
PATIENCE = 180.0  # seconds for one turn
PEERS = ("dbos", "langgraph", "absurd-sdk", "pgqueuer", "procrastinate")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="names, separated by commas", default=",".join(CONTESTANTS))
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of runs")
    parser.add_argument("--no-alone", action="store_true", help="only what peers do as well")
    parser.add_argument("--docs", action="store_true", help="write the figures into docs/")
    options = parser.parse_args()
    began = time.monotonic()
    with chaos_server() as server:
        report = asyncio.run(_run(server, options))
    report.minutes = (time.monotonic() - began) / 60
    print(report.table())
    print(json.dumps(report.data()))
    if options.docs:
        report.write(Path(__file__).parents[2] / "docs")


async def _run(server: ChaosServer, options: argparse.Namespace) -> Report:
    report = Report(about=await _about(server))
    names = options.only.split(",")
    dsns = {
        name: await server.database(f"bench_{name.replace('-', '_')}")
        for name in {*names, "alone", "pgbench"}
    }
    for number in range(options.rounds):
        for name in random.sample(names, len(names)):
            if name not in report.failed:
                _say(f"round {number + 1} of {options.rounds}: {name}")
                module = ("tests.benchmarks.contest", name, dsns[name], str(options.scale))
                await _turn(report, name, name, *module)
                if name in apart.MEMBERS:
                    what = f"{name}, apart"
                    await _turn(report, name, what, "tests.benchmarks.apart", name, dsns[name])
        _say("pgbench")
        report.add("PostgreSQL", await pgbench.transactions(find_bindir(), dsns["pgbench"]))
    if not options.no_alone:
        for measure in ALONE:
            _say(measure)
            await _turn(
                report, "journey", measure, "tests.benchmarks.alone", measure, dsns["alone"]
            )
        _say("recovery")
        try:
            report.add("journey", await _recovery(server))
        except Exception as error:
            report.failed["recovery"] = f"{error!r:.200}"
    return report


async def _turn(report: Report, name: str, what: str, *arguments: str) -> None:
    """One process's figures into the report, or why there are none of `what`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        output, errors = b"", b"took too long"
    try:
        report.add(name, json.loads(output.splitlines()[-1]))
    except (IndexError, ValueError):
        said = errors.decode(errors="replace").strip().splitlines() or ["no reason given"]
        report.failed[what] = said[-1]
        _say(f"{what} is left out: {said[-1]}")


async def _recovery(server: ChaosServer) -> dict[str, list[float]]:
    """Seconds from kill -9 of a process until what it ran is begun in another one."""
    with tempfile.TemporaryDirectory() as folder:
        async with recovery.site(server, Path(folder) / "log") as site:
            found = await recovery.killed(site, KILLS, random.Random())
    return {"recovery": found.seconds}


async def _about(server: ChaosServer) -> dict[str, str]:
    """What was measured, on what."""
    about = {"python": sys.version.split()[0]}
    connection = await asyncpg.connect(server.dsn)
    for setting in ("server_version", "fsync", "synchronous_commit", "full_page_writes"):
        about[setting] = await connection.fetchval(f"SHOW {setting}")
    await connection.close()
    for package in ("asyncpg", *PEERS):
        try:
            about[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            about[package] = "not installed"
    return about


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
