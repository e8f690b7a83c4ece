"""Calls `on_save` after the commit: at most once an outcome, and whatever it raises is logged."""

import asyncio
import inspect
from dataclasses import replace
from functools import partial

from journey_async.core.change import Change, Outcome, Saved
from journey_async.core.functions import Function
from journey_async.core.graph import Graph
from journey_async.core.types import ANY, NodeType
from journey_async.engine.logs import ABOUT, about, log
from journey_async.engine.tasks import Tasks, is_being_cancelled
from journey_async.engine.threads import Threads

LAST_GRACE = 5.0  # seconds for cancelled callbacks to end
THREADS = 40  # for callbacks that are no coroutine functions


class Callbacks:
    """Fires the callbacks of nodes and graphs, the node's first."""

    def __init__(self) -> None:
        self.tasks = Tasks("on_save")
        self._threads = Threads(THREADS)

    def fire(self, change: Change, graph: Graph) -> None:
        """Call back about the outcomes of a change that was committed."""
        for node, outcome in change.outcomes:
            found = graph.by_name.get(node)
            candidates = (None if found is None else found.on_save, graph.on_save)
            functions = [f for f in candidates if f is not None and f.call is not None]
            if functions:
                execution_id = change.state.execution_id
                called = self._call(
                    functions, execution_id, node, outcome, graph.types.get(node, ANY)
                )
                self.tasks.spawn(called, f"for {node}")

    async def finish(self, grace: float) -> None:
        """Wait for callbacks that run, then cancel them; one may wait for this very end."""
        if not await self.tasks.finished(grace):
            self.tasks.kill()
            if not await self.tasks.finished(LAST_GRACE):
                log.error("callbacks that ignore their cancellation were left behind")

    async def _call(
        self,
        functions: list[Function],
        execution_id: str,
        node: str,
        outcome: Outcome,
        node_type: NodeType,
    ) -> None:
        fields = about(execution_id, node)
        ABOUT.set(fields)  # for this task, and the threads that it starts
        for function in functions:
            try:
                result = outcome
                if isinstance(outcome, Saved):  # one for each: whoever gets it may change it
                    value = node_type.parse(outcome.value, node=node, execution_id=execution_id)
                    result = replace(outcome, value=value)
                called = partial(function, execution_id, node, result)
                if inspect.iscoroutinefunction(function.call):
                    await called()
                else:
                    returned = await self._threads.call(called)
                    if inspect.isawaitable(returned):
                        await returned
            except (KeyboardInterrupt, GeneratorExit):  # the end of this very coroutine
                raise
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError) and is_being_cancelled():
                    raise
                log.error(
                    "on_save of node %r of %s failed",
                    node,
                    execution_id,
                    exc_info=error,
                    extra=fields,
                )
