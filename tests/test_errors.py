"""What errors have in common."""

import copy
import pickle
from collections.abc import Iterator

import pytest

from journey_async import errors
from journey_async.errors import (
    CircularDependencyError,
    ComputationFailed,
    ComputationNotFound,
    DatabaseUnavailable,
    DuplicateNodeError,
    ExecutionArchivedError,
    ExecutionNotFound,
    GraphConflictError,
    GraphNotRegisteredError,
    InvalidNodeError,
    InvalidOptionError,
    InvalidValueError,
    JourneyError,
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

EXAMPLES: list[JourneyError] = [
    InvalidNodeError("no", node="x"),
    DuplicateNodeError("x", "g"),
    UnknownUpstreamError("x", ["y"], ["z"]),
    CircularDependencyError(["a", "b", "a"], "g"),
    MutationTargetError("m", "t", "why"),
    ParameterError("x", "p", "no"),
    GraphConflictError("g", "v1", node="x", was="input", now="compute", executions=3),
    SingletonGraphError("no", graph_name="g"),
    GraphNotRegisteredError("g", "v1"),
    ExecutionNotFound("EXEC1", archived=True),
    ExecutionArchivedError("EXEC1"),
    ComputationNotFound("EXEC1:x:1"),
    UnknownNodeError("x", "g", ["y"]),
    NotAnInputError("x", "g", ["y"]),
    InvalidValueError("no", node="x"),
    StoredTypeError("x", "EXEC1", stored="text", declared="int", reasons=["int_type"]),
    InvalidOptionError("no"),
    NotSetError("x", "EXEC1"),
    WaitTimeout("x", "EXEC1", 1.0, why="nobody has set 'x'"),
    ComputationFailed("x", "EXEC1", 3, "no", is_loop=True),
    PermanentError("no"),
    DatabaseUnavailable("no"),
]


def kinds(of: type[JourneyError]) -> Iterator[type[JourneyError]]:
    yield of
    for kind in of.__subclasses__():
        yield from kinds(kind)


def test_there_is_an_example_of_every_error_with_data_of_its_own() -> None:
    public = {k for k in kinds(JourneyError) if k.__module__ == errors.__name__}
    with_data = {kind for kind in public if "__init__" in vars(kind)}
    assert with_data <= {type(error) for error in EXAMPLES}


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_survives_pickling_and_copying(error: JourneyError) -> None:
    """As from a pool of processes, or a task queue."""
    for restored in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(restored) is type(error)
        assert str(restored) == str(error)
        assert vars(restored) == vars(error)
