"""What an HTTP client is told of each error: a status, and a body that says no more than it must.

Shared by all frameworks; knows none of them. Nothing of what is inside gets out: no addresses, no
texts of exceptions that a node's function raised, no values but those that the client sent.
"""

from dataclasses import dataclass, field
from typing import Any

from journey_async.engine.logs import log
from journey_async.errors import (
    CircularDependencyError,
    ComputationFailed,
    ComputationNotFound,
    ConditionError,
    DatabaseUnavailable,
    DuplicateNodeError,
    EmbeddedPostgresError,
    ExecutionArchivedError,
    ExecutionNotFound,
    GraphConflictError,
    GraphError,
    GraphNotRegisteredError,
    InvalidNodeError,
    InvalidOptionError,
    InvalidValueError,
    JourneyError,
    MigrationError,
    MutationTargetError,
    NotAnInputError,
    NotSetError,
    ParameterError,
    PermanentError,
    SingletonGraphError,
    StoredTypeError,
    UnknownNodeError,
    UnknownUpstreamError,
    WaitTimeout,
)

OURS = "something is wrong on the server"

STATUS: dict[type[JourneyError], int] = {
    # what was asked for is not there
    ExecutionNotFound: 404,
    ComputationNotFound: 404,
    UnknownNodeError: 404,
    NotSetError: 404,
    # what was asked for does not go with how the execution stands
    ExecutionArchivedError: 409,
    SingletonGraphError: 409,
    ComputationFailed: 409,
    StoredTypeError: 409,
    # what was sent means nothing
    InvalidValueError: 422,
    InvalidOptionError: 422,
    NotAnInputError: 422,
    # not now
    DatabaseUnavailable: 503,
    WaitTimeout: 504,
    # mistakes of whoever wrote or runs the server
    JourneyError: 500,
    PermanentError: 500,
    GraphNotRegisteredError: 500,
    MigrationError: 500,
    EmbeddedPostgresError: 500,
    GraphError: 500,
    InvalidNodeError: 500,
    DuplicateNodeError: 500,
    UnknownUpstreamError: 500,
    CircularDependencyError: 500,
    MutationTargetError: 500,
    ParameterError: 500,
    ConditionError: 500,
    GraphConflictError: 500,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer to a request that could not be done; `error` is the name of the error's class."""

    status: int
    error: str
    detail: str
    node: str | None = None
    headers: dict[str, str] = field(default_factory=lambda: {"Cache-Control": "no-store"})

    @property
    def body(self) -> dict[str, Any]:
        """What is sent as JSON."""
        body = {"error": self.error, "detail": self.detail}
        return body if self.node is None else {**body, "node": self.node}


def problem_of(error: JourneyError) -> Problem:
    """What the client is told. What is not its own doing is logged."""
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    if status >= 500 and not isinstance(error, WaitTimeout):
        log.error("a request could not be answered", exc_info=error)
    if status == 500:
        return Problem(status, "ServerError", OURS)
    is_sent = isinstance(error, UnknownNodeError | NotAnInputError)  # may be anything
    node = None if is_sent else getattr(error, "node", None)
    problem = Problem(status, type(error).__name__, _detail(error), node)
    if status == 503:
        problem.headers["Retry-After"] = "1"
    return problem


def _detail(error: JourneyError) -> str:
    """A sentence for the client; those of the errors themselves are for whoever calls the verbs."""
    match error:
        case ExecutionNotFound(execution_id=execution_id):
            return f"there is no execution {execution_id!r:.100}"
        case ComputationNotFound(computation_id=computation_id):
            return f"there is no computation {computation_id!r:.300} for which this makes sense"
        case UnknownNodeError(node=node):
            return f"there is no node {node!r:.220}"
        case WaitTimeout(node=node, timeout=timeout, archived=archived):
            why = ": its execution is archived" if archived else ""
            return f"node {node!r} did not get the value waited for within {timeout:g} seconds{why}"
        case NotSetError(node=node):
            return f"node {node!r} is not set"
        case ExecutionArchivedError(execution_id=execution_id):
            return f"execution {execution_id!r} is archived and takes no writes"
        case SingletonGraphError():
            return "there is one live execution of this graph, and can be no other"
        case ComputationFailed(node=node, tries=tries):
            return f"node {node!r} could not be computed in {tries}"
        case StoredTypeError(node=node):
            return f"node {node!r} holds what is not of the type that it should be"
        case NotAnInputError(node=node):
            return f"node {node!r:.220} is not an input and cannot be set or unset"
        case InvalidValueError(node=None):
            return "what was sent is not JSON that can be stored"
        case InvalidValueError(node=node, reasons=str(reasons)):
            return f"the value for node {node!r} does not fit: {reasons}"
        case InvalidValueError() | InvalidOptionError():
            return str(error)
        case DatabaseUnavailable():
            return "the database cannot be reached; try again"
    return OURS
