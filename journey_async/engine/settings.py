"""What a Journey is opened with, as far as its engine is concerned."""

from dataclasses import dataclass

from journey_async.engine.liveness import LOOK_INTERVAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an engine works; times in seconds."""

    schema: str
    run_computations: bool
    max_concurrency: int
    cache_size: int
    max_value_bytes: int
    lease: float
    grace_period: float
    patience: float
    look_interval: float = LOOK_INTERVAL
    remembers_the_dead: bool = True
