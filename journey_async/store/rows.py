"""Turns changes into the arguments of a statement, and rows into states."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any

import asyncpg

from journey_async.core import jsonvalue
from journey_async.core.change import Change
from journey_async.core.pieces import PIECE, Pieces, each
from journey_async.core.state import State, nodes_in
from journey_async.core.values import Computation, ComputationState, NodeKind, NodeValue

Row = tuple[Any, ...]

NOTHING_KNOWN: Mapping[str, State] = MappingProxyType({})

_KINDS = {kind.value: kind for kind in NodeKind}
_STATES = {state.value: state for state in ComputationState}
_KIND = Computation._fields.index("kind")
_STATE = Computation._fields.index("state")
_COMPUTED_WITH = Computation._fields.index("computed_with")
_CARRIED = Computation._fields.index("carried")
_TIMES = tuple(
    map(
        Computation._fields.index,
        ("created_at", "due_at", "started_at", "deadline", "completed_at"),
    )
)


def write_arguments(changes: Sequence[Change]) -> Pieces[tuple[list[Row], ...]]:
    """The arrays that apply_changes.sql takes, of the types at the end of sql/schema.sql.

    One change may queue thousands.
    """
    executions: list[Row] = []
    values: list[Row] = []
    computations: list[Row] = []
    prunings: list[Row] = []
    for number, change in enumerate(changes, 1):
        state = change.state
        executions.append(_execution_row(change))
        for place, name in enumerate(sorted(change.values), 1):
            values.append(_value_row(state, name))
            if place % PIECE == 0:
                yield
        for place, (_, computation) in enumerate(sorted(change.computations.items()), 1):
            computations.append(_computation_row(computation, state.version))
            if place % PIECE == 0:
                yield
        prunings += [(state.execution_id, p.node, p.above, p.below) for p in change.prunings]
        if number % PIECE == 0:
            yield
    return executions, values, computations, prunings


def states_of(
    rows: Iterable[asyncpg.Record], known: Mapping[str, State] = NOTHING_KNOWN
) -> Pieces[dict[str, State]]:
    """The states that rows of load_executions.sql hold, by execution: many nodes take long.

    Of those that were `known`, the rows hold what was written since.
    """
    found = {}
    for row in rows:
        found[row["id"]] = yield from _state(row, known.get(row["id"]))
        yield
    return found


def _state(row: asyncpg.Record, known: State | None) -> Pieces[State]:
    values: dict[str, NodeValue] = {} if known is None else dict(known.values)
    for place, fields in enumerate(json.loads(row["values"] or "[]"), 1):
        values[fields[0]] = _value(fields)
        if place % PIECE == 0:
            yield
    newest: dict[str, Computation] = {} if known is None else dict(known.newest)
    for place, fields in enumerate(json.loads(row["computations"] or "[]"), 1):
        newest[fields[0]] = _computation(row["id"], fields)
        if place % PIECE == 0:
            yield
    return State(
        execution_id=row["id"],
        graph_name=row["graph_name"],
        graph_version=row["graph_version"],
        graph_hash=row["graph_hash"],
        version=row["version"],
        revision=row["revision"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        archived_at=row["archived_at"],
        wake_at=row["wake_at"],
        values_at=row["values_at"],
        values_revision=row["values_revision"],
        inputs_revision=row["inputs_revision"],
        not_set=row["not_set"],
        values=values,
        newest=newest,
        queued=nodes_in(ComputationState.AVAILABLE, newest),
        computing=nodes_in(ComputationState.COMPUTING, newest),
    )


def computations_of(execution_id: str, rows: Iterable[asyncpg.Record]) -> Pieces[list[Computation]]:
    """The computations that rows of computations.sql hold, of which there may be thousands."""
    return (yield from each(partial(computation_of, execution_id), rows))


def computation_of(execution_id: str, row: asyncpg.Record) -> Computation:
    """The computation that a row of computations.sql holds."""
    fields = dict(row)
    fields["computed_with"] = json.loads(fields["computed_with"])
    fields["carried"] = None if fields["carried"] is None else json.loads(fields["carried"])
    fields["kind"] = _KINDS[fields["kind"]]
    fields["state"] = _STATES[fields["state"]]
    return Computation(execution_id=execution_id, **fields)


def _execution_row(change: Change) -> Row:
    state = change.state
    return (
        state.execution_id,
        change.expected,
        state.version,
        state.graph_name,
        state.graph_version,
        state.graph_hash,
        state.revision,
        None if change.expected else _seconds(state.created_at),  # it stays as it is
        _seconds(state.updated_at),
        _seconds(state.archived_at),
        state.wake_at,
        _seconds(state.values_at),
        state.values_revision,
        state.inputs_revision,
        state.not_set,
        change.slot,
        change.announces,
        change.is_due,
        *change.tally[:-2],  # figures, then two times
        _seconds(change.tally.created_at),
        _seconds(change.tally.updated_at),
    )


def _value_row(state: State, name: str) -> Row:
    value = state.values[name]
    is_set = value.is_set
    return (
        state.execution_id,
        name,
        value.kind,
        jsonvalue.encode(value.value) if is_set else None,
        None if value.metadata is None else jsonvalue.encode(value.metadata),
        value.revision,
        _seconds(value.set_time),
        state.version,
    )


def _computation_row(computation: Computation, version: int) -> Row:
    """Its fields are those of the type, in its order; JSON is text there, times are numbers."""
    row: list[Any] = list(computation)
    for place in _TIMES:
        row[place] = _seconds(row[place])
    row[_COMPUTED_WITH] = _revisions(computation.computed_with)
    if computation.carried is not None:
        row[_CARRIED] = jsonvalue.encode(computation.carried)
    row.append(version)
    return tuple(row)


def _revisions(computed_with: Mapping[str, int]) -> str:
    """As JSON text; there are two of them in a step, and an encoder for each would take longer."""
    pairs = (f"{jsonvalue.encode(node)}:{revision}" for node, revision in computed_with.items())
    return f"{{{','.join(pairs)}}}"


def _seconds(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()


def _value(fields: Sequence[Any]) -> NodeValue:
    node, kind, value, metadata, revision, set_time = fields
    return NodeValue(node, _KINDS[kind], value, metadata, revision, _time(set_time))


def _computation(execution_id: str, fields: list[Any]) -> Computation:
    """What load_executions.sql gives: the fields in order, but for the execution's id."""
    row = [execution_id, *fields]
    for place in _TIMES:
        row[place] = _time(row[place])
    row[_KIND], row[_STATE] = _KINDS[row[_KIND]], _STATES[row[_STATE]]
    return Computation(*row)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(f"{text}Z")
