"""What an execution does next: `settle(graph, state, command, env) -> Change`, without I/O.

`settling` does the same piece by piece, for callers who have other things to do as well.

Theory of operation. A command is one event. What follows from it is settled in the same call,
until nothing more follows, so that nobody ever sees a state half-way:

1. the event itself is applied (`events`);
2. values whose gate no longer holds are cleared, and what depended on them, until none is left;
3. a step whose gate holds and that has not run on what it would now see is queued; a queued
   one whose gate no longer holds is withdrawn (`queueing`);
4. steps without a user's function run at once (`built_in`); their values may touch others: back
   to 2;
5. queued computations that are due, fit the free capacity and whose code is here are begun;
6. ticks with a schedule, having fired, move on to their next time.

A step has at most one computation that is available or computing, and it is the node's newest.
`Computation.computed_with` (upstream node -> revision) is the memory of what a run has seen: a step
is stale when what is met now differs from it. Deciding again after applying yields nothing.
"""

from datetime import datetime
from itertools import count
from typing import assert_never

from journey_async.core import commands as c
from journey_async.core import events
from journey_async.core.alarm import (
    attention_time,
    is_time_of,
    next_time,
    queue_times,
    tick_times,
    ticked,
    wants_attention,
)
from journey_async.core.built_in import run_built_in
from journey_async.core.change import Change, SaveFailed
from journey_async.core.draft import Draft, Env
from journey_async.core.evaluation import Evaluation
from journey_async.core.graph import Graph
from journey_async.core.pieces import PIECE, Pace, Pieces, at_once
from journey_async.core.queueing import begin, next_of, reconsider
from journey_async.core.state import State
from journey_async.core.values import failure_of, has_failed


def settle(graph: Graph, state: State, command: c.Command, env: Env) -> Change:
    """Everything that is to be written because of a command."""
    return at_once(settling(graph, state, command, env))


def settling(graph: Graph, state: State, command: c.Command, env: Env) -> Pieces[Change]:
    """As `settle`, with a pause after every few steps."""
    draft = Draft(graph, state, env)
    # A tick that has come, and what was set by somebody who could not settle, are attended to by
    # whoever comes first.
    draft.changed.update(ticked(graph, state, env.now))
    draft.everything = wants_attention(graph, state)
    for place, event in enumerate(command.ends if isinstance(command, c.Ends) else (command,)):
        if place:
            yield
        _apply(draft, event)
        if draft.archived_at is None and not graph.is_opaque:
            yield from _follow(draft)
        elif graph.is_opaque and (draft.changed or draft.to_reconsider or draft.everything):
            draft.needs_attention = True
        _report_failures(draft)
        draft.event_ended()
    return draft.finish(_wake_at(draft))


def _apply(draft: Draft, command: c.Event) -> None:
    match command:
        case c.Start():
            events.start(draft, command)
        case c.SetValues():
            events.set_values(draft, command)
        case c.UnsetValues():
            events.unset_values(draft, command)
        case c.Succeed():
            events.succeed(draft, command)
        case c.Fail():
            events.fail(draft, command)
        case c.Abandon():
            events.abandon(draft, command)
        case c.Release():
            events.release(draft, command)
        case c.RetryNode():
            events.retry(draft, command)
        case c.Wake():
            pass  # there is no event
        case c.Evolve():
            events.evolve(draft)
        case c.Archive():
            events.archive(draft)
        case c.Unarchive():
            events.unarchive(draft)
        case _:
            assert_never(command)


def _follow(draft: Draft) -> Pieces[None]:
    evaluation = draft.evaluation()
    for built_in in count(1):  # one is run at the end of each round
        if built_in % PIECE == 0:
            yield
        steps = _to_look_at(draft)
        if steps and (yield from _clear(draft, evaluation, steps)):
            steps = _to_look_at(draft)
        pace = Pace()
        for step in steps:
            reconsider(draft, evaluation, step)
            if pace.is_to_pause(after=draft.graph.breadth[step]):
                yield
        draft.changed.clear()
        draft.to_reconsider.clear()
        draft.everything = False
        if not draft.queued:
            return
        if run_built_in(draft, evaluation, ticks=False):
            if draft.archived_at is not None:
                return
            continue
        # What a tick unblocks begins while the tick still shows the time that has come.
        yield from begin(draft, evaluation)
        if not run_built_in(draft, evaluation, ticks=True):
            return


def _to_look_at(draft: Draft) -> list[str]:
    """The steps about which there may be something new to decide, in graph order."""
    steps = draft.graph.steps
    if draft.everything:
        return list(steps)
    downstream = draft.graph.downstream
    found = draft.to_reconsider | draft.changed
    for node in draft.changed:
        found.update(downstream.get(node, ()))
    return sorted(found & steps.keys(), key=draft.graph.position.__getitem__)


def _clear(draft: Draft, evaluation: Evaluation, candidates: list[str]) -> Pieces[bool]:
    """Clear what may not stay, pass by pass, each judged on one snapshot; whether there was any."""
    cleared, pace = False, Pace()
    while candidates:
        failing = []
        for name in candidates:
            value = draft.values.get(name)
            if value is None or not value.is_set:
                continue
            step = draft.graph.steps[name]
            if not step.clearable:
                continue
            if not evaluation.holds(step.gated_by, keeping=True):
                failing.append(name)
            draft.note_failures(name, evaluation)
            if pace.is_to_pause(after=draft.graph.breadth[name]):
                yield
        if not failing:
            break
        touched: set[str] = set()
        for name in failing:
            draft.bump()
            draft.clear_value(name)
            touched.update(draft.graph.downstream[name])
        cleared = True
        candidates = sorted(touched, key=draft.graph.position.__getitem__)
    return cleared


def _report_failures(draft: Draft) -> None:
    """Report what ended badly and was the last: nothing follows from it.

    In an archived execution nothing is queued. If something would be once it is unarchived, what
    ended badly was not the last.
    """
    for node, kind in draft.ended_badly.items():
        step, newest = draft.graph.steps.get(node), draft.newest[node]
        if step is None or not has_failed(newest):
            continue
        is_archived = draft.archived_at is not None
        if is_archived and next_of(draft, step, newest, draft.evaluation()) is not None:
            continue
        draft.outcome(node, SaveFailed(failure_of(newest), kind))


def _wake_at(draft: Draft) -> datetime | None:
    """The next moment at which the execution needs attention without anybody's doing."""
    queued, ticks = draft.queued, draft.graph.ticks
    if draft.archived_at is not None:
        return None
    if draft.needs_attention:
        times = [*queue_times(draft, queued), *tick_times(draft, ticks)]
        return attention_time(draft.now, frozenset(times))
    if not queued and not ticks:
        return None
    touched = draft.touched
    stands = _alarm_that_stands(draft, touched)
    if stands is None:
        return next_time(draft, queued, ticks, draft.now)
    sooner = next_time(draft, queued & touched, ticks & touched, draft.now)
    return stands if sooner is None else min(stands, sooner)


def _alarm_that_stands(draft: Draft, touched: frozenset[str]) -> datetime | None:
    """The alarm as it was, if it is that of a node that was not touched.

    No other one that was not touched comes before it; and there may be thousands.
    """
    before = draft.before
    if before.wake_at is None or before.graph_hash != draft.graph_hash:
        return None
    queued = (node for node in draft.queued if node not in touched)
    lies_ahead = before.wake_at > draft.now
    ticks = (node for node in draft.graph.ticks if lies_ahead and node not in touched)
    return before.wake_at if is_time_of(draft, before.wake_at, queued, ticks) else None
