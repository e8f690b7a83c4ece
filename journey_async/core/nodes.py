"""The nodes of a graph, as frozen models, and the functions that build them."""

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from journey_async.core import jsonvalue
from journey_async.core.conditions import AnyCondition
from journey_async.core.functions import Function, FunctionField, callback
from journey_async.core.gates import GatedBy, gate, refuse_deep
from journey_async.core.model import Model, storable
from journey_async.core.retry import TEN_YEARS, Retry
from journey_async.core.schedules import Cron, Every
from journey_async.core.types import ANY, NodeType, TypeField, as_type
from journey_async.core.values import NodeKind, NodeValue
from journey_async.errors import GraphError, InvalidNodeError, MutationTargetError

MAX_NAME = 200


def _kept(given: object) -> object:
    whole = isinstance(given, int) and not isinstance(given, bool) and given > 0
    if given is None or given == "all" or whole:
        return given
    raise ValueError("must be a whole number of at least 1, or 'all'")


KeepLatest: TypeAlias = Annotated[int | Literal["all"] | None, BeforeValidator(_kept)]


class Node(Model):
    """What every node has: a name, and perhaps a callback for its outcomes."""

    name: str = Field(min_length=1, max_length=MAX_NAME, strict=True)
    on_save: FunctionField | None = None

    # Whether the value is cleared when the gate no longer holds.
    clearable: ClassVar[bool] = False

    kind: NodeKind

    @field_validator("name")
    @classmethod
    def _storable(cls, name: str) -> str:
        return storable(name)


class InputNode(Node):
    """A value that callers set."""

    kind: Literal[NodeKind.INPUT] = NodeKind.INPUT
    type: TypeField = ANY

    @field_validator("type", mode="before")
    @classmethod
    def _as_type(cls, given: Any, info: ValidationInfo) -> Any:
        return _naming(info, lambda: as_type(given))


EXECUTION_ID = "execution_id"
LAST_UPDATED_AT = "last_updated_at"
# Every graph begins with these: always set, and never by a caller.
SYSTEM_NODES = (InputNode(name=EXECUTION_ID), InputNode(name=LAST_UPDATED_AT))
SYSTEM_NAMES = frozenset(node.name for node in SYSTEM_NODES)
SYSTEM_TYPES = {EXECUTION_ID: str, LAST_UPDATED_AT: int}


class Step(Node):
    """A node that computes itself once its gate holds."""

    gated_by: AnyCondition
    retry: Retry = Retry()
    abandon_after_seconds: float = Field(default=60.0, gt=0, le=TEN_YEARS, strict=True)
    keep_latest_computations: KeepLatest = None
    keep_oldest_computations: int = Field(default=10, ge=1, strict=True)

    @field_validator("gated_by", mode="before")
    @classmethod
    def _as_gate(cls, given: Any, info: ValidationInfo) -> Any:
        if isinstance(given, Mapping):  # of a description
            _naming(info, lambda: refuse_deep(given))
            return given
        return _naming(info, lambda: gate(given))

    @model_validator(mode="after")
    def _knows_its_errors(self) -> Self:
        function = function_of(self)
        if function is not None and function.call is not None and self.retry.names:
            what = f"{self.retry.names[0]!r}, which is a text; give the class of errors itself"
            raise InvalidNodeError(f"node {self.name!r} gives up on {what}", node=self.name)
        return self


class ComputeNode(Step):
    """Computes a value."""

    kind: Literal[NodeKind.COMPUTE] = NodeKind.COMPUTE
    function: FunctionField
    clearable: ClassVar[bool] = True


