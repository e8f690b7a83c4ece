"""The operation `get`, which may wait."""

import asyncio
from typing import Any

from journey_async import ComputationFailed, NotSetError
from journey_async.core.values import ComputationState
from tests.conformance.outcome import NotCompared
from tests.conformance.steps import Op, Steps

DEFAULT_TIMEOUT = 30_000  # milliseconds
OWN_WAITS = frozenset({"wait_any", "wait_new", "newer_than", "settled", "default"})


class Reading(Steps):
    """Reading one node."""

    async def op_get(self, op: Op) -> Any:
        options = self._wait_options(op)
        if isinstance(options, NotCompared):
            return options
        began = asyncio.get_running_loop().time()
        result: dict[str, Any]
        try:
            found = await self.journey.get_node(self.ref(op), op["node"], **options)
            if "save_revision" in op:
                self.stage.labels[op["save_revision"]] = found.revision
            result = {"status": "ok", "value": found.value, "revision": found.revision}
            if op.get("hide_revision"):
                del result["revision"]
        except NotSetError:
            newer = "newer_than" in options or "wait_new" in options
            if newer and await self._failed_often(op):
                return NotCompared("failures")
            result = {"status": "error", "reason": "not_set"}
        except ComputationFailed as error:
            result = {"status": "error", "reason": await self._reason(error)}
        took = (asyncio.get_running_loop().time() - began) * 1000 * self.clock.speed
        for limit, milliseconds in (op.get("took") or {}).items():
            fits = took <= milliseconds if limit == "at_most_ms" else took >= milliseconds * 0.98
            result[f"took_{limit.removesuffix('_ms')}_{milliseconds}_ms"] = fits
        return result

    def _wait_options(self, op: Op) -> dict[str, Any] | NotCompared:
        given = dict(op.get("options") or {})
        if OWN_WAITS & given.keys():
            return NotCompared("options that are ours")
        timeout = op.get("timeout_ms", DEFAULT_TIMEOUT)
        if timeout == "infinity":
            given["timeout"] = None
        elif isinstance(timeout, int | float):
            given["timeout"] = self.clock.real(timeout)
        else:
            given["timeout"] = timeout
        match op.get("wait", "immediate"):
            case "immediate":
                if not isinstance(timeout, int) or timeout <= 0:
                    return NotCompared("a timeout that would not be used")
            case "any":
                if timeout == 0 or isinstance(timeout, float):
                    return NotCompared("timeouts are seconds, and may be 0")
                given["wait_any"] = True
            case "newer":
                if op.get("via") == "id" or "exec_id" in op:
                    return NotCompared("newer than at the call")
                handle = self.handle(op)
                if handle.is_behind:
                    given["newer_than"] = handle.values[op["node"]].revision
                else:
                    given["wait_new"] = True
            case {"newer_than": str(label)} if label.startswith("$"):
                given["newer_than"] = self.stage.labels[label.removeprefix("$")]
            case {"newer_than": revision}:
                given["newer_than"] = revision
            case other:
                given[str(other)] = True
        return given

    async def _reason(self, error: ComputationFailed) -> str:
        """`not_set` for the failures that the original does not report, as `rules` say."""
        rows = await self.journey.computations(error.execution_id, error.node)
        abandoned = rows[-1].state is ComputationState.ABANDONED
        if abandoned or error.last_error == "max_iterations_reached":
            return "not_set"
        return "computation_failed"

    async def _failed_often(self, op: Op) -> bool:
        """Whether the original would say that the node has failed: it counts failures for ever."""
        now = await self.journey.load(self.ref(op), include_archived=True)
        step = now._graph.steps.get(op["node"])
        rows = await self.journey.computations(now, op["node"])
        failures = sum(row.state is ComputationState.FAILED for row in rows)
        return step is not None and failures >= step.retry.max_attempts
