"""What `get_value` waits for, as checks of a state; a wait never polls."""

import asyncio
from dataclasses import dataclass
from typing import Any

from journey_async.client import options
from journey_async.client.checking import checked
from journey_async.client.execution import Execution, state_of
from journey_async.client.explaining import hindrance
from journey_async.core.graph import Graph
from journey_async.core.nodes import SYSTEM_NAMES, own_copy
from journey_async.core.reading import failed_computation, failed_upstream, has_come, is_settled
from journey_async.core.reference import NodeName, name_of, type_of
from journey_async.core.state import State
from journey_async.core.values import Computation, ComputationState, NodeValue, failure_of
from journey_async.engine.engine import Engine
from journey_async.engine.waiters import NOT_YET, lost
from journey_async.errors import (
    ComputationFailed,
    InvalidOptionError,
    NotSetError,
    WaitTimeout,
)

RAISE: Any = object()  # instead of a default


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
    default: Any,
) -> NodeValue:
    """The value that the options of `get_value` ask for; raises as it does.

    WaitTimeout in spite of a `default` if the graph could not be read in time, for a NodeValue
    needs the kind of its node. There may be tens of thousands of these at once, so what only the
    beginning needs is left behind in `_checked_call`.
    """
    limit = options.timeout(timeout)
    waits = _is_wait(wait_any=wait_any, wait_new=wait_new, newer_than=newer_than, settled=settled)
    deadline = asyncio.get_running_loop().time() + limit if waits and limit else None
    try:
        async with asyncio.timeout_at(deadline):
            check, fresh = await _checked_call(
                engine,
                execution,
                node,
                wait_new=wait_new,
                newer_than=newer_than,
                settled=settled,
                waits=waits,
            )
    except TimeoutError:
        raise WaitTimeout(name_of(node), options.execution_id(execution), limit or 0.0) from None
    try:
        with engine.instruments.read(check.execution_id, check.node) as watched:
            watched.of(check.graph.name, check.graph.version)
            if not check.waits or limit == 0:
                found = check.at_once(fresh or await check.current())
            else:
                del fresh  # what was read before anybody listened may be old; nor is it to be kept
                known = check.newer_than is not None
                with engine.waiters.waiting(check.execution_id, check, ends_on_loss=known) as wait:
                    try:
                        async with asyncio.timeout_at(deadline):
                            current = await check.current()
                            if known and current.revision < check.revision:
                                raise lost(current)
                            wait.begin(current)
                        found = await wait.until(deadline)
                    except TimeoutError:
                        raise check.timed_out(limit or 0.0, tells=default is RAISE) from None
            watched.gives(found.value)
    except NotSetError:
        if default is RAISE:
            raise
        return NodeValue(check.node, check.graph.node_named(check.node).kind, default)
    defined = check.graph.node_named(check.node)
    return own_copy(defined, found, check.execution_id, type_of(node))


async def _checked_call(
    engine: Engine,
    execution: Execution | str,
    node: NodeName,
    *,
    wait_new: bool,
    newer_than: int | None,
    settled: bool,
    waits: bool,
) -> "tuple[ValueCheck, State | None]":
    """The call as a ValueCheck; and the execution as of now, if that had to be read."""
    snapshot = state_of(execution)
    named = await checked(
        engine,
        execution,
        lambda graph: graph.node_named(node),
        as_of_now=wait_new and snapshot is None,
    )
    state, defined = snapshot or named.state, named.result
    check = ValueCheck(
        engine=engine,
        execution_id=state.execution_id,
        graph=named.graph,
        definition=named.state.graph_hash,
        node=defined.name,
        newer_than=state.value_of(defined).revision if wait_new else newer_than,
        revision=state.revision if wait_new else 0,
        settled=settled,
        waits=waits,
    )
    return check, named.state if named.is_current else None