class MutateNode(Step):
    """Computes a new value for other nodes."""

    kind: Literal[NodeKind.MUTATE] = NodeKind.MUTATE
    function: FunctionField
    mutates: tuple[Annotated[str, Field(strict=True)], ...] = Field(min_length=1)
    update_revision_on_change: bool = Field(default=False, strict=True)

    @field_validator("mutates", mode="before")
    @classmethod
    def _several(cls, given: object) -> object:
        if not isinstance(given, Sequence):  # such as a set, whose order is another in each process
            raise ValueError("must be a name or a list of names")
        return (given,) if isinstance(given, str) else given

    @field_validator("mutates")
    @classmethod
    def _each_once(cls, targets: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for target, times in Counter(targets).items():
            if times > 1:
                name = info.data.get("name", "")
                raise MutationTargetError(name, target, "it is listed more than once; name it once")
        return targets

    @property
    def marker(self) -> str:
        """What the mutate node itself holds after a mutation."""
        return f"updated {', '.join(self.mutates)}"


class HistorianNode(Step):
    """Records every change of its upstream nodes, newest first."""

    kind: Literal[NodeKind.HISTORIAN] = NodeKind.HISTORIAN
    max_entries: int | None = Field(default=1000, ge=1, strict=True)


class ArchiveNode(Step):
    """Archives its own execution."""

    kind: Literal[NodeKind.ARCHIVE] = NodeKind.ARCHIVE


class Tick(Step):
    """Becomes provided at a time, which a function or a schedule tells."""

    function: FunctionField | None = None

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.function is None) is (getattr(self, "schedule", None) is None):
            raise InvalidNodeError(
                f"tick {self.name!r} needs a function or a schedule, one of them", node=self.name
            )
        return self


class TickOnceNode(Tick):
    """Computes a time at which what waits for it is unblocked."""

    kind: Literal[NodeKind.TICK_ONCE] = NodeKind.TICK_ONCE
    schedule: Cron | None = None


class TickRecurringNode(Tick):
    """Computes a time, and after it has come the next one."""

    kind: Literal[NodeKind.TICK_RECURRING] = NodeKind.TICK_RECURRING
    schedule: Annotated[Cron | Every, Field(discriminator="kind")] | None = None


class LoopNode(Step):
    """Computes a value in iterations, each of them durable."""

    kind: Literal[NodeKind.LOOP] = NodeKind.LOOP
    function: FunctionField
    max_iterations: int = Field(ge=1, strict=True)
    clearable: ClassVar[bool] = True


AnyNode: TypeAlias = Annotated[
    InputNode
    | ComputeNode
    | MutateNode
    | HistorianNode
    | ArchiveNode
    | TickOnceNode
    | TickRecurringNode
    | LoopNode,
    Field(discriminator="kind"),
]


def _naming(info: ValidationInfo, build: Callable[[], Any]) -> Any:
    """Build a part of a node; what is wrong with the part is wrong with the node."""
    name = info.data.get("name")
    try:
        return build()
    except GraphError as error:
        raise InvalidNodeError(f"node {name!r}: {error}", node=name) from None


def function_of(node: Node) -> Function | None:
    """The user's function of a node, where it has one."""
    function: Function | None = getattr(node, "function", None)
    return function


def is_built_in(node: Node) -> bool:
    """Whether the node computes itself without a user's function."""
    return node.kind in (NodeKind.HISTORIAN, NodeKind.ARCHIVE) or (
        isinstance(node, TickOnceNode | TickRecurringNode) and node.schedule is not None
    )


def own_copy(
    node: Node | None, value: NodeValue, execution_id: str, read_as: NodeType = ANY
) -> NodeValue:
    """A value for its receiver to keep: copied, and parsed as a type, or else as that of the node.

    Raises StoredTypeError if what is stored does not fit the type.
    """
    if not value.is_set:
        return value
    if read_as.is_any and type(node) is InputNode:
        read_as = node.type
    return NodeValue(
        value.name,
        value.kind,
        read_as.parse(value.value, node=value.name, execution_id=execution_id),
        jsonvalue.copied(value.metadata),
        value.revision,
        value.set_time,
    )


# --- the constructors -------------------------------------------------------------------------


def input_node(
    name: str, *, type: Any = Any, on_save: Callable[..., Any] | None = None
) -> InputNode:
    """A value that callers set; with a `type`, validated strictly by pydantic in JSON mode."""
    if isinstance(type, str):
        raise InvalidNodeError(
            f"the type of node {name!r} is a text; give the type itself", node=name
        )
    return InputNode(name=name, type=type, on_save=callback(f"node {name!r}", on_save, name))


def compute(name: str, gated_by: GatedBy, f: Callable[..., Any], **step: Any) -> ComputeNode:
    """A node whose value `f` computes once `gated_by` holds.

    `step`: retry, abandon_after_seconds, on_save, keep_latest_computations,
    keep_oldest_computations; the same for every node that computes itself.
    """
    return ComputeNode(
        name=name, gated_by=gated_by, function=_callable(name, f), **_checked(name, step)
    )


