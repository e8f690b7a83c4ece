"""Gives the states to decide on: as created, as cached, or as loaded.

When the answer of a write is lost with its connection, its execution is uncertain: the write may
have happened, and begun what nobody runs. Then the state is loaded, and what had been written is
taken in before anything is decided on it. If it is at the version that was to be written, it was
written, and that is the answer.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set

from journey_async.core.change import Change
from journey_async.core.commands import Start
from journey_async.core.graph import Graph
from journey_async.core.state import State
from journey_async.engine.cache import StateCache
from journey_async.engine.registry import Registry
from journey_async.engine.requests import Answer, Decision, Request
from journey_async.engine.runner import Runner
from journey_async.errors import GraphError, GraphNotRegisteredError
from journey_async.store.store import Store


class Loader:
    """Knows what is uncertain; `committed` is told of what turns out to have been written."""

    def __init__(
        self,
        *,
        store: Store,
        cache: StateCache,
        registry: Registry,
        runner: Runner,
        committed: Callable[[Change, Graph], None],
    ) -> None:
        self._store = store
        self._cache = cache
        self._registry = registry
        self._runner = runner
        self._committed = committed
        self._uncertain: dict[str, Decision | None] = {}  # with what was to be written, if known

    @property
    def uncertain(self) -> Set[str]:
        """The executions of which an answer may have been lost, and that were not loaded since."""
        return self._uncertain.keys()

    def mark_uncertain(self, execution_id: str) -> None:
        """The answer to a write of the execution was lost, or may have been."""
        self._uncertain.setdefault(execution_id, None)

    def mark_all_uncertain(self, decisions: Iterable[Decision]) -> None:
        """The answer to the write of these decisions was lost, or may have been."""
        for decision in decisions:
            self._uncertain[decision.change.state.execution_id] = decision

    async def states(self, batch: Mapping[str, list[Request]]) -> dict[str, State]:
        """The states of those executions that exist, their definitions known.

        Raises DatabaseUnavailable.
        """
        states: dict[str, State] = {}
        missing: list[str] = []
        for execution_id, requests in batch.items():
            first = requests[0]
            suspect = execution_id in self._uncertain or first.conflicts
            state = None if suspect else first.initial or self._cache.get(execution_id)
            if state is None:
                missing.append(execution_id)
            else:
                states[execution_id] = state
        if missing:
            loaded = await self._store.load(missing, known=self._cache.known(missing))
            for state in loaded.values():
                self._cache.put(state)  # at once: all in there is of one server
            for execution_id in missing:
                requests = batch[execution_id]
                state = await self._take_in(execution_id, loaded.get(execution_id), requests)
                if state is not None:
                    states[execution_id] = state
        await self._registry.learn_all(states.values())
        return states

    async def _take_in(
        self, execution_id: str, state: State | None, requests: Sequence[Request]
    ) -> State | None:
        """Use what was loaded, else what is to be created; after an answer that was lost, see what
        had been written.
        """
        if state is None:
            state = next((r.initial for r in requests if r.initial is not None), None)
        elif execution_id in self._uncertain or self._runner.misses(state):
            await self._see(state, requests[0])
        self._uncertain.pop(execution_id, None)  # not before all of that has happened
        return state

    async def _see(self, state: State, first: Request) -> None:
        """Run what was begun for this worker, and tell of what a lost write has done.

        If the execution is at the version that it was to have, its callers get their answers. By a
        definition that is lost or cannot be read nothing can be told: what is asked of it will be
        refused.
        """
        try:
            graph = await self._registry.graph_of(state)
        except (GraphError, GraphNotRegisteredError):
            return
        self._runner.adopt(state, graph)
        decision = self._uncertain.get(state.execution_id)
        if decision is not None and decision.change.state.version == state.version:
            decision.give_answers()
            self._committed(decision.change, decision.graph)
            return
        seen = Change(state.version, state, announces=state.wake_at is not None)
        self._committed(seen, graph)
        if state.execution_id in self._uncertain and isinstance(first.command, Start):
            first.resolve(Answer(state, Change(state.version, state), graph))
