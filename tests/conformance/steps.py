"""What all operations share: the stage they play on, and which execution they are about."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from journey_async import Execution, Graph, Journey
from tests.conformance.clock import ScenarioClock
from tests.conformance.functions import Calls
from tests.conformance.handles import Handle
from tests.conformance.saves import Saves
from tests.conformance.watching import OF_ALL, Divergence, Watch

Op = Mapping[str, Any]


@dataclass(kw_only=True)
class Stage:
    """A scenario's Journey and what surrounds it.

    `refused` are the graphs that the original takes and ours does not; `build` makes graphs.
    """

    journey: Journey
    clock: ScenarioClock
    calls: Calls
    saves: Saves
    graphs: dict[str, Graph]
    refused: set[str]
    build: Callable[[Mapping[str, Any]], Graph]
    watch: Watch = field(init=False)
    handles: dict[str, Handle] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # of executions, by id
    graph_of: dict[str, Graph] = field(default_factory=dict)  # of executions, by id
    labels: dict[str, int] = field(default_factory=dict)  # revisions that were saved
    later: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.watch = Watch(self.journey)


class Steps:
    """The base of the classes that hold operations: `op_NAME` carries out NAME."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.journey = stage.journey
        self.clock = stage.clock

    def handle(self, op: Op) -> Handle:
        """The object that a step uses."""
        return self.stage.handles[op.get("exec", "e")]

    def ref(self, op: Op) -> Execution | str:
        """What the verb is given: the object, or an id."""
        if "exec_id" in op:
            return str(op["exec_id"])
        execution = self.handle(op).execution
        return execution.id if op.get("via") == "id" else execution

    def graph(self, op: Op) -> Graph:
        """The graph that a step uses."""
        return self.stage.graphs[op.get("graph", "main")]

    def bind(self, op: Op, handle: Handle, *, name: str | None = None) -> None:
        """The object of a step's name is now this one, unless the step says otherwise."""
        if op.get("rebind") is False or "exec_id" in op:
            return
        name = name or op.get("exec", "e")
        self.stage.handles[name] = handle
        self.stage.names.setdefault(handle.execution.id, name)

    def execution_id(self, op: Op) -> str | None:
        """The execution that a step is about, if there is one."""
        handle = self.stage.handles.get(op.get("exec", "e"))
        return None if handle is None or "exec_id" in op else handle.execution.id

    def divergence(self, op: Op) -> Divergence:
        """What is not compared any more of what a step is about."""
        if op["op"] in OF_ALL:
            return self.stage.watch.of_all()
        return self.stage.watch.of(self.execution_id(op))
