"""Waiting without sleeping: every state that is committed is looked at."""

import asyncio
from collections.abc import Callable
from typing import Any

from journey_async import Journey
from journey_async.core.jsonvalue import equal, is_number
from journey_async.core.state import State
from journey_async.core.values import ComputationState
from journey_async.engine.waiters import NOT_YET
from tests.conformance.clock import ScenarioClock
from tests.conformance.steps import Op, Steps

DEFAULT_PATIENCE = 15_000  # milliseconds


async def until(
    journey: Journey, execution_id: str, check: Callable[[State], bool], timeout: float
) -> bool:
    """Wait until a committed state passes a check; whether one did in time (real seconds)."""
    engine = journey._engine
    with engine.waiters.waiting(execution_id, lambda s: True if check(s) else NOT_YET) as wait:
        try:
            async with asyncio.timeout(timeout):
                wait.begin(await engine.current(execution_id))
                await wait.future
                return True
        except TimeoutError:
            return False


def is_quiet(state: State, clock: ScenarioClock) -> bool:
    """Whether nothing is computing, and nothing that is due waits for its turn."""
    now = clock.now()
    for newest in state.newest.values():
        if newest.state is ComputationState.COMPUTING:
            return False
        due = newest.due_at is None or newest.due_at <= now
        if newest.state is ComputationState.AVAILABLE and due and state.archived_at is None:
            return False
    return True


class Waiting(Steps):
    """The operations that wait."""

    def _patience(self, op: Op) -> float:
        return self.clock.real(float(op.get("timeout_ms", DEFAULT_PATIENCE)))

    async def op_settle(self, op: Op) -> Any:
        patience = self._patience(op)
        execution = self.handle(op).execution.id
        return {"settled": await until(self.journey, execution, self._is_quiet, patience)}

    def _is_quiet(self, state: State) -> bool:
        return is_quiet(state, self.clock)

    async def op_wait_value(self, op: Op) -> Any:
        node = op["node"]

        def reached(state: State) -> bool:
            found = state.values.get(node)
            is_set = found is not None and found.is_set
            if "unset" in op:
                return not is_set
            if found is None or not is_set:
                return False
            if "at_least" in op:
                return is_number(found.value) and found.value >= op["at_least"]
            return equal(found.value, op["value"])

        execution = self.handle(op).execution.id
        return {"reached": await until(self.journey, execution, reached, self._patience(op))}

    async def op_wait_calls(self, op: Op) -> Any:
        execution = self.handle(op).execution.id
        try:
            async with asyncio.timeout(self._patience(op)):
                await self.stage.calls.reached(execution, op["node"], op["at_least"])
        except TimeoutError:
            return {"reached": False}
        return {"reached": True}
