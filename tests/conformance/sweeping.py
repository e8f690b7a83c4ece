"""What stands for the original's scheduler steps and sweeps: one clock whose alarms ring."""

from collections.abc import Mapping, Sequence
from typing import Any

from journey_async import Journey
from journey_async.core.commands import Wake
from journey_async.core.state import State
from journey_async.core.values import Computation, ComputationState
from journey_async.engine.committer import Settled
from tests.conformance.clock import ScenarioClock
from tests.conformance.outcome import NotCompared
from tests.conformance.waiting import until

PATIENCE = 5.0  # real seconds for what rang to have its effect


async def look_at(journey: Journey, execution_id: str) -> Settled:
    """One step of the scheduler for one execution."""
    return await journey._engine.submit(execution_id, Wake())


async def sweep(
    journey: Journey, clock: ScenarioClock, executions: Sequence[str], op: Mapping[str, Any]
) -> Any:
    """Let ring what is due, once; returns when it has had its effect."""
    which = op.get("which", "all")
    # Only the sweep for abandoned work is told the time; what follows from the others looks at it.
    offset = op.get("now_offset_s", 0) if which in ("abandoned", "all") else 0
    before = [await journey.computations(execution) for execution in executions]
    with clock.later(offset):
        clock.ring_due()
        for execution in executions:
            await until(journey, execution, lambda state: not _is_late(state, clock), PATIENCE)
            await look_at(journey, execution)
    if which == "abandoned":
        after = [await journey.computations(execution) for execution in executions]
        pairs = zip(after, before, strict=True)
        return {"kicked": sum(_abandoned(a) > _abandoned(b) for a, b in pairs)}
    if which in ("schedule_nodes", "missed_schedules", "stalled"):
        return NotCompared("how many executions a sweep looked at")
    return "done"


def start(journey: Journey, clock: ScenarioClock) -> None:
    """From now on wake what is due when it is due."""
    engine = journey._engine
    clock.let_ring()
    engine.scheduler.start(engine.committer.submit)


async def stop(journey: Journey, clock: ScenarioClock) -> None:
    """From now on wake nothing."""
    clock.hold()
    await journey._engine.scheduler.stop()


def _is_late(state: State, clock: ScenarioClock) -> bool:
    now = clock.now()
    return any(
        c.state is ComputationState.COMPUTING and c.deadline is not None and c.deadline <= now
        for c in state.newest.values()
    )


def _abandoned(computations: Sequence[Computation]) -> int:
    return sum(c.state is ComputationState.ABANDONED for c in computations)
