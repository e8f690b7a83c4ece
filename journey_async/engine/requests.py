"""What callers ask of the committer, and what they are told."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from journey_async.core.change import Change
from journey_async.core.commands import Abandon, Command, Fail, Succeed, Wake
from journey_async.core.graph import Graph
from journey_async.core.state import State
from journey_async.errors import ExecutionNotFound, SingletonGraphError


class Answer(NamedTuple):
    """What became of a command: the state as of it, and its share of the change.

    `had_room`: places were left over for more computations than were begun. `evolved`: before the
    command the execution took on another definition, in the same write; `change` has nothing of it.
    """

    state: State
    change: Change
    graph: Graph
    had_room: bool = True
    evolved: bool = False


class Submit(Protocol):
    """How a command is let happen: see Committer.submit."""

    async def __call__(
        self, execution_id: str, command: Command, /, *, yields: bool = False
    ) -> Answer:
        """What became of it."""


@dataclass(slots=True, eq=False)
class Request:
    """A command that waits for its answer until `give_up_at` (the event loop's time).

    One that `yields` is not decided again when somebody else was faster: Overtaken.
    """

    execution_id: str
    command: Command
    answer: asyncio.Future[Answer]
    give_up_at: float | None
    initial: State | None = None
    conflicts: int = 0
    trace_context: str | None = None
    yields: bool = False

    def resolve(self, answer: Answer) -> None:
        """Answer, if anybody still waits."""
        if not self.answer.done():
            self.answer.set_result(answer)

    def refuse(self, error: Exception) -> None:
        """Answer with an error, if anybody still waits."""
        if not self.answer.done():
            self.answer.set_exception(error)


@dataclass(slots=True)
class Decision:
    """The requests for one execution, decided together on one state, by the one `graph`.

    (Another definition may be registered before this is written.) `evolves`: the execution was on
    an older one. `reserved` places are kept for what is begun.
    """

    requests: list[Request]
    change: Change
    graph: Graph
    evolves: bool = False
    reserved: int = 0
    answers: list[tuple[Request, Answer | Exception]] = field(default_factory=list)

    def begun(self) -> list[str]:
        """The nodes of which a computation is begun."""
        return [begun.computation.node for begun in self.change.begun]

    def recorded(self) -> list[str]:
        """The nodes of which the end of an attempt is recorded."""
        commands = (request.command for request in self.requests)
        return [c.key.node for c in commands if isinstance(c, Succeed | Fail | Abandon)]

    def give_answers(self) -> None:
        """Tell those who asked what became of their commands."""
        for request, answer in self.answers:
            if isinstance(answer, Answer):
                request.resolve(answer)
            else:
                request.refuse(answer)

    def slot_taken(self) -> SingletonGraphError:
        """What to refuse with if the graph is a singleton and has another live execution."""
        name = self.change.state.graph_name
        return SingletonGraphError(
            f"graph {name!r} is a singleton and has a live execution already; archive that first",
            graph_name=name,
        )


class Overtaken(Exception):
    """Somebody else has written the execution meanwhile, or was about to."""


def wake_for_nobody(execution_id: str) -> Request:
    """A Wake that no caller waits for.

    By it the execution is loaded, and what a write whose answer was lost began there is run.
    """
    answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    answer.add_done_callback(lambda done: done.cancelled() or done.exception())
    return Request(execution_id, Wake(), answer, give_up_at=None)


def refuse_until_created(execution_id: str, requests: list[Request]) -> list[Request]:
    """There is no such execution: refuse what is asked of it before somebody creates it; the
    others.
    """
    first = 0
    while first < len(requests) and requests[first].initial is None:
        requests[first].refuse(ExecutionNotFound(execution_id))
        first += 1
    return requests[first:] if first else requests


def refuse_all(requests: Iterable[Request], error: Exception) -> None:
    for request in requests:
        request.refuse(error)
