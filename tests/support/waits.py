"""Who waits."""

from journey_async import Journey


def waits_in(journey: Journey) -> int:
    """How many waits are registered."""
    return len(journey._engine.waiters)
