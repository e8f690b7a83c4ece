"""Functions attached to data: stored and compared by qualified name, called if the code is here."""

from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

from journey_async.core.annotations import takes
from journey_async.core.model import StoredByName
from journey_async.errors import GraphError, InvalidNodeError


class Function:
    """A user's function, or just its name where the code isn't in this process."""

    __slots__ = ("call", "name")

    def __init__(self, name: str, call: Callable[..., Any] | None = None) -> None:
        self.name = name
        self.call = call

    @classmethod
    def of(cls, call: Callable[..., Any]) -> "Function":
        """The function under its qualified name."""
        named = call
        while not hasattr(named, "__qualname__") and hasattr(named, "func"):
            named = named.func  # functools.partial
        module = getattr(named, "__module__", None) or type(call).__module__
        qualified = getattr(named, "__qualname__", None) or type(call).__qualname__
        return cls(f"{module}.{qualified}", call)

    @property
    def short_name(self) -> str:
        """The last part of the name, as texts and diagrams show it."""
        return self.name.rpartition(".")[2]

    @property
    def is_anonymous(self) -> bool:
        """Whether it is a lambda."""
        return self.short_name == "<lambda>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.call is None:
            raise GraphError(
                f"the code of {self.name} is not in this process; call it where its graph is built"
            )
        return self.call(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Function) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<{self.name}>"


def callback(of: str, on_save: object, node: str | None = None) -> Any:
    """What is to be called back with outcomes; raises InvalidNodeError for what cannot be."""
    if on_save is None:
        return None
    if not callable(on_save) or not takes(on_save, "", "", None):
        raise InvalidNodeError(
            f"on_save of {of} must be a function of three: the execution's id, the node's name "
            f"and the outcome; {on_save!r} is none",
            node=node,
        )
    return on_save


def _as_function(given: object) -> Function:
    if isinstance(given, Function):
        return given
    if isinstance(given, str):
        return Function(given)
    if callable(given):
        return Function.of(given)
    raise ValueError("must be a function")


FUNCTION = StoredByName(_as_function, "the qualified name of a function")

FunctionField: TypeAlias = Annotated[Function, FUNCTION]
