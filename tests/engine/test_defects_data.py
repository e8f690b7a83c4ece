"""Faults of the Elixir original in what is stored and read; docs/defects-of-the-original.md."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from journey_async import (
    ComputationFailed,
    Context,
    ExecutionArchivedError,
    Graph,
    Journey,
    Retry,
    WaitTimeout,
    any_of,
    compute,
    historian,
    input_node,
    mutate,
    value,
)
from tests.support.eventually import eventually
from tests.support.graphs import basic_graph, everything

AT_ONCE = Retry(max_attempts=2, initial_delay=0)


@asynccontextmanager
async def not_hearing(journey: Journey, execution_id: str) -> AsyncIterator[None]:
    """The Journey goes on believing what it knew of an execution before the block."""
    cache = journey._engine.cache
    known = cache.get(execution_id)
    assert known is not None
    yield
    await eventually(lambda: cache.get(execution_id) is not known)
    cache.outdate(execution_id)
    cache.put(known)


@pytest.mark.hears("keeps a Journey from hearing")
async def test_setting_several_is_judged_on_what_is_stored_not_on_a_snapshot(  # B9
    dsn: str,
) -> None:
    async with (
        Journey(dsn, run_computations=False) as one,
        Journey(dsn, run_computations=False) as two,
    ):
        stale = await one.start_execution(basic_graph(), {"x": 1, "y": 1})
        async with not_hearing(one, stale.id):
            await two.set_values(stale, {"x": 2, "y": 2})
        back = await one.set_values(stale, {"x": 1, "y": 2})
        assert (back.values["x"].value, back.values["y"].value) == (1, 2)
        assert back.values["x"].revision > back.values["y"].revision
        async with not_hearing(one, stale.id):
            await two.unset_value(stale, "y")
        assert not (await one.set_values(stale, {"x": 1})).values["y"].is_set


async def test_setting_none_is_a_change_in_whatever_form(dsn: str) -> None:  # B8, B11
    graph = Graph(
        "g",
        "v1",
        [
            input_node("x"),
            input_node("y"),
            compute("nothing", ["x"], lambda x: x),
            compute("after", ["nothing"], lambda values: "ran"),
        ],
    )
    async with Journey(dsn, graphs=[graph]) as journey:
        for given in ({"x": None}, {"x": None, "y": None}):
            execution = await journey.start_execution(graph)
            execution = await journey.set_values(execution, given)
            assert all(execution.values[name].is_set for name in given)
            assert await journey.get_value(execution, "after", wait_any=True) == "ran"
            nothing = await journey.get_node(execution, "nothing", settled=True)
            assert (nothing.value, nothing.is_set) == (None, True)


async def test_failures_that_were_overcome_do_not_fail_a_wait(dsn: str) -> None:  # B15
    async def fails_first(x: int, context: Context) -> int:
        if context.attempt == 1:
            raise ValueError
        return x

    nodes = [input_node("x"), compute("y", ["x"], fails_first, retry=AT_ONCE)]
    graph = Graph("g", "v1", nodes)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        for x in range(5):
            await journey.set_value(execution, "x", x)
            assert await journey.get_value(execution, "y", settled=True) == x
        node = await journey.get_node(execution, "y")
        with pytest.raises(WaitTimeout):
            await journey.get_value(execution, "y", newer_than=node.revision, timeout=0.01)


async def test_a_node_with_a_single_attempt_that_succeeded_has_not_failed(dsn: str) -> None:  # B16
    def positive(x: int) -> int:
        if x < 0:
            raise ValueError
        return x

    nodes = [input_node("x"), compute("y", ["x"], positive, retry=Retry(max_attempts=1))]
    graph = Graph("g", "v1", nodes)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        first = await journey.get_node(execution, "y", settled=True)
        with pytest.raises(WaitTimeout):
            await journey.get_value(execution, "y", newer_than=first.revision, timeout=0.01)
        await journey.set_value(execution, "x", -1)
        with pytest.raises(ComputationFailed):
            await journey.get_value(execution, "y", newer_than=first.revision)
        assert await journey.get_value(execution, "y") == 1


@pytest.mark.hears("keeps a Journey from hearing")
async def test_a_write_to_an_archived_execution_leaves_no_trace(  # B26
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn) as one, Journey(dsn) as two:
        live = await one.start_execution(basic_graph(), {"x": 1, "y": 1})
        await one.get_value(live, "sum", settled=True)
        loaded = await two.load(live.id)
        async with not_hearing(two, live.id):
            archived = await one.archive(live)
        before = await everything(connection)
        for journey in (two, one):
            for execution in (live, loaded, archived, live.id):
                for write in (
                    journey.set_value(execution, "x", 1),
                    journey.set_value(execution, "x", 2),
                    journey.set_values(execution, {"x": 2, "y": 2}),
                    journey.set_values(execution, {}),
                    journey.unset_value(execution, "x"),
                    journey.retry_computation(execution, "sum"),
                ):
                    with pytest.raises(ExecutionArchivedError):
                        await write
        assert await everything(connection) == before


async def test_results_are_compared_as_they_are_stored(dsn: str) -> None:  # B28
    runs = {"shape": 0, "after": 0}

    def shape(x: object) -> object:
        runs["shape"] += 1
        return {"b": (1.0, [True]), "a": {"deep": (None,)}, "n": -0.0}

    def after() -> int:
        runs["after"] += 1
        return 1

    nodes = [input_node("x"), compute("shape", ["x"], shape), compute("after", ["shape"], after)]
    graph = Graph("g", "v1", nodes)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": 1})
        first = await journey.get_node(execution, "shape", settled=True)
        assert await journey.get_value(execution, "after", settled=True) == 1
        for x in (2, 3):
            await journey.set_value(execution, "x", x)
            await journey.get_value(execution, "after", settled=True)
        assert await journey.get_node(execution, "shape") == first
        assert runs == {"shape": 3, "after": 1}
    async with Journey(dsn, graphs=[graph]) as journey:  # on what was loaded, too
        execution = await journey.set_value(execution.id, "x", 4)
        assert await journey.get_node(execution, "shape", settled=True) == first
        given = {"b": (1, [True]), "a": {"deep": [None]}}
        execution = await journey.set_value(execution, "x", given)
        same = {"a": {"deep": (None,)}, "b": [1.0, (True,)]}
        again = await journey.set_value(execution, "x", same)
        assert again.values["x"].revision == execution.values["x"].revision


async def test_a_history_has_every_change_however_fast_they_come(dsn: str) -> None:  # B53, B20
    graph = Graph("g", "v1", [input_node("a"), input_node("b"), historian("h", any_of("a", "b"))])
    async with Journey(dsn, graphs=[graph]) as one, Journey(dsn, graphs=[graph]) as two:
        execution = await one.start_execution(graph)
        written = await asyncio.gather(
            *(one.set_value(execution, "a", n, metadata=n) for n in range(25)),
            *(two.set_value(execution, "b", n, metadata=n) for n in range(25)),
        )
        history = await two.get_value(execution, "h", settled=True)
        expected = {
            (e.values[name].revision, name, e.values[name].value)
            for e, name in zip(written, ["a"] * 25 + ["b"] * 25, strict=True)
        }
        found = [(e["revision"], e["node"], e["value"]) for e in history]
        assert found == sorted(expected, reverse=True)
        assert all(entry["metadata"] == entry["value"] for entry in history)


async def test_a_mutation_clears_what_it_closes_at_once(dsn: str) -> None:  # B13
    below = Graph(
        "g",
        "v1",
        [
            input_node("balance", type=int),
            input_node("spend", type=int),
            compute("rich", value("balance") > 100, lambda: True),
            mutate(
                "pay",
                ["spend", "balance"],
                lambda balance, spend: balance - spend,
                mutates="balance",
            ),
        ],
    )
    async with Journey(dsn, graphs=[below]) as journey:
        execution = await journey.start_execution(below, {"balance": 150})
        assert await journey.get_value(execution, "rich", wait_any=True) is True
        await journey.set_value(execution, "spend", 60)
        await journey.get_value(execution, "pay", wait_any=True)
        seen = await journey.load(execution)
        assert seen.values["balance"].value == 90
        assert not seen.values["rich"].is_set
