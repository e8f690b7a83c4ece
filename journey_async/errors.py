"""The errors that callers of journey_async get.

    JourneyError
    ├─ GraphError                     a graph, node or condition that cannot be right
    │  ├─ InvalidNodeError            a node's name or options
    │  ├─ DuplicateNodeError
    │  ├─ UnknownUpstreamError
    │  ├─ CircularDependencyError
    │  ├─ MutationTargetError
    │  ├─ ParameterError              a function whose parameters cannot be bound
    │  ├─ ConditionError              a condition that means nothing, or is used as a bool
    │  └─ GraphConflictError          a changed definition that live executions cannot take on
    ├─ SingletonGraphError            start_execution on a singleton, find_or_start on another graph
    ├─ GraphNotRegisteredError        neither this process nor the database knows the graph
    ├─ ExecutionNotFound
    ├─ ExecutionArchivedError
    ├─ ComputationNotFound
    ├─ UnknownNodeError
    ├─ NotAnInputError
    ├─ InvalidValueError              not JSON, too large, too deep, or not of the node's type
    ├─ StoredTypeError                what is stored is not of the type that is declared
    ├─ InvalidOptionError             an argument of a verb
    ├─ NotSetError
    │  └─ WaitTimeout                 (also a TimeoutError)
    ├─ ComputationFailed
    ├─ PermanentError                 raised by a node's function: do not try again
    ├─ DatabaseUnavailable
    ├─ MigrationError
    └─ EmbeddedPostgresError

Each carries its data as attributes and says in one sentence what was wrong with what.
"""

from collections.abc import Sequence
from typing import Any


class JourneyError(Exception):
    """The base of all errors of this package."""

    def __reduce__(self) -> tuple[Any, ...]:
        """As pickle and copy want it: most are made of other things than their message."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(
    kind: type[JourneyError], args: tuple[Any, ...], data: dict[str, Any]
) -> JourneyError:
    # by the base that Python itself lays out: LookupError's would not do for a TimeoutError
    new = OSError.__new__ if issubclass(kind, OSError) else Exception.__new__
    error = new(kind, *args)
    error.args = args
    error.__dict__.update(data)
    return error


class GraphError(JourneyError):
    """A graph that cannot be right; raised when it is built, before anything is written."""


class InvalidNodeError(GraphError):
    """A node's name or one of its options is not what it must be."""

    def __init__(self, message: str, *, node: str | None = None) -> None:
        super().__init__(message)
        self.node = node


class DuplicateNodeError(GraphError):
    """Two nodes of a graph share a name."""

    def __init__(self, node: str, graph: str, *, of_itself: bool = False) -> None:
        also = ", which every graph has of itself" if of_itself else ""
        super().__init__(
            f"graph {graph!r} has two nodes named {node!r}{also}; each needs its own name"
        )
        self.node = node
        self.graph_name = graph


class UnknownUpstreamError(GraphError):
    """A node waits for nodes that the graph does not have."""

    def __init__(self, node: str, missing: Sequence[str], known: Sequence[str]) -> None:
        super().__init__(
            f"node {node!r} is gated by {listed(missing)}, which the graph does not have; "
            f"its nodes are {listed(known)}"
        )
        self.node = node
        self.missing = tuple(missing)


class CircularDependencyError(GraphError):
    """Nodes wait for each other in a circle; `path` begins and ends with the same node."""

    def __init__(self, path: Sequence[str], graph: str) -> None:
        super().__init__(
            f"the nodes of graph {graph!r} wait for each other in a circle, {' → '.join(path)}; "
            f"gate one of them by something else"
        )
        self.path = tuple(path)
        self.graph_name = graph


class MutationTargetError(GraphError):
    """A mutate node names a target that it cannot write."""

    def __init__(self, node: str, target: str, reason: str) -> None:
        super().__init__(f"mutate node {node!r} cannot write {target!r}: {reason}")
        self.node = node
        self.target = target
        self.reason = reason


