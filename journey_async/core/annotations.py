"""Reads the annotations of functions: of methods, partials, callable objects and classes, too."""

import functools
import inspect
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, get_args, get_origin, get_type_hints


@dataclass(frozen=True, slots=True)
class Hints:
    """What a function says of its parameters and of its result; Any where it says nothing."""

    parameters: dict[str, Any]
    returned: Any = Any


def signature_of(call: Callable[..., Any]) -> inspect.Signature:
    """The signature, whatever its annotations name; raises TypeError, ValueError if it has none."""
    if sys.version_info >= (3, 14):  # where reading an annotation evaluates it
        from annotationlib import Format

        return inspect.signature(call, annotation_format=Format.FORWARDREF)
    return inspect.signature(call)


def takes(call: Callable[..., Any], *arguments: object) -> bool:
    """Whether it can be called with so many arguments, as far as its signature can be read."""
    try:
        signature_of(call).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # it has none that can be read
        return True
    return True


def hints_of(call: Callable[..., Any]) -> Hints:
    """The annotations of a function; one that cannot be evaluated here is none."""
    signature = signature_of(call)
    empty = signature.empty
    given = {n: p.annotation for n, p in signature.parameters.items() if p.annotation is not empty}
    returned = signature.return_annotation
    if not given and returned is empty:
        return Hints({})
    scope = _globals_of(call)
    return Hints(
        {name: _evaluated(annotation, scope) for name, annotation in given.items()},
        Any if returned is empty else _awaited(_evaluated(returned, scope)),
    )


def _evaluated(annotation: Any, scope: dict[str, Any]) -> Any:
    try:
        return get_type_hints(SimpleNamespace(__annotations__={"_": annotation}), scope)["_"]
    except Exception:  # a name that only the type checker knows, or one of a function's inside
        return Any


def _awaited(returned: Any) -> Any:
    """What comes of awaiting what a plain function hands back, where that is to be awaited."""
    origin = get_origin(returned) or returned
    if isinstance(origin, type) and issubclass(origin, Awaitable):
        return get_args(returned)[-1] if get_args(returned) else Any
    return returned


def _globals_of(call: Any) -> dict[str, Any]:
    """The names that annotations of a function may use."""
    while isinstance(call, functools.partial):
        call = call.func
    call = inspect.unwrap(call)
    if isinstance(call, type):
        return vars(sys.modules[call.__module__]) if call.__module__ in sys.modules else {}
    if not hasattr(call, "__globals__"):
        call = type(call).__call__
    found: dict[str, Any] = getattr(call, "__globals__", {})
    return found
