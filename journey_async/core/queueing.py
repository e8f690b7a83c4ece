"""Which steps are to run: the stale are queued, the blocked withdrawn, the due begun."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from heapq import nsmallest

from journey_async.core.draft import Draft
from journey_async.core.evaluation import Evaluation, tick_time
from journey_async.core.nodes import Step
from journey_async.core.pieces import PIECE, Pace, Pieces
from journey_async.core.state import was_cleared_since
from journey_async.core.values import (
    AVAILABLE,
    CANCELLED,
    COMPUTING,
    SUCCESS,
    TICKS,
    UNSUCCESSFUL,
    Computation,
    NodeKind,
    was_dropped,
)

# A recurring tick whose time lies in the past when it is computed would run without pause.
MIN_RECURRENCE = timedelta(seconds=1)


def reconsider(draft: Draft, evaluation: Evaluation, name: str) -> None:
    """Queue, withdraw or leave the computation of a step."""
    newest = draft.newest.get(name)
    if newest is not None and newest.state is COMPUTING:
        return
    step = draft.graph.steps[name]
    if newest is None:
        if evaluation.holds(step.gated_by):
            draft.put(_fresh(draft, step, evaluation.met(step.gated_by), number=1))
    elif newest.state is AVAILABLE:
        if not evaluation.holds(step.gated_by, keeping=True):
            draft.put(newest._replace(state=CANCELLED, due_at=None))
        elif _is_new_to(draft, step, newest, met := evaluation.met(step.gated_by)):
            draft.put(_fresh(draft, step, met, number=newest.number, created_at=newest.created_at))
    elif (following := next_of(draft, step, newest, evaluation)) is not None:
        draft.put(following)
    draft.note_failures(name, evaluation)


def next_of(
    draft: Draft, step: Step, newest: Computation, evaluation: Evaluation
) -> Computation | None:
    """What is to be queued after the newest computation of a step, which has ended; or None."""
    met = evaluation.met(step.gated_by)
    unfinished = _is_unfinished(draft, step, newest, met)
    planned = _planned(draft, step, newest, met)
    if planned is not None and evaluation.holds(step.gated_by, keeping=unfinished):
        return planned
    return None


def is_stale(draft: Draft, computation: Computation, met: Mapping[str, int]) -> bool:
    """Whether what is met now differs from what the computation has seen, or was queued for.

    A condition that is no longer met is a difference too, unless it is on a tick that has fired
    and moved on.
    """
    seen = computation.computed_with
    if any(seen.get(node) != revision for node, revision in met.items()):
        return True
    upstream = draft.graph.upstream[computation.node]  # its gate may have named others
    return any(n not in met and not (n in upstream and _moved_on(draft, n)) for n in seen)


def begin(draft: Draft, evaluation: Evaluation) -> Pieces[None]:
    """Begin what is queued, due, runnable here, and fits the free capacity; in graph order."""
    if draft.capacity <= 0:
        return
    queued = draft.queued & draft.graph.with_function
    firsts = _first_in_line(draft, queued)
    if not all(_may_begin(draft, node) for node in firsts):
        able: list[str] = []
        for place, node in enumerate(queued, 1):
            if _may_begin(draft, node):
                able.append(node)
            if place % (16 * PIECE) == 0:
                yield
        firsts = _first_in_line(draft, able)
    pace = Pace()
    for node in firsts:
        step, computation = draft.graph.steps[node], draft.newest[node]
        draft.run(begun(draft, evaluation, step, computation), computation.due_at)
        if pace.is_to_pause(after=draft.graph.breadth[node]):
            yield


def _first_in_line(draft: Draft, nodes: Collection[str]) -> list[str]:
    """The few for which there is room, of what may be a thousand: not worth sorting all of them."""
    return nsmallest(draft.capacity, nodes, key=draft.graph.position.__getitem__)


def _may_begin(draft: Draft, node: str) -> bool:
    return draft.is_due(node) and draft.env.can_run(draft.graph.steps[node])


def begun(
    draft: Draft, evaluation: Evaluation, step: Step, computation: Computation
) -> Computation:
    """The computation as computing, here and now, on the inputs as they are now."""
    met = evaluation.met(step.gated_by)
    evaluation.failures.clear()  # noted when it was queued
    fired = {n: r for n, r in computation.computed_with.items() if n not in met}
    return computation._replace(
        state=COMPUTING,
        computed_with={**fired, **met},
        revision_at_start=draft.bump(),
        started_at=draft.now,
        deadline=draft.now + timedelta(seconds=step.abandon_after_seconds),
        due_at=None,
        worker=draft.env.worker,
        token=draft.env.fresh_token(),
    )


def _planned(
    draft: Draft, step: Step, newest: Computation, met: Mapping[str, int]
) -> Computation | None:
    """The computation to queue after the newest one of a step whose gate holds; None: no need."""
    number = newest.number + 1
    if _is_new_to(draft, step, newest, met):
        return _fresh(draft, step, met, number=number)
    if newest.state is CANCELLED:
        if step.kind is NodeKind.LOOP:  # the gate closed, which ends a run
            return _fresh(draft, step, met, number=number)
        return repeated(draft, newest, due_at=draft.now)
    if newest.state in UNSUCCESSFUL:
        if newest.permanent:
            return None
        if was_dropped(newest):
            return repeated(draft, newest, due_at=draft.now)
        delay = step.retry.delay(newest.attempt, draft.env.chance())
        ended = newest.completed_at or draft.now
        again = repeated(draft, newest, due_at=ended + timedelta(seconds=delay))
        return again._replace(attempt=newest.attempt + 1, deaths=0)
    if _goes_on(newest):
        iteration = (newest.iteration or 1) + 1
        again = repeated(draft, newest, due_at=draft.now)
        return again._replace(iteration=iteration, attempt=1, deaths=0)
    if step.kind is NodeKind.TICK_RECURRING:
        time = tick_time(draft.value_of(step.name))
        if time is not None and time <= draft.now:
            earliest = (newest.started_at or draft.now) + MIN_RECURRENCE
            passed = newest.completed_at is not None and time <= newest.completed_at
            return _fresh(draft, step, met, number=number, due_at=earliest if passed else None)
    return None


def _fresh(
    draft: Draft,
    step: Step,
    met: Mapping[str, int],
    *,
    number: int,
    created_at: datetime | None = None,
    due_at: datetime | None = None,
) -> Computation:
    """A first attempt on the inputs as they are now."""
    newest = draft.newest.get(step.name)
    remembers = newest is not None and newest.kind is step.kind is NodeKind.HISTORIAN
    return Computation(
        execution_id=draft.execution_id,
        node=step.name,
        number=number,
        kind=step.kind,
        state=AVAILABLE,
        attempt=1,
        iteration=1 if step.kind is NodeKind.LOOP else None,
        computed_with=dict(met),
        created_at=created_at or draft.now,
        due_at=due_at or draft.now,
        successes=newest.successes if newest else 0,
        carried=newest.carried if newest and remembers else None,
        trace_context=draft.trace_context or _inherited(draft, met),
    )


def _inherited(draft: Draft, met: Mapping[str, int]) -> str | None:
    """The trace context of the upstream step that changed last, as of a tick that has come."""
    cause = draft.newest.get(max(met, key=met.__getitem__)) if met else None
    return cause.trace_context if cause is not None else None


def repeated(draft: Draft, newest: Computation, *, due_at: datetime) -> Computation:
    """What is queued after a computation: the same attempt of the same iteration once more."""
    return newest._replace(
        number=newest.number + 1,
        state=AVAILABLE,
        created_at=draft.now,
        due_at=due_at,
        started_at=None,
        completed_at=None,
        deadline=None,
        revision_at_start=None,
        revision_at_completion=None,
        worker=None,
        token=None,
        permanent=False,
        error=None,
        disposition=None,
    )


def _is_unfinished(draft: Draft, step: Step, newest: Computation, met: Mapping[str, int]) -> bool:
    """Whether the newest run wants another attempt or iteration on the same inputs.

    It gets that even though the tick that unblocked it has moved on to its next time.
    """
    goes_on = _goes_on(newest) or (newest.state in UNSUCCESSFUL and not newest.permanent)
    return goes_on and not _is_new_to(draft, step, newest, met)


def _is_new_to(draft: Draft, step: Step, newest: Computation, met: Mapping[str, int]) -> bool:
    """Whether the newest computation says nothing about the inputs as they are now.

    So it is if they differ, if its result was cleared since, or if it is of another kind of node.
    """
    return (
        newest.kind is not step.kind
        or is_stale(draft, newest, met)
        or (step.clearable and was_cleared_since(newest, draft.value_of(step.name)))
    )


def _goes_on(newest: Computation) -> bool:
    """Whether an iteration ended that wants another one, and was not the last."""
    ended = newest.state is SUCCESS
    return ended and newest.disposition is not None and not newest.permanent


def _moved_on(draft: Draft, node: str) -> bool:
    """Whether the node is a tick that has fired: its time now is another, to come, or none."""
    value = draft.value_of(node)
    if value.kind not in TICKS or not value.is_set:
        return False
    time = tick_time(value)
    return time is None or time > draft.now
