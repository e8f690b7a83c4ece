"""What each command does to a draft, before anything follows from it."""

from collections.abc import Iterable, Mapping
from typing import Any

from journey_async.core import commands as c
from journey_async.core import jsonvalue
from journey_async.core.change import Pruning, Saved
from journey_async.core.draft import Draft
from journey_async.core.jsonvalue import JSON
from journey_async.core.nodes import LoopNode, MutateNode, Step
from journey_async.core.queueing import repeated
from journey_async.core.values import (
    ABANDONED,
    AVAILABLE,
    CANCELLED,
    COMPUTING,
    FAILED,
    LEFT_THE_GRAPH,
    NO_FALLBACK,
    SUCCESS,
    UNSUCCESSFUL,
    WITH_FALLBACK,
    Computation,
    ComputationKey,
    ComputationState,
    NodeKind,
)
from journey_async.errors import ExecutionArchivedError, InvalidValueError

MAX_ERROR = 1000  # characters of an error that are kept
MAX_DEATHS = 10  # processes that an attempt may take down before it counts as failed
OTHER_KIND = "the node became one of another kind"


def start(draft: Draft, command: c.Start) -> None:
    """A new execution: what needs no value may begin. One that exists stays as it is."""
    if draft.before.version > 0:
        return
    draft.to_reconsider.update(draft.graph.may_start_at_once)
    draft.take_slot()
    if command.values:
        set_values(draft, c.SetValues(command.values, checked_by=command.checked_by))


def set_values(draft: Draft, command: c.SetValues) -> None:
    """Set what differs, all at one revision; the same value and metadata again changes nothing."""
    _refuse(draft, command.values)
    differing = {
        name: value
        for name, value in _fitting(draft, command).items()
        if not (
            (old := draft.value_of(name)).is_set
            and jsonvalue.equal(old.value, value)
            and jsonvalue.equal(old.metadata, command.metadata)
        )
    }
    if not differing:
        return
    revision = draft.inputs_revision = draft.bump()
    for name, value in differing.items():
        draft.set_value(name, value, metadata=command.metadata)
        draft.outcome(name, Saved(value, revision))


def unset_values(draft: Draft, command: c.UnsetValues) -> None:
    """Unset what is set, all at one revision."""
    _refuse(draft, command.nodes)
    present = [name for name in dict.fromkeys(command.nodes) if draft.value_of(name).is_set]
    if not present:
        return
    draft.inputs_revision = draft.bump()
    for name in present:
        draft.clear_value(name)


def succeed(draft: Draft, command: c.Succeed) -> None:
    """Record a result, unless the attempt was given up meanwhile."""
    computation = _running(draft, command.key, command.token)
    if computation is None:
        return
    step = draft.graph.steps.get(computation.node)
    if step is None:  # the node left the graph: nobody wants the result
        _end(draft, computation, ABANDONED, error=LEFT_THE_GRAPH)
        return
    if step.kind is not computation.kind:  # its new function gives something else
        _end(draft, computation, ABANDONED, error=OTHER_KIND)
        return
    draft.trace_context = computation.trace_context
    revision = draft.bump()
    finished = _ended(draft, computation, SUCCESS, successes=computation.successes + 1)
    if type(step) is LoopNode:
        finished = _finish_iteration(draft, step, finished, command)
    elif type(step) is MutateNode:
        _mutate(draft, step, computation, command.value)
        draft.outcome(step.name, Saved(step.marker, revision))
    elif _differs(draft, step.name, command.value) or not step.clearable:
        draft.set_value(step.name, command.value)
        draft.outcome(step.name, Saved(command.value, revision))
    draft.put(finished)
    draft.to_reconsider.add(step.name)
    prune(draft, step, finished)


def fail(draft: Draft, command: c.Fail) -> None:
    """Record an error, unless the attempt was given up meanwhile."""
    computation = _running(draft, command.key, command.token)
    if computation is None:
        return
    draft.bump()
    _end(
        draft,
        computation,
        FAILED,
        error=command.error,
        permanent=command.permanent,
    )
    draft.ended_badly[computation.node] = "error"