class ParameterError(GraphError):
    """A function's parameter that no node, `values` or `context` can fill."""

    def __init__(self, node: str, parameter: str, message: str) -> None:
        super().__init__(message)
        self.node = node
        self.parameter = parameter


class ConditionError(GraphError, TypeError):
    """A condition that means nothing, or one that is used as if it were True or False."""


class GraphConflictError(GraphError):
    """Live executions cannot take on a definition: a node of theirs changed its kind."""

    def __init__(
        self, graph_name: str, graph_version: str, *, node: str, was: str, now: str, executions: int
    ) -> None:
        live = "1 live execution" if executions == 1 else f"{executions} live executions"
        super().__init__(
            f"node {node!r} of graph {graph_name!r} version {graph_version!r} was registered as "
            f"{was} and is now {now}, which {live} cannot take on; give the graph a new version"
        )
        self.graph_name = graph_name
        self.graph_version = graph_version
        self.node = node
        self.was = was
        self.now = now
        self.executions = executions


class SingletonGraphError(JourneyError):
    """The verb doesn't fit: a singleton graph has one live execution, other graphs have many."""

    def __init__(self, message: str, *, graph_name: str) -> None:
        super().__init__(message)
        self.graph_name = graph_name


class GraphNotRegisteredError(JourneyError, LookupError):
    """A graph is needed, and neither this process nor the database knows it.

    `known` are those that the database knows, where that is the way out; else it is to pass the
    graph's code.
    """

    def __init__(
        self, graph_name: str, graph_version: str | None, *, known: Sequence[str] | None = None
    ) -> None:
        version = "" if graph_version is None else f" version {graph_version!r}"
        way_out = (
            "pass it to Journey(graphs=[…])"
            if known is None
            else f"registered are {listed(known)}, and a worker or --app registers more"
        )
        super().__init__(f"graph {graph_name!r}{version} is not registered; {way_out}")
        self.graph_name = graph_name
        self.graph_version = graph_version
        self.known = None if known is None else tuple(known)


class ExecutionNotFound(JourneyError, LookupError):
    """There is no such execution, or it is archived and the verb wants live ones."""

    def __init__(self, execution_id: str, *, archived: bool = False) -> None:
        message = (
            f"execution {execution_id!r} is archived; pass include_archived=True to load it"
            if archived
            else f"there is no execution {execution_id!r} in this database and schema"
        )
        super().__init__(message)
        self.execution_id = execution_id
        self.archived = archived


class ExecutionArchivedError(JourneyError):
    """An archived execution can be read, not written."""

    def __init__(self, execution_id: str) -> None:
        super().__init__(
            f"execution {execution_id!r} is archived and takes no writes; unarchive it first"
        )
        self.execution_id = execution_id


class ComputationNotFound(JourneyError, LookupError):
    """There is no such computation, or it is not in a state in which the verb makes sense."""

    def __init__(self, computation_id: str, message: str | None = None) -> None:
        super().__init__(message or f"there is no computation {computation_id!r}")
        self.computation_id = computation_id


class UnknownNodeError(JourneyError, LookupError):
    """The graph has no node of that name."""

    def __init__(self, node: str, graph_name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"graph {graph_name!r} has no node {node!r}; its nodes are {listed(known)}"
        )
        self.node = node
        self.graph_name = graph_name
        self.known = tuple(known)


class NotAnInputError(JourneyError):
    """Only input nodes can be set and unset."""

    def __init__(self, node: str, graph_name: str, inputs: Sequence[str]) -> None:
        super().__init__(
            f"node {node!r} of graph {graph_name!r} is not an input and cannot be set or unset; "
            f"its inputs are {listed(inputs)}"
        )
        self.node = node
        self.graph_name = graph_name
        self.inputs = tuple(inputs)


