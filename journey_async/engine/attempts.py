"""One attempt at computing a node: the call of its function, and the command in which it ends.

The function runs on the event loop or in a thread, on copies of the values. Whatever it returns or
raises becomes Succeed or Fail; only an attempt that was interrupted or given up ends in neither.
"""

import asyncio
import functools
import inspect
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from journey_async.core import jsonvalue
from journey_async.core.binding import Binding
from journey_async.core.change import Begun
from journey_async.core.commands import Fail, Succeed
from journey_async.core.graph import Graph
from journey_async.core.jsonvalue import JSON
from journey_async.core.nodes import (
    SYSTEM_NAMES,
    InputNode,
    LoopNode,
    Node,
    Step,
    function_of,
    own_copy,
)
from journey_async.core.state import State
from journey_async.core.values import Computation, NodeValue
from journey_async.engine.clock import Clock
from journey_async.engine.context import Context, idempotency_key
from journey_async.engine.instruments import Instruments
from journey_async.engine.logs import ABOUT, about_computation, log
from journey_async.engine.points import Point, Points
from journey_async.engine.results import success
from journey_async.engine.threads import Threads
from journey_async.errors import InvalidValueError, PermanentError, StoredTypeError


@dataclass(slots=True, eq=False)
class Attempt:
    """A computation that runs here."""

    begun: Begun
    graph: Graph
    step: Step
    binding: Binding
    task: "asyncio.Task[None] | None" = None
    on_the_loop: bool = False
    given_up: bool = False
    interrupted: bool = False
    raised: str | None = None

    @property
    def computation(self) -> Computation:
        """The computation as it began."""
        return self.begun.computation

    @property
    def execution_id(self) -> str:
        """The execution that it belongs to."""
        return self.begun.computation.execution_id

    @property
    def token(self) -> int:
        """The fencing token that it was begun with."""
        return self.begun.computation.token or 0

    @property
    def about(self) -> dict[str, object]:
        """The fields of log records about it."""
        return about_computation(self.begun.computation, self.graph)

    def failed(self, error: str, *, permanent: bool = False) -> Fail:
        """The command that records it as failed."""
        return Fail(self.computation.key, self.token, error, permanent=permanent)

    def stop(self) -> None:
        """Nobody wants the result any more: cancel the function, if it can be."""
        self.given_up = True
        if self.task is not None and (self.binding.is_async or self.on_the_loop):
            self.task.cancel()