def abandon(draft: Draft, command: c.Abandon) -> None:
    """Give up a running attempt; its result, should it come, will find its token gone."""
    computation = _running(draft, command.key, command.token)
    if computation is None:
        return
    _end(draft, computation, ABANDONED, error=command.error)
    draft.ended_badly[computation.node] = "timeout"


def release(draft: Draft, command: c.Release) -> None:
    """Make available again what a worker was running; ten deaths in a row end the attempts."""
    for computation in [draft.newest[node] for node in sorted(draft.computing)]:
        if computation.worker != command.worker:
            continue
        if command.keys is not None and computation.key not in command.keys:
            continue
        deaths = computation.deaths + command.died
        if deaths >= MAX_DEATHS:
            draft.bump()
            _end(
                draft,
                computation._replace(deaths=deaths),
                FAILED,
                error=f"the process that ran it died, {MAX_DEATHS} times in a row",
                permanent=True,
            )
            draft.ended_badly[computation.node] = "error"
            continue
        if computation.node not in draft.graph.steps:
            _end(draft, computation, ABANDONED, error=LEFT_THE_GRAPH)
            continue
        draft.put(
            computation._replace(
                state=AVAILABLE,
                worker=None,
                token=None,
                started_at=None,
                deadline=None,
                revision_at_start=None,
                due_at=draft.now,
                deaths=deaths,
            )
        )
        draft.to_reconsider.add(computation.node)


def retry(draft: Draft, command: c.RetryNode) -> None:
    """One more attempt, whatever has been used up; a pending one becomes due at once."""
    _refuse_archived(draft)
    step = draft.graph.node_named(command.node)  # which the graph may have lost, or made an input
    newest = draft.newest.get(command.node)
    if not isinstance(step, Step) or newest is None or newest.state is COMPUTING:
        return
    if newest.state is AVAILABLE:
        draft.put(newest._replace(due_at=min(newest.due_at or draft.now, draft.now)))
    else:
        following = repeated(draft, newest, due_at=draft.now)
        if newest.state in UNSUCCESSFUL:
            following = following._replace(attempt=newest.attempt + 1)
        else:  # from the beginning
            following = following._replace(
                attempt=1,
                iteration=None if newest.iteration is None else 1,
                carried=newest.carried if newest.kind is NodeKind.HISTORIAN else None,
            )
        trace_context = draft.trace_context or newest.trace_context
        draft.put(following._replace(deaths=0, trace_context=trace_context))
    draft.to_reconsider.add(command.node)


def evolve(draft: Draft) -> None:
    """Take on the graph as it is now: what it no longer has is withdrawn, the rest looked at."""
    draft.graph_hash = draft.graph.hash
    draft.everything = True
    for computation in list(draft.newest.values()):
        gone = computation.node not in draft.graph.steps
        if gone and computation.state is AVAILABLE:
            draft.put(_ended(draft, computation, CANCELLED))
    for value in list(draft.values.values()):
        node = draft.graph.by_name.get(value.name)
        if node is not None and node.kind is not value.kind:
            draft.adopt_kind(node)


def archive(draft: Draft) -> None:
    """Stop here; what runs is recorded when it ends."""
    if draft.archived_at is None:
        draft.bump()
        draft.archived_at = draft.now


def unarchive(draft: Draft) -> None:
    """Carry on where it stopped."""
    if draft.archived_at is not None:
        draft.bump()
        draft.archived_at = None
        draft.everything = True
        draft.take_slot()


def prune(draft: Draft, step: Step, finished: Computation) -> None:
    """Ask for the deletion of successes beyond what the node, or else the graph, keeps."""
    latest = step.keep_latest_computations or draft.graph.keep_latest_computations
    if latest is None or latest == "all":
        return
    below = finished.successes - int(latest) + 1
    if below > step.keep_oldest_computations + 1:
        draft.prune(Pruning(step.name, above=step.keep_oldest_computations, below=below))


def _refuse(draft: Draft, inputs: Iterable[str]) -> None:
    """Refuse a write that the execution, or its graph as it is by now, cannot take."""
    _refuse_archived(draft)
    for name in inputs:
        draft.graph.input_named(name)


