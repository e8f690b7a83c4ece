"""Checks what a verb is given by the graph of its execution, before anything is written."""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from journey_async.client import options
from journey_async.client.execution import Execution, state_of
from journey_async.core.graph import Graph
from journey_async.core.state import State
from journey_async.engine.engine import Engine
from journey_async.errors import (
    DatabaseUnavailable,
    GraphNotRegisteredError,
    InvalidValueError,
    JourneyError,
    NotAnInputError,
    UnknownNodeError,
)

T = TypeVar("T")


class Checked(NamedTuple, Generic[T]):
    """What a check gave, and by which state and graph; `is_current`: read in this call."""

    result: T
    state: State
    graph: Graph
    is_current: bool


async def checked(
    engine: Engine,
    execution: Execution | str,
    check: Callable[[Graph], T],
    *,
    as_of_now: bool = False,
) -> Checked[T]:
    """Check by the execution as it is known here, be it by a snapshot; or else `as_of_now`.

    What is refused is checked as of now, too: the execution may have moved on to a definition that
    welcomes it. Raises what `check` raises, ExecutionNotFound, GraphNotRegisteredError,
    DatabaseUnavailable.
    """
    execution_id, known = options.execution_id(execution), state_of(execution)
    cached = engine.cache.get(execution_id)
    if known is None or (cached is not None and cached.version > known.version):
        known = cached
    refusal: JourneyError | None = None
    if known is not None and not as_of_now:
        try:
            graph = await engine.graph_of(known)
            return Checked(check(graph), known, graph, is_current=False)
        except GraphNotRegisteredError:
            pass  # a snapshot may be of another database or schema, which says so
        except (UnknownNodeError, NotAnInputError, InvalidValueError) as error:
            refusal = error
    try:  # what was refused is not worth waiting for a database that is away
        state = await engine.current(execution_id, once=refusal is not None)
    except DatabaseUnavailable:
        if refusal is not None:
            raise refusal from None
        raise
    graph = await engine.graph_of(state)
    return Checked(check(graph), state, graph, is_current=True)