class Functions:
    """Calls the functions of nodes, up to `capacity` of them in threads at once."""

    def __init__(
        self,
        capacity: int,
        clock: Clock,
        max_value_bytes: int,
        journey: Any,
        *,
        points: Points,
        instruments: Instruments,
    ) -> None:
        self._threads = Threads(max(capacity, 1))
        self._clock = clock
        self._max_value_bytes = max_value_bytes
        self._journey = journey
        self._points = points
        self._instruments = instruments

    async def outcome(self, attempt: Attempt) -> Succeed | Fail | None:
        """Call the function of an attempt, in the attempt's own task.

        Returns the command in which it ends, None if it was interrupted.
        """
        nodes = (attempt.step.name,)
        ABOUT.set(attempt.about)  # for this task, and the threads that it starts
        self._points.reach(Point.BEFORE_FUNCTION, nodes)
        with self._instruments.run(attempt.begun, attempt.graph, self._clock.now) as watched:
            command = await self._call(attempt)
            if attempt.given_up:
                watched.ends("abandoned")
            elif command is None:
                watched.ends("released")
            elif isinstance(command, Fail):
                watched.ends("failed", attempt.raised, command.error)
            else:
                watched.gives(command.value)
        if command is not None:
            self._points.reach(Point.AFTER_FUNCTION, nodes)
        return command

    async def _call(self, attempt: Attempt) -> Succeed | Fail | None:
        try:
            call = self._prepared(attempt)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # of the type that a value is read as
            attempt.raised = type(error).__qualname__
            final = isinstance(error, StoredTypeError)  # the next attempt would find the same
            return attempt.failed(_described(error), permanent=final)
        try:
            returned = await (
                call() if attempt.binding.is_async else self._in_thread(attempt, call)
            )
        except asyncio.CancelledError:
            if attempt.interrupted or attempt.given_up:
                return None
            return attempt.failed("the function was cancelled from within")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever it is derived from, it ends the attempt
            attempt.raised = type(error).__qualname__
            final = isinstance(error, PermanentError) or attempt.step.retry.gives_up_on(error)
            what = f"{attempt.raised} was raised at {_place_of(error)}"
            self._log(attempt, error, what, final=final)
            if attempt.interrupted:  # its answer to that; others will run it anew
                return None
            return attempt.failed(_described(error), permanent=final)
        try:
            return success(
                attempt.step,
                attempt.graph.by_name,
                attempt.computation,
                returned,
                now=self._clock.now,
                max_bytes=self._max_value_bytes,
            )
        except InvalidValueError as error:
            self._log(attempt, error, "what it returned cannot be stored")
            return attempt.failed(f"the result {error}")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # of its own code, or of the type that it has to fit
            attempt.raised = type(error).__qualname__
            self._log(attempt, error, "what it returned cannot be stored")
            return attempt.failed(f"the result cannot be stored: {_described(error)}")

    def _log(
        self, attempt: Attempt, error: BaseException, what: str, *, final: bool = False
    ) -> None:
        """Log why an attempt failed; and of the last one, where everybody sees it, `what` it was.

        (The text of the error may hold values.)
        """
        node, computation_id, about = attempt.step.name, attempt.computation.id, attempt.about
        log.info("node %r of %s failed", node, computation_id, exc_info=error, extra=about)
        is_last = final or attempt.computation.attempt >= attempt.step.retry.max_attempts
        if is_last and not (attempt.given_up or attempt.interrupted):
            told = "node %r of %s has no attempt left: %s"
            log.warning(told, node, computation_id, what, extra=about)

    def _prepared(self, attempt: Attempt) -> Callable[[], Any]:
        """The function with its arguments; raises StoredTypeError for a value of another type."""
        function = function_of(attempt.step)
        assert function is not None
        assert function.call is not None  # else there were no binding
        inputs = _Inputs(attempt.graph, attempt.step, attempt.begun)
        args, kwargs = attempt.binding.arguments(
            inputs.value_of, inputs.is_set, inputs.all_values, self._context(attempt)
        )
        return functools.partial(function.call, *args, **kwargs)

    async def _in_thread(self, attempt: Attempt, call: Callable[[], Any]) -> Any:
        """Run in a thread; it cannot be stopped, so its place stays taken until it returns."""
        returned = await self._threads.call(call, abandon_on_cancel=True)
        if not inspect.iscoroutine(returned):
            return returned
        if attempt.given_up:  # a def that hands back a coroutine
            return returned.close()
        attempt.on_the_loop = True
        return await returned

    def _context(self, attempt: Attempt) -> Context | None:
        if not attempt.binding.takes_context:
            return None
        computation, state = attempt.begun.computation, attempt.begun.state
        assert computation.deadline is not None
        nodes = attempt.graph.by_name
        return Context(
            execution_id=computation.execution_id,
            graph_name=state.graph_name,
            graph_version=state.graph_version,
            node_name=computation.node,
            attempt=computation.attempt,
            iteration=computation.iteration,
            idempotency_key=idempotency_key(computation, state.created_at),
            deadline=computation.deadline,
            upstream={
                n: own_copy(nodes[n], state.value_of(nodes[n]), state.execution_id)
                for n in computation.computed_with
            },
            journey=self._journey,
        )


class _Inputs:
    """What a function is given: copies, parsed where the node has a type."""

    def __init__(self, graph: Graph, step: Step, begun: Begun) -> None:
        self._nodes, self._position = graph.by_name, graph.position
        self._state = begun.state if type(step) is not LoopNode else _while_looping(begun)

    def is_set(self, name: str) -> bool:
        return self._state.value_of(self._nodes[name]).is_set

    def value_of(self, name: str) -> Any:
        node = self._nodes[name]
        return self._given(node, self._state.value_of(node).value)

    def all_values(self) -> dict[str, Any]:
        """In the order of the graph; of nodes that left it, too: they come last."""
        nodes, held = self._nodes, self._state.values
        found = {}
        ever_set = nodes.keys() & (held.keys() | SYSTEM_NAMES)
        for name in sorted(ever_set, key=self._position.__getitem__):
            value = held.get(name)
            if value is None:
                found[name] = self.value_of(name)
            elif value.set_time is not None:
                found[name] = self._given(nodes[name], value.value)
        for name in sorted(held.keys() - nodes.keys()):
            if held[name].is_set:
                found[name] = jsonvalue.copied(held[name].value)
        return found

    def _given(self, node: Node, value: JSON) -> Any:
        if type(node) is InputNode:
            return node.type.parse(value, node=node.name, execution_id=self._state.execution_id)
        return jsonvalue.copied(value)


def _while_looping(begun: Begun) -> State:
    """What a loop's function sees: as its own value what it carries, which is no value yet."""
    state, computation = begun.state, begun.computation
    carries = (computation.iteration or 1) > 1
    own = NodeValue(
        computation.node,
        computation.kind,
        value=computation.carried,
        set_time=computation.created_at if carries else None,
    )
    return state._replace(values={**state.values, computation.node: own})


def _place_of(error: BaseException) -> str:
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    return f"{frame.f_code.co_filename}:{line}"


def _described(error: BaseException) -> str:
    """The error as a text that PostgreSQL can store."""
    try:
        text = str(error).strip()
    except Exception:
        text = "(its text could not be had)"
    text = text.replace("\0", "\\0").encode(errors="backslashreplace").decode()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
