"""python -m tests.conformance FOLDER [NAME …]

Replays the scenarios of FOLDER (its `scenarios/` and `recorded/`), or those whose names begin with
a NAME, and compares them with their recordings. A line a scenario, a last line with the sums; the
exit code is 1 if any failed.
"""

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from journey_async.errors import EmbeddedPostgresError
from journey_async.testing.databases import Databases, NoServer, databases_for_tests
from tests.conformance import suite


def main() -> int:
    logging.basicConfig(level=logging.ERROR)
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    try:
        names = suite.names(arguments.folder, arguments.names)
    except OSError as problem:
        parser.error(str(problem))
    if not names:
        parser.error(f"{arguments.folder} holds no such scenarios")
    try:
        with databases_for_tests() as databases:
            return asyncio.run(_replay(databases, arguments.folder, names))
    except (NoServer, EmbeddedPostgresError) as problem:
        print(problem, file=sys.stderr)
        return 2


async def _replay(databases: Databases, folder: Path, names: list[str]) -> int:
    passed = failed = skipped = 0
    async with suite.opened(databases) as replays:
        for name in names:
            replays.begin(folder, name)
        for name in names:
            report = await replays.report(folder, name)
            passed += report.passed
            skipped += report.skipped is not None
            failed += not report.passed and report.skipped is None
            print(report.line, flush=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


sys.exit(main())
