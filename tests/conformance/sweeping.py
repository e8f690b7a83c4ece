"""What stands for the original's scheduler steps and sweeps: one clock whose alarms ring."""

from collections.abc import Mapping, Sequence
from typing import Any

from journey_async import Journey
from journey_async.core.commands import Wake
from journey_async.core.state import State
from journey_async.core.values import Computation, ComputationState
from journey_async.engine.requests import Answer
from tests.conformance import handles
from tests.conformance.clock import ScenarioClock
from tests.conformance.outcome import NotCompared
from tests.conformance.steps import Op, Steps
from tests.conformance.waiting import until

PATIENCE = 5.0  # real seconds for what rang to have its effect


async def look_at(journey: Journey, execution_id: str) -> Answer:
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
    for execution in executions:
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


class Sweeping(Steps):
    """The operations about time."""

    async def op_sleep(self, op: Op) -> Any:
        await self.clock.sleep(op["ms"])

    async def op_advance(self, op: Op) -> Any:
        answer = await look_at(self.journey, self.handle(op).execution.id)
        self.bind(op, handles.as_it_is(await self.journey.load(self.ref(op))))
        return {
            "revision": answer.state.revision,
            "archived": answer.state.archived_at is not None,
        }

    async def op_sweep(self, op: Op) -> Any:
        return await sweep(self.journey, self.clock, self._swept(op), op)

    def _swept(self, op: Op) -> list[str]:
        if op.get("all_executions"):
            return list(self.stage.names)
        return [self.handle(op).execution.id]

    async def op_sweeps_start(self, op: Op) -> Any:
        start(self.journey, self.clock)

    async def op_sweeps_stop(self, op: Op) -> Any:
        await stop(self.journey, self.clock)
