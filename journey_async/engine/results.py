"""Turns what a node's function returned into what is stored."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from journey_async.core import jsonvalue
from journey_async.core.built_in import seconds_of
from journey_async.core.commands import Succeed
from journey_async.core.jsonvalue import JSON
from journey_async.core.loops import Continue, Done
from journey_async.core.nodes import (
    InputNode,
    LoopNode,
    MutateNode,
    Node,
    Step,
    TickOnceNode,
    TickRecurringNode,
)
from journey_async.core.types import ANY, NodeType
from journey_async.core.values import Computation
from journey_async.errors import InvalidValueError


def success(
    step: Step,
    nodes: Mapping[str, Node],
    computation: Computation,
    returned: Any,
    *,
    now: Callable[[], datetime],
    max_bytes: int,
) -> Succeed:
    """The command that records a result; raises InvalidValueError for one that can't be stored.

    `now` tells the time, for a tick.
    """
    token = computation.token or 0
    continues = fallback = False
    if type(step) is TickOnceNode or type(step) is TickRecurringNode:
        value: JSON = _tick(returned, now())
    elif type(step) is LoopNode:
        continues = isinstance(returned, Continue)
        fallback = isinstance(returned, Continue) and returned.fallback
        carried = returned.value if isinstance(returned, Done | Continue) else returned
        value = stored(carried, max_bytes)
    elif type(step) is MutateNode:
        value = _mutation(step, nodes, returned, max_bytes)
    else:
        value = stored(returned, max_bytes)
    return Succeed(computation.key, token, value, continues=continues, fallback=fallback)


def _mutation(
    step: MutateNode, nodes: Mapping[str, Node], returned: object, max_bytes: int
) -> JSON:
    """The value for all targets: each must take it; one that has a type gives it its form."""
    plain, typed = None, []
    for target in step.mutates:
        node = nodes[target]
        node_type = node.type if isinstance(node, InputNode) else ANY
        try:
            plain = stored(returned, max_bytes, node_type)
        except InvalidValueError as error:
            raise InvalidValueError(f"for node {target!r} {error}") from None
        if not node_type.is_any:
            typed.append(plain)
    return typed[-1] if typed else plain


def stored(value: object, max_bytes: int, node_type: NodeType = ANY) -> JSON:
    """The value as it will be stored, checked against the node's type and the limit of size."""
    normal = node_type.to_json(value)
    if not isinstance(normal, bool | int | float | None):
        size = len(jsonvalue.encode(normal).encode())
        if size > max_bytes:
            raise InvalidValueError(
                f"has {size:,} bytes as JSON, more than the {max_bytes:,} that max_value_bytes "
                f"allows"
            )
    return normal


def _tick(returned: Any, now: datetime) -> JSON:
    if returned is None:
        return 0
    if isinstance(returned, timedelta | datetime):
        return _seconds_at(returned, now)
    if not jsonvalue.is_number(returned) or not 0 <= returned <= _LATEST:
        raise InvalidValueError(
            f"of a tick must be an aware datetime, a timedelta, unix seconds up to {_LATEST}, or "
            f"None or 0 for never; this {type(returned).__name__} is none of them"
        )
    seconds = jsonvalue.normalise(returned)
    whole = isinstance(seconds, float) and seconds.is_integer()
    return int(seconds) if whole else seconds  # type: ignore[arg-type]


def _seconds_at(returned: timedelta | datetime, now: datetime) -> int | float:
    """What has passed is due at once: before 1970, where 0 is never, as well."""
    if isinstance(returned, datetime) and returned.tzinfo is None:
        raise InvalidValueError("of a tick must be an aware datetime, and has no time zone")
    try:
        time = now + returned if isinstance(returned, timedelta) else returned
        return max(seconds_of(time), 1)
    except OverflowError:  # in UTC it is another year
        raise InvalidValueError("of a tick is a time beyond all calendars") from None


_LATEST = 253_402_300_799  # the last second that a datetime can express
