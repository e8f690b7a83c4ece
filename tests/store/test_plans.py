"""What the statements of the hot path read does not grow with what is in the database."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from journey_async.core.change import Change, Pruning
from journey_async.core.conditions import value
from journey_async.core.pieces import at_once
from journey_async.store.rows import write_arguments
from journey_async.store.search import Order, Selection, page_statement
from journey_async.store.sql import in_schema, statement
from journey_async.store.store import BEGINNING
from tests.benchmarks.growth import history
from tests.support.plans import NotExplained, Plan, Plans, explained
from tests.support.rows import computation, held, state

pytestmark = pytest.mark.direct("looks at plans, as a superuser")

EXECUTIONS = 3_000
TIMES = 12
COMPILED = 100_000  # the cost from which on a server compiles a statement, if nobody forbade it
NOW = datetime.now(UTC)
IDS = [history.id_of(number) for number in (11, 1_111)]
LARGE = {"executions", "values", "computations"}
# What is read of each statement, in pages of 8 kB, for two executions of ten values.
BLOCKS = 150
STATEMENTS: dict[str, tuple[Any, ...]] = {
    "attention": (["growth"], ["v1"], ["one,two"], ["E1"], 100, *BEGINNING),
    "computations": (IDS[0], None),
    "find_graphs": (["growth"], ["v1"], ["one,two"]),
    "find_singleton": ("growth",),
    "load_executions": (IDS, [-1, 1], [False, True]),
    "lock_execution": (IDS[0],),
    "outdated_executions": ("growth", "v1", ["a", "z"], 100, ["E1"]),
    "overdue_work": (NOW, 100),
    "purge_archived": (NOW - timedelta(days=365), 100),
    "read_versions": (IDS,),
    "work_of_workers": (["nobody"],),
}


def changes() -> list[Change]:
    """A new execution, and one that exists, with everything that can be written of it."""
    values = [held("x", 1), held("y", 2)]
    ended = computation(IDS[0], "sum", "success", number=2)
    begun = computation(IDS[0], "label", "computing", number=2)
    known = state(IDS[0], history.GRAPH, values)
    return [
        Change(0, state("E1", history.GRAPH, values), values=frozenset("xy")),
        Change(
            _version(),
            known._replace(version=_version() + 1, revision=9),
            values=frozenset("xy"),
            computations={ended.key: ended, begun.key: begun},
            prunings=(Pruning("sum", 10, 20),),
            announces=True,
        ),
    ]


def _version() -> int:
    """The version of every execution of the history: its start, and what its three steps wrote."""
    return 4


@pytest.fixture
async def plans(dsn: str) -> AsyncIterator[Plans]:
    try:
        async with explained(dsn) as plans:
            yield plans
    except NotExplained as reason:
        pytest.skip(str(reason))


async def written(plans: Plans) -> Plan:
    """The plan of what is written."""
    arguments = [*at_once(write_arguments(changes())), "changed", "due", "me"]
    return await plans.of("apply_changes", *arguments)


async def test_a_database_that_was_empty_a_moment_ago_is_not_read_from_end_to_end(
    plans: Plans,
) -> None:
    """A connection keeps its plans while tables grow, until the next ANALYZE."""
    for name, arguments in STATEMENTS.items():
        plan = await plans.of(name, *arguments)
        assert not plan.scanned & LARGE, name
    assert not (await written(plans)).scanned & LARGE


async def test_what_is_asked_often_is_planned_once(connection: Any) -> None:
    """To plan anew, on what the arguments are, would take longer than the answer."""
    asked: dict[str, tuple[Any, ...]] = {
        **{name: STATEMENTS[name] for name in ("attention", "find_graphs", "lock_execution")},
        "load_executions": (IDS[:1], [-1], [False]),
        "read_versions": (IDS[:1],),
        "apply_changes": (*at_once(write_arguments(changes()[:1])), "changed", "due", "me"),
    }
    for name, arguments in asked.items():
        text = in_schema(statement(name), "journey")
        prepared = await connection.prepare(text)
        for _ in range(TIMES):
            await prepared.fetch(*arguments)
        plans = await connection.fetchval(
            "SELECT generic_plans FROM pg_prepared_statements WHERE statement = $1", text
        )
        assert plans >= TIMES - 5, name  # the server tries five times


async def test_what_is_read_is_bounded(dsn: str, plans: Plans) -> None:
    await history.build(dsn, EXECUTIONS)
    for name, arguments in STATEMENTS.items():
        plan = await plans.of(name, *arguments)
        assert not plan.scanned & LARGE, name
        assert plan.cost < COMPILED, (name, plan.cost)
        assert plan.blocks <= BLOCKS, (name, plan.blocks)
        assert plan.rows <= 100, (name, plan.rows)
    plan = await written(plans)
    assert not plan.scanned & LARGE
    assert plan.blocks <= BLOCKS, plan.blocks
    both = Selection(
        now=NOW,
        graph_name="growth",
        graph_version="v1",
        where=(value("x") == history.INPUTS["x"]) & (value("y") > 100),
    )
    page = page_statement(both, [Order("updated_at")], 100, 0)
    plan = await plans.of_text(page.text, page.arguments)
    assert not plan.scanned & LARGE
    assert plan.cost < COMPILED
    assert plan.blocks <= BLOCKS, plan.blocks
