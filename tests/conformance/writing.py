"""The operations that write."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from journey_async import Execution, ExecutionNotFound
from journey_async.core.jsonvalue import equal
from tests.conformance import handles
from tests.conformance.outcome import NotCompared
from tests.conformance.steps import Op, Steps


class Writing(Steps):
    """Setting and unsetting, now and later."""

    async def op_set(self, op: Op) -> Any:
        node = op["node"]
        special = "value_special" in op
        value = {op["value_special"]} if special else op.get("value")
        options = {**_given(op, "metadata"), **(op.get("options") or {})}
        return await self._write(
            op, [node], lambda ref: self.journey.set_value(ref, node, value, **options)
        )

    async def op_set_many(self, op: Op) -> Any:
        values = await self._effective(op)
        if op.get("form") == "keyword" and not values:
            return NotCompared("the two spellings of many values")
        options = {**_given(op, "metadata"), **(op.get("options") or {})}
        return await self._write(
            op,
            list(values),
            lambda ref: self.journey.set_values(ref, values, **options),
            many=True,
        )

    async def _effective(self, op: Op) -> dict[str, Any]:
        """The values that the original would write: rule "writes of many values"."""
        values = dict(op["values"])
        if "exec_id" in op:
            return values
        handle = self.handle(op)
        shown = handle.values
        if op.get("via") == "id":
            now = await self.journey.load(handle.execution, include_archived=True)
            shown = now.values
        metadata = op.get("metadata")
        return {
            name: value
            for name, value in values.items()
            if name not in shown
            or not equal(shown[name].value, value)
            or not equal(shown[name].metadata, metadata)
        }

    async def op_unset(self, op: Op) -> Any:
        nodes = [op["node"]] if "node" in op else op["nodes"]
        return await self._write(op, nodes, lambda ref: self.journey.unset_value(ref, *nodes))

    async def _write(
        self,
        op: Op,
        nodes: list[str],
        call: Callable[[Execution | str], Awaitable[Execution]],
        *,
        many: bool = False,
    ) -> Any:
        ref = self.ref(op)
        by_id = isinstance(ref, str)
        try:
            before = await self.journey.load(ref, include_archived=True)
        except ExecutionNotFound:
            before = None
        after = await call(ref)
        assert before is not None
        if handles.changed(before, after, nodes):
            handle = handles.as_returned(before, after, nodes, many=many)
        elif by_id:
            handle = handles.as_it_is(after)
            if op["op"] == "set":  # read within the transaction that is then rolled back
                handle = replace(handle, revision=after.revision + 1)
        else:
            handle = self.handle(op)
        self.bind(op, handle)
        return handle.result

    async def op_set_later(self, op: Op) -> Any:
        ref = self.ref(op)

        async def later() -> None:
            await self.clock.sleep(op["ms"])
            await self.journey.set_value(ref, op["node"], op["value"])

        task = asyncio.create_task(later())
        self.stage.later.add(task)
        task.add_done_callback(self.stage.later.discard)

    async def op_set_concurrently(self, op: Op) -> Any:
        ref = self.ref(op)
        sets = [self.journey.set_value(ref, s["node"], s["value"]) for s in op["sets"]]
        return len(await asyncio.gather(*sets))


def _given(op: Op, *names: str) -> dict[str, Any]:
    return {name: op[name] for name in names if name in op}
