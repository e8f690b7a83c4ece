"""vitals(): what this process is doing; nothing is asked of the database."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from journey_async.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a Journey is doing at the moment.

    `running` counts the functions that run, by names of graph and node; at most `capacity` may.
    `waits` counts the calls that wait for a value. `listening`: whether notifications are heard;
    None where they cannot be, and are asked for. `left_behind` counts the work that only the safety
    check found, since it was opened.
    """

    running: Mapping[tuple[str, str], int]
    capacity: int
    waits: int
    listening: bool | None
    pool_size: int
    pool_in_use: int
    left_behind: int


def vitals(engine: Engine) -> Vitals:
    """The vitals as of now; from any thread."""
    size, in_use = engine.store.connections
    attempts = engine.runner.attempts()
    return Vitals(
        running=Counter((attempt.graph.name, attempt.step.name) for attempt in attempts),
        capacity=engine.settings.max_concurrency if engine.settings.run_computations else 0,
        waits=len(engine.waiters),
        listening=engine.is_listening,
        pool_size=size,
        pool_in_use=in_use,
        left_behind=engine.safety_check.left_behind,
    )
