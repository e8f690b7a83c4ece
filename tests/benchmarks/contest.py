"""One contestant's turn, in a process of its own: its samples, as a line of JSON.

python -m tests.benchmarks.contest NAME DSN [SCALE]
"""

import asyncio
import importlib
import json
import logging
import sys

from tests.benchmarks.contestants import CONTESTANTS
from tests.benchmarks.workload import Contestant, measured


def contestant(name: str, dsn: str) -> Contestant:
    """The contestant of that name; raises ImportError if what it takes isn't installed."""
    module, cls = CONTESTANTS[name]
    found = importlib.import_module(f"tests.benchmarks.contestants.{module}")
    made: Contestant = getattr(found, cls)(dsn)
    return made


def main() -> None:
    name, dsn, scale = sys.argv[1], sys.argv[2], float((*sys.argv[3:], "1")[0])
    logging.disable(logging.WARNING)
    if name.endswith("-uvloop"):
        import uvloop

        samples = uvloop.run(measured(contestant(name, dsn), scale))
    else:
        samples = asyncio.run(measured(contestant(name, dsn), scale))
    print(json.dumps(samples))


if __name__ == "__main__":
    main()