def _fitting(draft: Draft, command: c.SetValues) -> Mapping[str, JSON]:
    """The values, of the types that the inputs have by now; raises InvalidValueError."""
    if command.checked_by in (None, draft.graph.hash):
        return command.values
    fitting: dict[str, JSON] = {}
    for name, value in command.values.items():
        try:
            fitting[name] = draft.graph.inputs[name].type.to_json(value)
        except InvalidValueError as error:
            raise InvalidValueError(str(error), node=name, reasons=error.reasons) from None
    return fitting


def _refuse_archived(draft: Draft) -> None:
    if draft.archived_at is not None:
        raise ExecutionArchivedError(draft.execution_id)


def _running(draft: Draft, key: ComputationKey, token: int | None) -> Computation | None:
    """The computation, if it is computing under this token (None: under any)."""
    newest = draft.newest.get(key.node)
    if newest is None or newest.key != key or newest.state is not COMPUTING:
        return None
    return newest if token in (None, newest.token) else None


def _ended(
    draft: Draft, computation: Computation, state: ComputationState, **changes: Any
) -> Computation:
    return computation._replace(
        state=state,
        completed_at=draft.now,
        revision_at_completion=draft.revision,
        due_at=None,
        deadline=None,
        token=None,
        **changes,
    )


def _end(
    draft: Draft,
    computation: Computation,
    state: ComputationState,
    *,
    error: str,
    permanent: bool = False,
) -> None:
    # a text that PostgreSQL takes, lest the failure itself could not be recorded
    storable = error[:MAX_ERROR].replace("\0", "\ufffd").encode(errors="replace").decode()
    step = draft.graph.steps.get(computation.node)
    is_last = step is not None and computation.attempt >= step.retry.max_attempts
    draft.put(_ended(draft, computation, state, error=storable, permanent=permanent or is_last))
    draft.to_reconsider.add(computation.node)


def _differs(draft: Draft, name: str, value: JSON) -> bool:
    old = draft.value_of(name)
    return not (old.is_set and jsonvalue.equal(old.value, value))


def _mutate(draft: Draft, step: MutateNode, computation: Computation, value: JSON) -> None:
    """Write the targets, but for those that got a newer value since the attempt began."""
    draft.set_value(step.name, step.marker)
    for target in step.mutates:
        if draft.value_of(target).revision > (computation.revision_at_start or 0):
            continue
        if not step.update_revision_on_change:
            draft.replace_value(target, value)
        elif _differs(draft, target, value):
            draft.set_value(target, value, metadata=draft.value_of(target).metadata)
    if not step.update_revision_on_change:
        _take_back_what_may_not_stay(draft, step.mutates)


def _take_back_what_may_not_stay(draft: Draft, targets: Iterable[str]) -> None:
    """A step that was not set, and whose own gate does not hold, gets nothing after all.

    It would be cleared at once, as an event that a mutation gated by it would run on, for ever.
    """
    evaluation, steps = draft.evaluation(), draft.graph.steps
    left = [target for target in targets if target in steps and steps[target].clearable]
    taken_back = True
    while taken_back:  # what one may hold may depend on another
        taken_back = False
        for target in list(left):
            if not evaluation.holds(steps[target].gated_by, keeping=True):
                left.remove(target)
                taken_back |= draft.take_back(target)


def _finish_iteration(
    draft: Draft, step: LoopNode, finished: Computation, command: c.Succeed
) -> Computation:
    """Record one iteration; the next one, if there is to be one, is queued by what follows."""
    if not command.continues:
        draft.set_value(step.name, command.value)
        draft.outcome(step.name, Saved(command.value, draft.revision))
        return finished._replace(carried=None)
    is_last = (finished.iteration or 1) >= step.max_iterations
    finished = finished._replace(
        carried=command.value,
        disposition=WITH_FALLBACK if command.fallback else NO_FALLBACK,
        permanent=is_last,
    )
    if is_last:
        if command.fallback:
            draft.set_value(step.name, command.value)
            draft.outcome(step.name, Saved(command.value, draft.revision))
        else:
            draft.ended_badly[step.name] = "max_iterations"
    return finished
