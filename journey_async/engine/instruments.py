"""Tells an Instrumentation what happens; that it raises changes nothing."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Self

from journey_async.core import commands as c
from journey_async.core.change import Begun, Change
from journey_async.core.evaluation import tick_time
from journey_async.core.graph import Graph
from journey_async.core.values import TICKS, UNSUCCESSFUL, ComputationState
from journey_async.engine.instrumentation import Call, End, Instrumentation, Run, Span
from journey_async.engine.logs import log
from journey_async.errors import NotSetError, WaitTimeout

ENDED = UNSUCCESSFUL | {ComputationState.SUCCESS}

VERBS: Mapping[type[c.Command], str] = {
    c.Start: "start",
    c.SetValues: "set",
    c.UnsetValues: "unset",
    c.Archive: "archive",
    c.Unarchive: "unarchive",
    c.RetryNode: "retry",
    c.Abandon: "abandon",
}


class Instruments:
    """Tells an Instrumentation, if there is one."""

    def __init__(self, instrumentation: Instrumentation | None) -> None:
        self._told = instrumentation
        self._complaints: set[str] = set()

    def opened(self, journey: Any) -> None:
        """A Journey was opened."""
        if (told := self._told) is not None:
            self.safely("opened", lambda: told.opened(journey))

    def closed(self, journey: Any) -> None:
        """A Journey is about to close."""
        if (told := self._told) is not None:
            self.safely("closed", lambda: told.closed(journey))

    def write(self, execution_id: str, command: c.Command) -> "Watched":
        """A command is submitted for a caller; for a `with` block."""
        if (told := self._told) is None:
            return UNWATCHED
        return Watching(self, "call", lambda: told.call(_call(execution_id, command)))

    def read(self, execution_id: str, node: str) -> "Watched":
        """The value of a node is asked for; for a `with` block."""
        if (told := self._told) is None:
            return UNWATCHED
        call = Call(verb="get", execution_id=execution_id, nodes=(node,))
        return Watching(self, "call", lambda: told.call(call))

    def run(self, begun: Begun, graph: Graph, now: Callable[[], datetime]) -> "Watched":
        """The function of a node is called; for a `with` block. `now` tells the time."""
        if (told := self._told) is None:
            return UNWATCHED
        return Watching(self, "run", lambda: told.run(_run(begun, graph, now())))

    def committed(self, change: Change) -> None:
        """A change was written."""
        if (told := self._told) is None:
            return
        name = change.state.graph_name
        for computation in change.computations.values():
            if computation.state in ENDED:
                self.safely("recorded", lambda one=computation: told.recorded(one, name))  # type: ignore[misc]

    def safely(self, what: str, tell: Callable[[], Any]) -> Any:
        """Tell; what that raises is logged, the first time."""
        try:
            return tell()
        except KeyboardInterrupt:
            raise
        except BaseException:  # whatever it is derived from: nothing waits in there
            if what not in self._complaints:
                self._complaints.add(what)
                log.exception("the instrumentation raised in %s(), and may again, unlogged", what)
            return None


class Watched:
    """What goes on in a `with` block; this one is watched by nobody."""

    __slots__ = ()

    @property
    def trace_context(self) -> str | None:
        """What leads to it from elsewhere."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        pass

    def of(self, graph_name: str, graph_version: str) -> None:
        """It is about an execution of this graph."""

    def gives(self, value: Any) -> None:
        """A value comes of it."""

    def ends(self, outcome: str, error_type: str | None = None, error: str | None = None) -> None:
        """How it ends, unless it raises."""


UNWATCHED = Watched()


class Watching(Watched):
    """What goes on while a Span is open."""

    __slots__ = ("_begin", "_end", "_instruments", "_span", "_what")

    def __init__(self, instruments: Instruments, what: str, begin: Callable[[], Span]) -> None:
        self._instruments = instruments
        self._what = what
        self._begin = begin
        self._span: Span | None = None
        self._end: dict[str, Any] = {"outcome": "success"}

    @property
    def trace_context(self) -> str | None:
        """What leads to it from elsewhere."""
        if (span := self._span) is None:
            return None
        found = self._instruments.safely("trace_context", lambda: span.trace_context)
        return found if isinstance(found, str) else None

    def __enter__(self) -> Self:
        self._span = self._instruments.safely(self._what, self._begin)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if (span := self._span) is None:
            return
        if error is not None:
            self.ends(_outcome(error), type(error).__qualname__, _text(error))
        self._instruments.safely("end", lambda: span.end(End(**self._end)))

    def of(self, graph_name: str, graph_version: str) -> None:
        """It is about an execution of this graph."""
        self._end |= {"graph_name": graph_name, "graph_version": graph_version}

    def gives(self, value: Any) -> None:
        """A value comes of it."""
        self._end["value"] = value

    def ends(self, outcome: str, error_type: str | None = None, error: str | None = None) -> None:
        """How it ends, unless it raises."""
        self._end |= {"outcome": outcome, "error_type": error_type, "error": error}


def _call(execution_id: str, command: c.Command) -> Call:
    return Call(
        verb=VERBS.get(type(command), type(command).__name__.lower()),
        execution_id=execution_id,
        nodes=_nodes(command),
        values=command.values if isinstance(command, c.Start | c.SetValues) else {},
    )


def _nodes(command: c.Command) -> tuple[str, ...]:
    match command:
        case c.Start() | c.SetValues():
            return tuple(command.values)
        case c.UnsetValues():
            return command.nodes
        case c.RetryNode():
            return (command.node,)
        case c.Abandon():
            return (command.key.node,)
    return ()


def _outcome(error: BaseException) -> str:
    match error:
        case asyncio.CancelledError():
            return "cancelled"
        case WaitTimeout():
            return "timeout"
        case NotSetError():
            return "not_set"
    return "failed"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return ""


def _run(begun: Begun, graph: Graph, now: datetime) -> Run:
    return Run(
        graph_name=graph.name,
        graph_version=graph.version,
        computation=begun.computation,
        delay=_seconds(begun.due_at or now, now),
        tick_lag=_tick_lag(begun, graph, now),
    )


def _tick_lag(begun: Begun, graph: Graph, now: datetime) -> float | None:
    """Seconds since the tick came that unblocked a computation; None if it was something else."""
    computation, state = begun.computation, begun.state
    if computation.attempt > 1 or (computation.iteration or 1) > 1 or computation.deaths:
        return None
    came: datetime | None = None
    others: datetime | None = None
    for name in computation.computed_with:
        value = state.value_of(graph.by_name[name])
        time = tick_time(value) if value.kind in TICKS and value.is_set else None
        if time is not None and time <= now:
            came = max(came or time, time)
        elif value.set_time is not None:
            others = max(others or value.set_time, value.set_time)
    if came is None or (others is not None and others > came):
        return None
    return _seconds(came, now)


def _seconds(since: datetime, now: datetime) -> float:
    return max((now - since).total_seconds(), 0.0)
