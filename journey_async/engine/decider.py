"""Decides commands in memory: the pure core, with the surroundings of this process."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from journey_async.core.change import Change
from journey_async.core.commands import Evolve
from journey_async.core.graph import Graph
from journey_async.core.settle import Env, settle
from journey_async.core.state import State
from journey_async.engine.clock import Clock
from journey_async.engine.registry import Registry
from journey_async.engine.requests import Decision, Request, Settled, refuse_all
from journey_async.engine.runner import Runner
from journey_async.errors import ExecutionNotFound, JourneyError


class Decider:
    """Settles commands, and keeps places for the computations that begin because of them."""

    def __init__(self, registry: Registry, runner: Runner, clock: Clock) -> None:
        self._registry = registry
        self._runner = runner
        self._clock = clock

    def decide_all(
        self, batch: Mapping[str, list[Request]], states: Mapping[str, State]
    ) -> list[Decision]:
        """Settle the commands for many executions as of one time; refuse those without a state."""
        now = self._clock.now()
        decisions: list[Decision] = []
        for execution_id, requests in batch.items():
            state = states.get(execution_id)
            if state is None:
                refuse_all(requests, ExecutionNotFound(execution_id))
            elif (decision := self._decide(state, requests, now)) is not None:
                decisions.append(decision)
        return decisions

    def decide(self, state: State, requests: list[Request]) -> Decision | None:
        """Settle the commands for one execution, each upon the one before; None: none is left."""
        return self._decide(state, requests, self._clock.now())

    def _decide(self, state: State, requests: list[Request], now: datetime) -> Decision | None:
        try:
            graph, evolves = self._registry.resolve(state)
        except JourneyError as error:
            refuse_all(requests, error)
            return None
        change = Change(state.version, state)
        if evolves:
            # what it queues is begun with the commands that follow, on what they say
            patient = replace(self._env(graph, now), capacity=0)
            change = change.then(settle(graph, state, Evolve(), patient))
        decision = Decision(requests, change)
        for request in requests:
            if request.answer.done():
                continue
            try:
                env = self._env(graph, now, request.trace_context)
                one = settle(graph, decision.change.state, request.command, env)
            except Exception as error:  # of this command alone, be it refused or a defect
                decision.answers.append((request, error))
                continue
            decision.reserved += len(one.begun)
            self._runner.reserve(len(one.begun))
            had_room = env.capacity > len(one.begun)
            decision.answers.append((request, Settled(one.state, one, graph, had_room)))
            decision.change = decision.change.then(one)
        return decision

    def _env(self, graph: Graph, now: datetime, trace_context: str | None = None) -> Env:
        return Env(
            now=now,
            worker=self._runner.worker,
            capacity=self._runner.free,
            can_run=lambda step: graph.bindings[step.name] is not None,
            chance=random.random,
            fresh_token=_fresh_token,
            trace_context=trace_context,
        )

    def give_back(self, decisions: Iterable[Decision]) -> None:
        """Free the places that were kept for what is not begun after all."""
        for decision in decisions:
            self._runner.give_back(decision.reserved)


def _fresh_token() -> int:
    return random.getrandbits(62) + 1
