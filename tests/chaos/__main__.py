"""Chaos for as long as it is wanted, then the times of recovery.

python -m tests.chaos --minutes 10 --seed 7 [--recovery TIMES] [--keep FOLDER]
python -m tests.chaos --short --seed 7     the storm of tests/chaos/test_storm.py
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.chaos.recovery import measure
from tests.chaos.server import chaos_server
from tests.chaos.story import SHORT, Story, tell

BLOCKED_FOR = 60.0  # seconds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--short", action="store_true", help="a few seconds, and no recovery")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--recovery", type=int, default=40, metavar="TIMES", help="0: leave it out")
    parser.add_argument("--keep", type=Path, help="where to put the processes' log")
    options = parser.parse_args()
    length = "short" if options.short else f"{options.minutes:g} minutes"
    how = SHORT if options.short else {"seconds": options.minutes * 60}
    print(f"seed {options.seed}, {length}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="journey-chaos-log-"))
    try:
        wrong = storm(folder, options.seed, how) if how["seconds"] else []
        if options.recovery and not options.short:
            wrong += recovery(folder, options.seed, options.recovery)
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / "processes.log", options.keep / f"{options.seed}.log")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for line in wrong[:50]:
        print(f"WRONG: {line}")
    print("wrong:", len(wrong))
    return int(bool(wrong))


def storm(folder: Path, seed: int, how: dict[str, Any]) -> list[str]:
    """Chaos; what is wrong afterwards."""
    with chaos_server() as server:
        story = asyncio.run(tell(server, folder, seed=seed, **how))
    report(story)
    return story.findings.wrong


def recovery(folder: Path, seed: int, times: int) -> list[str]:
    """The times of recovery, as a table; what is wrong."""
    with chaos_server() as server:
        chance, log = random.Random(seed), folder / "processes.log"
        measures, wrong = asyncio.run(
            measure(server, log, chance, times=times, blocked_for=BLOCKED_FOR)
        )
    print("\n| what happens | runs | p50, s | p99, s | limit, s |\n|---|---|---|---|---|")
    for one in measures:
        print(one.row())
    print(f"\na function blocked its process for {BLOCKED_FOR:g} s; what went wrong is said below")
    return wrong


def report(story: Story) -> None:
    found = story.findings
    for name, number in sorted(story.faults.items()):
        print(f"{number:8}  {name}")
    print()
    for name, number in [*found.figures.items(), *story.log.items()]:
        print(f"{number:8}  {name}")
    if found.waits:
        seconds = [wait.seconds for wait in found.waits]
        p50, p99 = seconds[len(seconds) // 2], seconds[len(seconds) * 99 // 100]
        print(f"waits: p50 {p50:.2f} s, p99 {p99:.2f} s, and the longest:")
    for wait in found.waits[:-4:-1]:
        after = "?" if wait.computed_after is None else f"{wait.computed_after:.2f}"
        began = time.strftime("%X", time.localtime(wait.began))  # as the log has it
        print(f"    {wait.seconds:.2f} s from {began}, computed after {after} s")
    print(f"at rest {found.seconds_to_rest:.1f} s after the storm")


if __name__ == "__main__":
    sys.exit(main())