def mutate(
    name: str,
    gated_by: GatedBy,
    f: Callable[..., Any],
    *,
    mutates: str | Sequence[str],
    update_revision_on_change: bool = False,
    **step: Any,
) -> MutateNode:
    """A node that writes what `f` returns into the nodes named by `mutates`.

    By default the targets keep their revision, so that nothing downstream runs again; with
    `update_revision_on_change`, a target whose value changes gets a new one.
    """
    return MutateNode(
        name=name,
        gated_by=gated_by,
        function=_callable(name, f),
        mutates=mutates,
        update_revision_on_change=update_revision_on_change,
        **_checked(name, step),
    )


def historian(
    name: str, gated_by: GatedBy, *, max_entries: int | None = 1000, **step: Any
) -> HistorianNode:
    """A node that keeps the history of its upstream nodes; `max_entries=None`: without limit."""
    return HistorianNode(
        name=name, gated_by=gated_by, max_entries=max_entries, **_checked(name, step)
    )


def archive(name: str, gated_by: GatedBy, **step: Any) -> ArchiveNode:
    """A node that archives its execution once `gated_by` holds."""
    return ArchiveNode(name=name, gated_by=gated_by, **_checked(name, step))


def tick_once(
    name: str, gated_by: GatedBy, f: Callable[..., Any] | Cron, **step: Any
) -> TickOnceNode:
    """A node that becomes provided at the time that `f` returns.

    `f` returns an aware datetime, a timedelta from now, unix seconds, or None or 0 for "do not
    fire"; in its place `cron(…)` fires at the next time of a cron expression.
    """
    if isinstance(f, Cron):
        return TickOnceNode(name=name, gated_by=gated_by, schedule=f, **_checked(name, step))
    if isinstance(f, Every):
        raise InvalidNodeError(f"tick_once {name!r} fires once: every() is for tick_recurring")
    return TickOnceNode(
        name=name, gated_by=gated_by, function=_callable(name, f), **_checked(name, step)
    )


def tick_recurring(
    name: str, gated_by: GatedBy, f: Callable[..., Any] | Cron | Every | timedelta, **step: Any
) -> TickRecurringNode:
    """A node that becomes provided at the time that `f` returns, again and again.

    As `tick_once`; `every(timedelta)` in place of a function fires without drift.
    """
    if isinstance(f, timedelta):
        f = Every(interval=f)
    if isinstance(f, Cron | Every):
        return TickRecurringNode(name=name, gated_by=gated_by, schedule=f, **_checked(name, step))
    return TickRecurringNode(
        name=name, gated_by=gated_by, function=_callable(name, f), **_checked(name, step)
    )


def loop(
    name: str, gated_by: GatedBy, f: Callable[..., Any], *, max_iterations: int, **step: Any
) -> LoopNode:
    """A node computed in at most `max_iterations` iterations of `f`.

    `f` returns `Done(value)`, `Continue(value, fallback=bool)`, or a bare value that means Done;
    what an iteration carries over reaches the next one as the value of the node itself.
    """
    return LoopNode(
        name=name,
        gated_by=gated_by,
        function=_callable(name, f),
        max_iterations=max_iterations,
        **_checked(name, step),
    )


def _checked(name: str, step: dict[str, Any]) -> dict[str, Any]:
    """The options of a step, where what only a description may hold is refused."""
    known = Step.model_fields.keys() - {"name", "kind", "gated_by"}
    unknown = sorted(step.keys() - known)
    if unknown:
        raise InvalidNodeError(
            f"node {name!r} was given options that do not exist: {', '.join(unknown)}; those of "
            f"every step are {', '.join(sorted(known))}",
            node=name,
        )
    callback(f"node {name!r}", step.get("on_save"), name)
    return step


def _callable(name: str, f: object) -> Callable[..., Any]:
    if not callable(f) or isinstance(f, Model):
        raise InvalidNodeError(
            f"the function of node {name!r} cannot be called: {f!r}; give a function that returns "
            f"what the node is to hold",
            node=name,
        )
    if inspect.isgeneratorfunction(f) or inspect.isasyncgenfunction(f):
        raise InvalidNodeError(
            f"the function of node {name!r} is a generator; return one value, such as a list",
            node=name,
        )
    return f
