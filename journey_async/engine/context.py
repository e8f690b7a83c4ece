"""What a node's function can learn about its call."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from journey_async.core import jsonvalue
from journey_async.core.values import Computation, NodeValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The call of a node's function.

    `attempt` counts from 1 since the newest upstream change; `iteration` is a loop's, from 1.
    `idempotency_key` is the same for all attempts on the same inputs: hand it to whatever must not
    happen twice. `deadline` is when the attempt is given up. `upstream` maps the upstream nodes
    whose condition was met to what they held.
    """

    execution_id: str
    graph_name: str
    graph_version: str
    node_name: str
    attempt: int
    iteration: int | None
    idempotency_key: str
    deadline: datetime
    upstream: Mapping[str, NodeValue]
    journey: Any


def idempotency_key(computation: Computation, created_at: datetime) -> str:
    """A text that all attempts on the same inputs share, and that no other run of the node has.

    Successes are counted in, for a recurring tick or a loop runs again on inputs it has seen; and
    when the execution was created, for another one may have had the same id, and was purged.
    """
    inputs = jsonvalue.encode(dict(sorted(computation.computed_with.items())))
    seen = f"{created_at.isoformat()} {inputs}"
    digest = hashlib.sha256(seen.encode()).hexdigest()[:16]
    return f"{computation.execution_id}:{computation.node}:{computation.successes + 1}:{digest}"
