"""Steps that need no user's function: they run within settling, in one change with their cause."""

from datetime import UTC, datetime
from typing import Any

from journey_async.core import events
from journey_async.core.change import Saved
from journey_async.core.draft import Draft
from journey_async.core.evaluation import Evaluation, tick_time
from journey_async.core.jsonvalue import JSON
from journey_async.core.nodes import (
    ArchiveNode,
    HistorianNode,
    Step,
    TickOnceNode,
    TickRecurringNode,
)
from journey_async.core.queueing import begun
from journey_async.core.schedules import Cron, Every
from journey_async.core.values import SUCCESS, Computation


def run_built_in(draft: Draft, evaluation: Evaluation, *, ticks: bool) -> bool:
    """Run one built-in step that is queued and due; whether there was one.

    With `ticks` one of the ticks, else one of the others. One at a time, for what it writes may
    close the gate of the next; historians first, so that nothing is lost to them.
    """
    node = draft.next_built_in(ticks=ticks)
    if node is None:
        return False
    _run(draft, evaluation, draft.graph.steps[node], draft.newest[node])
    return True


def _run(draft: Draft, evaluation: Evaluation, step: Step, computation: Computation) -> None:
    running = begun(draft, evaluation, step, computation)._replace(worker=None, token=None)
    value: JSON
    if isinstance(step, ArchiveNode):
        draft.bump()
        draft.archived_at = draft.now
        value = int(draft.now.timestamp())
    elif isinstance(step, HistorianNode):
        value = _recorded(draft, step, running)
    else:
        assert isinstance(step, TickOnceNode | TickRecurringNode)
        value = _next_time(draft, step)
    revision = draft.bump()
    draft.set_value(step.name, value)
    draft.outcome(step.name, Saved(value, revision))
    finished = running._replace(
        state=SUCCESS,
        completed_at=draft.now,
        deadline=None,
        revision_at_completion=revision,
        successes=computation.successes + 1,
    )
    if isinstance(step, HistorianNode):
        finished = finished._replace(carried={**_seen(running), **running.computed_with})
    draft.put(finished)
    draft.to_reconsider.add(step.name)
    events.prune(draft, step, finished)


def _recorded(draft: Draft, step: HistorianNode, running: Computation) -> JSON:
    """The history with an entry more for each upstream node that changed, newest first."""
    old = draft.value_of(step.name).value
    history: list[Any] = old if isinstance(old, list) else []  # a mutation may have put anything
    seen = _seen(running)
    fresh = [
        draft.gate_value_of(node)
        for node, revision in running.computed_with.items()
        if revision > seen.get(node, -1) and draft.value_of(node).is_set
    ]
    fresh.sort(key=lambda value: (-value.revision, draft.graph.position[value.name]))
    entries: list[Any] = [
        {
            "node": value.name,
            "value": value.value,
            "metadata": value.metadata,
            "revision": value.revision,
            "timestamp": int(draft.now.timestamp()),
        }
        for value in fresh
    ]
    return [*entries, *history][: step.max_entries]


def _seen(running: Computation) -> dict[str, Any]:
    """The newest recorded revision of each node, also of those whose entries were trimmed."""
    return running.carried if isinstance(running.carried, dict) else {}


def _next_time(draft: Draft, step: TickOnceNode | TickRecurringNode) -> JSON:
    schedule = step.schedule
    if isinstance(schedule, Cron):
        time = schedule.next_after(draft.now)
        return 0 if time is None else seconds_of(time)
    assert isinstance(schedule, Every)
    return seconds_of(schedule.next_after(draft.now, tick_time(draft.value_of(step.name))))


def seconds_of(time: datetime) -> int | float:
    """Unix seconds: an int if whole, else a float."""
    seconds = time.astimezone(UTC).timestamp()
    return int(seconds) if seconds == int(seconds) else seconds
