"""Checks what callers pass to the verbs, before anything is written."""

import re
from collections.abc import Iterable, Mapping
from math import inf, isfinite
from typing import Protocol, TypeVar

from typing_extensions import TypeIs

from journey_async.client.execution import Execution
from journey_async.core.graph import Graph, GraphKey
from journey_async.core.jsonvalue import JSON
from journey_async.core.model import storable
from journey_async.core.reference import NodeName, type_of
from journey_async.core.values import ComputationKey
from journey_async.engine.results import stored
from journey_async.errors import (
    ComputationNotFound,
    ExecutionNotFound,
    InvalidOptionError,
    InvalidValueError,
)

T = TypeVar("T")


class Inputs(Protocol):
    """A mapping of nodes, by name or reference, to values.

    Said by what it gives, for as a Mapping its keys would have to be of one type alone; what is no
    Mapping is refused all the same.
    """

    def items(self) -> Iterable[tuple[NodeName, object]]:
        """The nodes with their values."""


_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_NEW_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")  # a hyphen first would be an option


def execution_id(execution: Execution | str) -> str:
    """The id of what a verb was given; raises ExecutionNotFound for a text that cannot be one, and
    InvalidOptionError for what is neither an execution nor a text.
    """
    if isinstance(execution, Execution):
        return execution.id
    if not isinstance(execution, str):
        raise InvalidOptionError(f"an execution or its id is wanted, not {shown(execution)}")
    if not _ID.fullmatch(execution):
        raise ExecutionNotFound(execution)
    return execution


def new_id(execution_id: str) -> str:
    """The id for a new execution; raises InvalidOptionError for what cannot be one."""
    if not isinstance(execution_id, str) or not _NEW_ID.fullmatch(execution_id):
        raise InvalidOptionError(
            f"execution_id must be 1 to 80 letters, digits, _ and, but for the first, -, "
            f"not {shown(execution_id)}"
        )
    return execution_id


def checked_graph(graph: Graph) -> Graph:
    """The graph, if it is one; raises InvalidOptionError."""
    if not isinstance(graph, Graph):
        raise InvalidOptionError(f"a graph is wanted, not {graph!r:.100}")
    return graph


def computation_key(computation_id: str) -> tuple[str, ComputationKey]:
    """The execution's id and the key of a computation; raises ComputationNotFound."""
    if isinstance(computation_id, str):
        execution, _, rest = computation_id.partition(":")
        node, _, number = rest.rpartition(":")
        if _ID.fullmatch(execution) and re.fullmatch(r"[0-9]{1,9}", number):
            return execution, ComputationKey(node, int(number))
    raise ComputationNotFound(computation_id)


def storable_values(graph: Graph, values: Inputs, max_bytes: int) -> dict[str, JSON]:
    """The values as they will be stored; raises InvalidValueError.

    What a reference says of the type counts where the input says nothing. Raises UnknownNodeError,
    NotAnInputError for what is no input, InvalidOptionError for one that is named twice.
    """
    if not isinstance(values, Mapping):
        raise InvalidOptionError(
            f"values must map nodes to values, not be a {type(values).__name__}"
        )
    checked: dict[str, JSON] = {}
    for given, value in values.items():
        node = graph.input_named(given)
        name = node.name
        if name in checked:
            raise InvalidOptionError(f"the node {name!r} is named twice; give it one value")
        said = type_of(given)
        try:
            node_type = node.type if node.type.is_checked else said
            checked[name] = stored(value, max_bytes, node_type)
        except InvalidValueError as error:
            raise InvalidValueError(str(error), node=name, reasons=error.reasons) from None
    return checked


def storable_metadata(metadata: object, max_bytes: int) -> JSON:
    """The metadata as it will be stored; raises InvalidValueError."""
    try:
        return stored(metadata, max_bytes)
    except InvalidValueError as error:
        raise InvalidValueError(f"the metadata {error}") from None


def checked_graphs(graphs: object) -> tuple[Graph, ...]:
    """The graphs, if they are some; raises InvalidOptionError."""
    if not isinstance(graphs, Iterable) or isinstance(graphs, Graph):
        raise InvalidOptionError(f"graphs must be a list of graphs, not {shown(graphs)}")
    checked = tuple(checked_graph(graph) for graph in graphs)
    hashes: dict[GraphKey, str] = {}
    for graph in checked:
        if hashes.setdefault(graph.key, graph.hash) != graph.hash:
            raise InvalidOptionError(
                f"graphs has two definitions of {graph.name!r} version {graph.version!r}; give one "
                f"of them another name or version"
            )
    return checked


def text(name: str, given: str | None) -> str | None:
    """A text, or None; raises InvalidOptionError."""
    if given is not None and not isinstance(given, str):
        raise InvalidOptionError(f"{name} must be a text, not a {type(given).__name__}")
    return given


def storable_text(name: str, given: object) -> str:
    """A text that PostgreSQL can store; raises InvalidOptionError."""
    if not isinstance(given, str):
        raise InvalidOptionError(f"{name} must be a text, not {shown(given)}")
    try:
        return storable(given)
    except ValueError as error:
        raise InvalidOptionError(f"{name} {error}: {shown(given)}") from None


def flag(name: str, given: object) -> bool:
    """True or False; raises InvalidOptionError."""
    if not isinstance(given, bool):
        raise InvalidOptionError(f"{name} must be True or False, not {shown(given)}")
    return given


def having(name: str, given: T, *methods: str) -> T:
    """An object that has these methods, or None; raises InvalidOptionError."""
    if isinstance(given, type):
        raise InvalidOptionError(f"{name} must be an object, not the class {given.__name__}")
    missing = [method for method in methods if not callable(getattr(given, method, None))]
    if given is not None and missing:
        raise InvalidOptionError(f"{name} must have {' and '.join(missing)}, not {shown(given)}")
    return given


def is_whole(number: object) -> TypeIs[int]:
    """Whether it is a whole number; a bool is none."""
    return isinstance(number, int) and not isinstance(number, bool)


def positive(name: str, number: object, *, most: float = inf) -> int:
    """A whole number of at least 1; raises InvalidOptionError."""
    if not is_whole(number) or not 1 <= number <= most:
        limits = "at least 1" + (f" and at most {most:.0f}" if most < inf else "")
        raise InvalidOptionError(f"{name} must be a whole number, {limits}, not {shown(number)}")
    return number


def seconds(name: str, number: object, *, least: float = 0.0, most: float = inf) -> float:
    """A number of seconds; raises InvalidOptionError."""
    found = as_float(number)
    if found is None or not least <= found <= most:
        limits = f"at least {least:g}" + (f" and at most {most:g}" if most < inf else "")
        raise InvalidOptionError(f"{name} must be seconds, {limits}, not {shown(number)}")
    return found


def timeout(given: object) -> float | None:
    """The seconds of a timeout, None for no limit; raises InvalidOptionError."""
    if given is None:
        return None
    limit = as_float(given)
    if limit is None or limit < 0 or not isfinite(limit):
        raise InvalidOptionError(
            f"timeout must be a number of seconds, or None for no limit, not {shown(given)}"
        )
    return limit


def as_float(number: object) -> float | None:
    """The number, None for what is none, or has too many digits for a float."""
    if isinstance(number, bool) or not isinstance(number, int | float):
        return None
    try:
        return float(number)
    except OverflowError:
        return None


def shown(given: object) -> str:
    """What was given, for the message of an error."""
    try:
        return f"{given!r:.80}"
    except Exception:  # a number with too many digits, or somebody's __repr__
        return f"a {type(given).__name__}"
