"""What `get_value` waits for, as checks of a state; a wait never polls."""

import asyncio
from dataclasses import dataclass
from math import isfinite

from journey_async.client import options
from journey_async.client.execution import Execution
from journey_async.core.events import MAX_ITERATIONS_REACHED
from journey_async.core.graph import Graph
from journey_async.core.nodes import own_copy
from journey_async.core.reading import failed_computation, failed_upstream, is_settled
from journey_async.core.reference import NodeName, type_of
from journey_async.core.state import State
from journey_async.core.values import Computation, ComputationState, NodeValue
from journey_async.engine.engine import Engine
from journey_async.engine.waiters import NOT_YET
from journey_async.errors import (
    ComputationFailed,
    InvalidOptionError,
    NotSetError,
    WaitTimeout,
)


async def get_node(
    engine: Engine,
    execution: Execution | str,
    node: NodeName,
    *,
    wait_any: bool,
    wait_new: bool,
    newer_than: int | None,
    settled: bool,
    timeout: float | None,
) -> NodeValue:
    """The value that the options of `get_value` ask for; raises as it does."""
    limit = checked_timeout(timeout)
    execution_id = options.execution_id(execution)
    known = execution._state if isinstance(execution, Execution) else None
    state = known or await engine.known(execution_id)
    graph = await engine.registry.graph_of(state)
    defined = graph.node_named(node)
    if wait_new and known is None:
        state = await engine.current(execution_id)
    target = wanted(
        defined.name,
        wait_any=wait_any,
        wait_new=wait_new,
        newer_than=newer_than,
        settled=settled,
        known_revision=state.value_of(defined).revision,
    )
    with engine.instruments.read(execution_id, defined.name) as watched:
        watched.of(state)
        found = await _found(engine, execution_id, graph, target, limit)
        watched.gives(found.value)
    return own_copy(defined, found, execution_id, type_of(node))


async def _found(
    engine: Engine, execution_id: str, graph: Graph, target: "Wanted", timeout: float | None
) -> NodeValue:
    check = Look(engine, graph, target)
    if not target.waits or timeout == 0:
        found = check(await engine.current(execution_id))
        if not isinstance(found, NodeValue):
            if target.waits:
                raise WaitTimeout(target.node, execution_id, 0.0)
            raise NotSetError(target.node, execution_id)
        return found
    with engine.waiters.waiting(execution_id, check) as wait:
        try:
            async with asyncio.timeout(timeout):
                wait.begin(await engine.current(execution_id))
                value: NodeValue = await wait.future
                return value
        except TimeoutError:
            raise WaitTimeout(target.node, execution_id, timeout or 0.0) from None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which value of a node is wanted: any, one newer than a revision, or the settled one."""

    node: str
    newer_than: int | None = None
    settled: bool = False
    waits: bool = False


class Look:
    """Looks at states for what is wanted: the NodeValue, NOT_YET, or the error to raise.

    There is one for each parked wait: in slots it is a fifth of what a closure would be.
    """

    __slots__ = ("_engine", "_graph", "_wanted")

    def __init__(self, engine: Engine, graph: Graph, wanted: Wanted) -> None:
        self._engine = engine
        self._graph = graph
        self._wanted = wanted

    def __call__(self, state: State) -> NodeValue | object:
        if not self._wanted.settled:
            return self._value(state)
        graph, evolves = self._engine.registry.resolve(state)
        unattended = state.wake_at is not None and state.wake_at <= self._engine.clock.now()
        evolves = evolves and state.archived_at is None  # else it stays as it is
        return NOT_YET if evolves or unattended else self._settled_value(graph, state)

    def _value(self, state: State) -> NodeValue | object:
        node, newer_than = self._wanted.node, self._wanted.newer_than
        value = state.value_of(self._graph.node_named(node))
        if value.is_set and (newer_than is None or value.revision > newer_than):
            return value
        _raise_if_failed(failed_computation(self._graph, state, node))
        return NOT_YET

    def _settled_value(self, graph: Graph, state: State) -> NodeValue | object:
        """By the definition that holds now: another one may have held when the wait began."""
        node = graph.node_named(self._wanted.node)
        if not is_settled(graph, state, node.name):
            return NOT_YET
        _raise_if_failed(failed_upstream(graph, state, node.name))
        value = state.value_of(node)
        if not value.is_set:
            raise NotSetError(node.name, state.execution_id)
        return value


def wanted(
    node: str,
    *,
    wait_any: bool,
    wait_new: bool,
    newer_than: int | None,
    settled: bool,
    known_revision: int | None,
) -> Wanted:
    """What the options of `get_value` mean; raises InvalidOptionError.

    `known_revision` is the node's revision in the snapshot that was passed in, or at the call.
    """
    given = [
        name
        for name, on in [
            ("wait_any", wait_any),
            ("wait_new", wait_new),
            ("newer_than", newer_than is not None),
            ("settled", settled),
        ]
        if on
    ]
    if len(given) > 1:
        raise InvalidOptionError(f"{' and '.join(given)} exclude each other; give one of them")
    if newer_than is not None and (isinstance(newer_than, bool) or not isinstance(newer_than, int)):
        raise InvalidOptionError(f"newer_than must be a revision, not {newer_than!r}")
    return Wanted(
        node,
        newer_than=known_revision if wait_new else newer_than,
        settled=settled,
        waits=bool(given),
    )


def checked_timeout(timeout: float | None) -> float | None:
    """The timeout in seconds; raises InvalidOptionError."""
    if timeout is None:
        return None
    number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not number or timeout < 0 or not isfinite(timeout):
        raise InvalidOptionError(
            f"timeout must be a number of seconds, or None for no limit, not {timeout!r}"
        )
    return float(timeout)


def _raise_if_failed(failed: Computation | None) -> None:
    if failed is None:
        return
    error, attempts = failed.error, failed.attempt
    if failed.state is ComputationState.SUCCESS:
        error, attempts = MAX_ITERATIONS_REACHED, failed.iteration or attempts
    raise ComputationFailed(failed.node, failed.execution_id, attempts, error)