class InvalidValueError(JourneyError, ValueError):
    """A value or metadata that cannot be stored: not JSON, too large, too deep, of another type.

    Where `node` is not known yet the message is a predicate, as "is not JSON": whoever catches the
    error says of what. `reasons` is what speaks against the type, without the name of the type.
    """

    def __init__(
        self, message: str, *, node: str | None = None, reasons: str | None = None
    ) -> None:
        super().__init__(f"the value for node {node!r} {message}" if node else message)
        self.node = node
        self.reasons = reasons


class StoredTypeError(JourneyError, ValueError):
    """What is stored for a node is not of its type: that was changed, or others set the value.

    `stored` is what JSON calls the value (the value itself may be secret), `declared` the name of
    the type, `reasons` what pydantic calls that which does not fit.
    """

    def __init__(
        self, node: str, execution_id: str, *, stored: str, declared: str, reasons: Sequence[str]
    ) -> None:
        super().__init__(
            f"node {node!r} of execution {execution_id!r} holds a JSON {stored} that does not fit "
            f"the type {declared} ({', '.join(reasons)}); set another value, or declare a type "
            f"that takes what is stored"
        )
        self.node = node
        self.execution_id = execution_id
        self.stored = stored
        self.declared = declared
        self.reasons = tuple(reasons)


class InvalidOptionError(JourneyError, ValueError):
    """An argument of a verb that means nothing."""


class NotSetError(JourneyError, LookupError):
    """The node has no value."""

    def __init__(self, node: str, execution_id: str, message: str | None = None) -> None:
        super().__init__(message or f"node {node!r} of execution {execution_id!r} is not set")
        self.node = node
        self.execution_id = execution_id


class WaitTimeout(NotSetError, TimeoutError):
    """The value that was waited for did not come in time, maybe as the execution is `archived`.

    `why` tells what keeps it, as far as that is known.
    """

    def __init__(
        self,
        node: str,
        execution_id: str,
        timeout: float,
        *,
        archived: bool = False,
        why: str | None = None,
    ) -> None:
        if archived:
            why = "it is archived and nothing of it runs; unarchive it first"
        super().__init__(
            node,
            execution_id,
            f"node {node!r} of execution {execution_id!r} did not get the value "
            f"waited for within {timeout:g} seconds{'' if why is None else f': {why}'}",
        )
        self.timeout = timeout
        self.archived = archived
        self.why = why


class ComputationFailed(JourneyError):
    """The attempts at computing a node are used up; `last_error` is what the last one said.

    Or the iterations of a loop are: then `attempts` counts these. `tries` is that in words.
    """

    def __init__(
        self,
        node: str,
        execution_id: str,
        attempts: int,
        last_error: str | None,
        *,
        is_loop: bool = False,
    ) -> None:
        tried = "iteration" if is_loop else "attempt"
        self.tries = f"{attempts} {tried if attempts == 1 else f'{tried}s'}"
        super().__init__(
            f"node {node!r} of execution {execution_id!r} failed after {self.tries}: {last_error}"
        )
        self.node = node
        self.execution_id = execution_id
        self.attempts = attempts
        self.last_error = last_error
        self.is_loop = is_loop


class PermanentError(JourneyError):
    """Raise it in a node's function to say that trying again would not help."""


class DatabaseUnavailable(JourneyError, ConnectionError):
    """PostgreSQL could not be reached for as long as the call was ready to wait.

    Or the Journey was closed meanwhile; or the database has lost what the call waits for news of,
    as a standby may that was behind.
    """


class MigrationError(JourneyError):
    """The schema in the database and the migrations of this package do not fit together."""


class EmbeddedPostgresError(JourneyError):
    """The private PostgreSQL of `embedded:` could not be found, created or started."""


def listed(names: Sequence[str], most: int = 20) -> str:
    """Names as an error shows them: all of a few, the first of many."""
    shown = ", ".join(repr(name) for name in names[:most])
    more = len(names) - most
    return f"{shown} and {more} more" if more > 0 else shown or "none"
