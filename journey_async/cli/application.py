"""Finds the application's code: what `--app MODULE:NAME` names."""

import importlib
import inspect
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from journey_async.client.journey import Journey
from journey_async.core.annotations import takes
from journey_async.core.graph import Graph
from journey_async.errors import InvalidOptionError


@dataclass(frozen=True, slots=True)
class Application:
    """The graphs of an application, and its Journey if it has one; that is not open yet."""

    graphs: tuple[Graph, ...]
    journey: Journey | None = None


def load_application(spec: str) -> Application:
    """What `MODULE:NAME` leads to: a Journey, a graph, a list of graphs, or a function giving one.

    Modules are looked for in the working directory, too. Raises InvalidOptionError.
    """
    module_name, _, path = spec.partition(":")
    if not module_name or not path:
        raise InvalidOptionError(f"--app wants MODULE:NAME, as in shop.main:journey, not {spec!r}")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: object = importlib.import_module(module_name)
        for name in path.split("."):
            found = getattr(found, name)
    except ModuleNotFoundError as error:
        raise InvalidOptionError(f"--app {spec}: {error}") from None
    except AttributeError as error:
        raise InvalidOptionError(f"--app {spec}: {error}") from None
    if callable(found) and not isinstance(found, Graph | Journey | type):
        if inspect.iscoroutinefunction(found) or not takes(found):
            raise InvalidOptionError(
                f"--app {spec}: a function that gives graphs is a plain def without parameters"
            )
        found = found()
    return _application(spec, found)


def _application(spec: str, found: object) -> Application:
    match found:
        case Journey():
            return Application(found.own_graphs, found)
        case Graph():
            return Application((found,))
        case Sequence() if found and all(isinstance(item, Graph) for item in found):
            return Application(tuple(found))
    raise InvalidOptionError(
        f"--app {spec}: a Journey, a graph or a list of graphs is wanted, not {found!r:.80}"
    )