@dataclass(slots=True, kw_only=True, eq=False)
class ValueCheck:
    """Looks at states for a value of a node: any, one newer than a revision, or the settled one.

    Called with a state, it gives the NodeValue or NOT_YET, or raises what the caller gets. `waits`:
    the caller wants to wait for it, be it for 0 seconds. `revision` is the execution's as the
    caller knows it, if that counts; `is_archived` is how the execution was when last looked at.
    `graph` is what that state is read by, whose `definition` is the one with this hash.
    """

    engine: Engine
    execution_id: str
    graph: Graph
    definition: str
    node: str
    newer_than: int | None
    revision: int
    settled: bool
    waits: bool
    is_archived: bool = False

    async def current(self) -> State:
        """The execution as of now, and what there is to know to look at it."""
        state = await self.engine.current(self.execution_id)
        if state.graph_hash != self.definition:
            await self.engine.graph_of(state)
        return state

    def at_once(self, state: State) -> NodeValue:
        """The value, for a caller who does not wait; raises NotSetError, or WaitTimeout."""
        found = self(state)
        if isinstance(found, NodeValue):
            return found
        if self.waits:
            raise self.timed_out(0.0)
        raise NotSetError(self.node, self.execution_id)

    def timed_out(self, timeout: float, *, tells: bool = True) -> WaitTimeout:
        """The error for a caller who has waited in vain, for `timeout` seconds.

        `tells`: what keeps the value, too; nobody reads that of one in whose place a default is
        given.
        """
        why, state = None, self.engine.cache.get(self.execution_id) if tells else None
        if state is not None and not self.is_archived:
            why = hindrance(state, self.graph, self.node, self.engine.clock.now())
        return WaitTimeout(
            self.node, self.execution_id, timeout, archived=self.is_archived, why=why
        )

    def __call__(self, state: State) -> NodeValue | object:
        self.is_archived = state.archived_at is not None
        if self.settled or state.graph_hash != self.definition:
            self.graph, evolves = self.engine.registry.resolve(state)
            self.definition = state.graph_hash
            self.graph.node_named(self.node)  # raises UnknownNodeError if it has left the graph
            if self.settled:
                is_to_evolve = evolves and state.archived_at is None  # else it stays as it is
                return NOT_YET if is_to_evolve else self._settled_value(state)
        return self._value(state)

    def _value(self, state: State) -> NodeValue | object:
        node = self.node
        if node not in state.values and node not in state.newest and node not in SYSTEM_NAMES:
            return NOT_YET  # so it is of most waits, of which there may be thousands
        value = state.value_of(self.graph.node_named(node))
        if value.is_set and (self.newer_than is None or value.revision > self.newer_than):
            return value
        _raise_if_failed(failed_computation(self.graph, state, node))
        return NOT_YET

    def _settled_value(self, state: State) -> NodeValue | object:
        graph, node, now = self.graph, self.graph.node_named(self.node), self.engine.clock.now()
        if not is_settled(graph, state, node.name, now):
            return NOT_YET
        if has_come(graph, state, node.name, now):
            return NOT_YET
        _raise_if_failed(failed_upstream(graph, state, node.name))
        value = state.value_of(node)
        if not value.is_set:
            raise NotSetError(node.name, state.execution_id)
        return value


def _is_wait(*, wait_any: bool, wait_new: bool, newer_than: int | None, settled: bool) -> bool:
    """Whether anything is waited for; raises InvalidOptionError for more than one thing."""
    given = [
        name
        for name, on in [
            ("wait_any", wait_any),
            ("wait_new", wait_new),
            ("newer_than", newer_than is not None),
            ("settled", settled),
        ]
        if options.flag(name, on)
    ]
    if len(given) > 1:
        raise InvalidOptionError(f"{' and '.join(given)} exclude each other; give one of them")
    if newer_than is not None and not options.is_whole(newer_than):
        raise InvalidOptionError(f"newer_than must be a revision, not {options.shown(newer_than)}")
    return bool(given)


def _raise_if_failed(failed: Computation | None) -> None:
    if failed is None:
        return
    is_loop = failed.state is ComputationState.SUCCESS  # of an iteration that wants another one
    attempts = (is_loop and failed.iteration) or failed.attempt
    raise ComputationFailed(
        failed.node, failed.execution_id, attempts, failure_of(failed), is_loop=is_loop
    )
