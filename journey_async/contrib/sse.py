"""Events of an execution as server-sent events; shared by all frameworks, knows none of them.

An event's id is the revision from which to go on, so that a browser that was cut off asks by its
`Last-Event-ID` for what it has missed.
"""

import json
from collections.abc import Mapping
from typing import Any

from journey_async.client.execution import Execution, stored_value
from journey_async.client.watching import Event, EventKind

HELLO = "retry: 2000\n\n"  # milliseconds until a browser that was cut off comes back
KEEP_ALIVE = ": still here\n\n"
SILENCE = 15.0  # seconds after which proxies may cut a connection that says nothing

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy is not to collect them
}


def position(revision: int) -> str:
    """A message with an id alone: a page sees nothing of it, but its browser keeps the id.

    So a browser that is cut off before the first event asks for what happened from here on.
    """
    return f"id: {revision}\n\n"


def message_of(event: Event, execution: Execution) -> str:
    """An event of an execution in the form in which it is sent."""
    return f"id: {event.resume_from}\ndata: {json.dumps(event_data(event, execution))}\n\n"


def event_data(event: Event, execution: Execution) -> dict[str, Any]:
    """What is told of an event: not why an attempt failed, which is nobody's business outside."""
    value = None
    if event.node is not None and event.kind is EventKind.SET:
        value = stored_value(execution, event.node, event.value)
    return {
        "kind": event.kind.value,
        "revision": event.revision,
        "node": event.node,
        "value": value,
        "metadata": event.metadata,
        "time": None if event.time is None else event.time.isoformat(),
    }
