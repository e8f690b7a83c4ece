"""Chaos for as long as it is wanted, then the times of recovery.

python -m tests.chaos --minutes 10 --seed 7 [--no-recovery] [--keep FOLDER]
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.server import chaos_server
from tests.chaos.story import Story, tell


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--no-recovery", action="store_true")
    parser.add_argument("--keep", type=Path, help="where to put the processes' log")
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.minutes:g} minutes", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="journey-chaos-log-"))
    try:
        with chaos_server() as server:
            story = asyncio.run(
                tell(server, folder, seed=options.seed, seconds=options.minutes * 60)
            )
        report(story)
        wrong = bool(story.findings.wrong)
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / "processes.log", options.keep / f"{options.seed}.log")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return int(wrong)


def report(story: Story) -> None:
    found = story.findings
    for name, number in sorted(story.faults.items()):
        print(f"{number:8}  {name}")
    print()
    for name, number in [*found.figures.items(), *story.log.items()]:
        print(f"{number:8}  {name}")
    if found.waits:
        waits = found.waits
        print(
            f"waits: p50 {waits[len(waits) // 2]:.2f} s, p99 {waits[len(waits) * 99 // 100]:.2f} s,"
            f" longest {waits[-1]:.2f} s"
        )
    print(f"at rest {found.seconds_to_rest:.1f} s after the storm")
    for line in found.wrong[:50]:
        print(f"WRONG: {line}")
    print("wrong:", len(found.wrong))


if __name__ == "__main__":
    sys.exit(main())
