"""Decides commands in memory: the pure core, with the surroundings of this process."""

import random
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby

from journey_async.core.change import Change
from journey_async.core.commands import Command, Ends, Evolve, Fail, Succeed, Wake
from journey_async.core.draft import Env
from journey_async.core.graph import Graph
from journey_async.core.pieces import Pieces
from journey_async.core.settle import settling
from journey_async.core.state import State
from journey_async.engine.clock import Clock
from journey_async.engine.registry import Registry
from journey_async.engine.requests import (
    Answer,
    Decision,
    Request,
    refuse_all,
    refuse_until_created,
)
from journey_async.engine.runner import Runner
from journey_async.errors import JourneyError
from journey_async.store.breath import in_turn


class Decider:
    """Settles commands, and keeps places for the computations that begin because of them."""

    def __init__(self, registry: Registry, runner: Runner, clock: Clock) -> None:
        self._registry = registry
        self._runner = runner
        self._clock = clock

    async def decide_all(
        self, batch: Mapping[str, list[Request]], states: Mapping[str, State]
    ) -> list[Decision]:
        """Settle the commands for many executions as of one time; refuse those without a state."""
        now = self._clock.now()
        decisions: list[Decision] = []
        pieces = self._decide_all(batch, states, now, decisions)
        try:
            await in_turn(pieces)
        except BaseException:
            pieces.close()
            self.give_back(decisions)
            raise
        return decisions

    async def decide(self, state: State, requests: list[Request]) -> Decision | None:
        """Settle the commands for one execution, each upon the one before; None: none is left."""
        decided = await self.decide_all({state.execution_id: requests}, {state.execution_id: state})
        return decided[0] if decided else None

    def _decide_all(
        self,
        batch: Mapping[str, list[Request]],
        states: Mapping[str, State],
        now: datetime,
        decisions: list[Decision],
    ) -> Pieces[None]:
        for execution_id, asked in batch.items():
            state = states.get(execution_id)
            exists = state is not None and state.version > 0
            requests = asked if exists else refuse_until_created(execution_id, asked)
            if state is None:
                continue
            try:
                graph, evolves = self._registry.resolve(state)
            except JourneyError as error:
                refuse_all(requests, error)
                continue
            if evolves and state.version == 0:  # it begins on the newest definition
                state, evolves = state._replace(graph_hash=graph.hash), False
            decision = Decision(requests, Change(state.version, state), graph, evolves)
            if evolves:
                # what it queues is begun with the commands that follow, on what they say
                patient = self._env(graph, now, 0)
                try:
                    evolved = yield from self._settle(graph, state, Evolve(), patient)
                except Exception as error:  # of this execution alone
                    refuse_all(requests, error)
                    continue
                decision.change = decision.change.then(evolved)
            decisions.append(decision)
            for together in _together(requests):
                yield from self._add(decision, together, graph, now)
                yield

    def _add(
        self, decision: Decision, requests: list[Request], graph: Graph, now: datetime
    ) -> Pieces[None]:
        """Settle one more command upon what was decided so far, or several as one."""
        command = requests[0].command if len(requests) == 1 else _as_one(requests)
        places = self._runner.free if type(command) is Wake else self._runner.spare
        env = self._env(graph, now, places, requests[0].trace_context)
        try:
            one = yield from self._settle(graph, decision.change.state, command, env)
        except Exception as error:  # of this command alone, be it refused or a defect
            if len(requests) == 1:
                decision.answers.append((requests[0], error))
                return
            for request in requests:
                yield from self._add(decision, [request], graph, now)
            return
        decision.reserved += len(one.begun)
        self._runner.reserve(len(one.begun))
        had_room = env.capacity > len(one.begun)
        answer = Answer(one.state, one, graph, had_room, decision.evolves)
        decision.answers += [(request, answer) for request in requests]
        decision.change = decision.change.then(one)

    def _settle(self, graph: Graph, state: State, command: Command, env: Env) -> Pieces[Change]:
        """Settle; should others have their turn meanwhile, they find its places taken."""
        kept = 0
        pieces = settling(graph, state, command, env)
        try:
            while True:
                try:
                    next(pieces)
                except StopIteration as end:
                    result: Change = end.value
                    return result
                if not kept:
                    kept = env.capacity
                    self._runner.reserve(kept)
                yield
        finally:
            self._runner.give_back(kept)

    def _env(
        self, graph: Graph, now: datetime, capacity: int, trace_context: str | None = None
    ) -> Env:
        return Env(
            now=now,
            worker=self._runner.worker,
            capacity=capacity,
            can_run=lambda step: graph.bindings[step.name] is not None,
            chance=random.random,
            fresh_token=_fresh_token,
            trace_context=trace_context,
        )

    def give_back(self, decisions: Iterable[Decision]) -> None:
        """Free the places that were kept for what is not begun after all."""
        for decision in decisions:
            self._runner.give_back(decision.reserved)


def _together(requests: Iterable[Request]) -> Iterator[list[Request]]:
    """The requests that wait for an answer; results that come in a row are one piece of work.

    A hundred of them, settled each on a state of its own, would copy the execution as often. Nobody
    asks what it was in between.
    """
    waiting = [request for request in requests if not request.answer.done()]
    if len(waiting) == 1:
        yield waiting
        return
    for are_ends, group in groupby(waiting, lambda r: isinstance(r.command, Succeed | Fail)):
        if are_ends:
            yield list(group)
        else:
            yield from ([request] for request in group)


def _as_one(requests: Iterable[Request]) -> Ends:
    commands = (request.command for request in requests)
    return Ends(tuple(command for command in commands if isinstance(command, Succeed | Fail)))


def _fresh_token() -> int:
    return random.getrandbits(62) + 1
