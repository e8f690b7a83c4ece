"""Carries out the steps of a scenario (OP) one by one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.conformance import rules
from tests.conformance.executions import Executions
from tests.conformance.handles import Handle
from tests.conformance.outcome import NotCompared, Ok, Outcome, Raised
from tests.conformance.reading import Reading
from tests.conformance.steps import Op
from tests.conformance.sweeping import Sweeping
from tests.conformance.waiting import Waiting
from tests.conformance.watching import MOVES
from tests.conformance.writing import Writing

WRITES = frozenset({"set", "set_many", "set_later", "set_concurrently", "unset"})
STARTS = frozenset({"start", "find_or_start", "find_or_start_concurrently", "start_many"})
NOT_ABOUT_ONE = STARTS | {
    "new_graph", "load_nil", "list", "count", "mermaid_graph", "status", "flow_analytics",
    "sleep", "sweeps_start", "sweeps_stop", "sweep",
}  # fmt: skip
WITHOUT_RESULT = {
    "alias": "aliased",
    "set_later": "scheduled",
    "sleep": "slept",
    "sweeps_start": "started",
    "sweeps_stop": "stopped",
    "unarchive": "ok",
}


class Driver(Writing, Reading, Sweeping, Waiting, Executions):
    """One scenario under way."""

    async def perform(self, op: Op) -> Outcome:
        """Carry out one step."""
        step: Callable[[Op], Awaitable[Any]] | None = getattr(self, f"op_{op['op']}", None)
        if step is None:
            return Raised(NotImplementedError(f"the operation {op['op']!r}"))
        if self._has_no_graph(op):
            return NotCompared("a graph refused")
        execution_id = self.execution_id(op)
        if execution_id is not None and op["op"] in MOVES:
            self.stage.watch.moves(execution_id)
        if self.divergence(op).covers(op) and op["op"] not in WRITES:
            return NotCompared("diverged")
        try:
            result = await step(op)
        except Exception as error:
            if execution_id is not None and rules.may_refuse(op, error):
                revision = (await self.journey.load(execution_id, include_archived=True)).revision
                self.stage.watch.refused(execution_id, rules.named(op), revision)
            return Raised(error)
        if isinstance(result, NotCompared):
            return result
        return Ok(WITHOUT_RESULT.get(op["op"], result))

    async def close(self) -> None:
        """Stop what still runs for the scenario."""
        for task in self.stage.later:
            task.cancel()
        await asyncio.gather(*self.stage.later, return_exceptions=True)
        self.stage.watch.close()

    def is_archived(self, op: Op) -> bool:
        """Whether the execution of a step is archived now, as far as this process knows."""
        handle: Handle | None = self.stage.handles.get(op.get("exec", "e"))
        if handle is None:
            return False
        state = self.journey._engine.cache.get(handle.execution.id)
        return (state or handle.execution).archived_at is not None

    def _has_no_graph(self, op: Op) -> bool:
        if op["op"] in STARTS and op.get("graph", "main") in self.stage.refused:
            return True
        about = "exec_id" not in op and op["op"] not in NOT_ABOUT_ONE
        missing = op.get("exec", "e") not in self.stage.handles
        return about and bool(self.stage.refused) and missing
