"""What is stored and is not of the declared type: an error that names it, and takes none along."""

import asyncio
from contextlib import aclosing
from typing import Annotated, Any

import pytest
from pydantic import Field

from journey_async import (
    ComputationFailed,
    Context,
    Execution,
    Graph,
    Journey,
    Saved,
    StoredTypeError,
    compute,
    input_node,
    unblocked_when,
)
from journey_async.cli.shapes import execution_data
from journey_async.dashboard.views import execution_row
from journey_async.errors import InvalidValueError

SECRET = "a secret text"


def of_type(kind: Any, *steps: Any) -> Graph:
    """A graph whose input `x` is of this type."""
    inputs = [input_node("x", type=kind), input_node("other", type=int), input_node("go")]
    return Graph("g", "v1", [*inputs, *steps])


async def stored_as_text(dsn: str) -> Execution:
    """An execution with a text that was right when it was set."""
    before = of_type(str)
    async with Journey(dsn, graphs=[before]) as journey:
        return await journey.start_execution(before, {"x": SECRET, "other": 5})


async def test_the_error_names_execution_node_and_both_types_and_not_the_value(dsn: str) -> None:
    execution = await stored_as_text(dsn)
    async with Journey(dsn, graphs=[of_type(int)]) as journey:
        for reading in (
            journey.get_value(execution.id, "x"),
            journey.get_value(execution.id, "x", wait_any=True),
            journey.get_value(execution.id, "x", default=0),
            journey.get_node(execution.id, "x", settled=True),
            journey.values(execution.id),
            journey.values_all(execution.id),
            journey.history(execution.id),
        ):
            with pytest.raises(StoredTypeError) as caught:
                await reading
            assert str(caught.value) == (
                f"node 'x' of execution {execution.id!r} holds a JSON string that does not fit the "
                f"type int (int_type); set another value, or declare a type that takes what is "
                f"stored"
            )


async def test_the_rest_of_the_execution_can_be_read(dsn: str) -> None:
    execution = await stored_as_text(dsn)
    async with Journey(dsn, graphs=[of_type(int)]) as journey:
        loaded = await journey.load(execution.id)
        assert loaded.values["other"].value == 5
        assert loaded.values.keys() == {"execution_id", "last_updated_at", "x", "other", "go"}
        with pytest.raises(StoredTypeError):
            _ = loaded.values["x"]
        assert {n: e.declared for n, e in loaded.unreadable.items()} == {"x": "int"}
        [listed] = await journey.list_executions()
        assert listed.values["other"].value == 5
        assert SECRET in await journey.introspect(execution.id)
        # what only shows values shows what is stored
        assert execution_data(loaded)["values"]["x"] == SECRET
        assert ("x", f'"{SECRET}"') in execution_row(loaded, None).values
        healed = await journey.set_value(loaded, "x", 7)
        assert (healed.values["x"].value, dict(healed.unreadable)) == (7, {})


def needs_number(x: int) -> int:
    return x + 1


def looks_upstream(context: Context) -> int:
    return len(context.upstream)


def takes_all(values: dict[str, Any]) -> int:
    return len(values)


@pytest.mark.parametrize("f", [needs_number, looks_upstream, takes_all])
async def test_a_computation_on_it_fails_once_and_says_why(dsn: str, f: Any) -> None:
    execution = await stored_as_text(dsn)
    graph = of_type(int, compute("y", ["x", "go"], f))
    async with Journey(dsn, graphs=[graph]) as journey:
        await journey.set_value(execution.id, "go", True)
        with pytest.raises(
            ComputationFailed, match=r"failed after 1 attempt: StoredTypeError: "
        ) as e:
            await journey.get_value(execution.id, "y", wait_any=True)
        assert SECRET not in str(e.value)
        assert len(await journey.computations(execution.id, "y")) == 1
        assert "StoredTypeError: node 'x' of" in await journey.introspect(execution.id)
        assert "failed" in await journey.computation_status(execution.id, "y")
        await journey.set_value(execution.id, "x", 7)
        assert await journey.get_value(execution.id, "y", settled=True) > 0


async def test_a_predicate_on_it_is_not_met_and_says_why(dsn: str) -> None:
    execution = await stored_as_text(dsn)
    gate = unblocked_when("x", lambda x: x.is_set and x.value > 3, label="is large")
    graph = of_type(int, compute("y", gate, lambda: "large"))
    async with Journey(dsn, graphs=[graph]) as journey:
        await journey.set_value(execution.id, "other", 6)
        waiting = await journey.what_am_i_waiting_for(execution.id, "y")
        assert f"raised StoredTypeError: node 'x' of execution {execution.id!r}" in waiting
        assert SECRET not in waiting
        await journey.set_value(execution.id, "x", 7)
        assert await journey.get_value(execution.id, "y", wait_any=True) == "large"


async def test_a_watch_tells_of_it_and_goes_on(dsn: str) -> None:
    execution = await stored_as_text(dsn)
    async with (
        Journey(dsn, graphs=[of_type(int)]) as journey,
        aclosing(journey.watch(execution.id, since_revision=0)) as events,
        asyncio.timeout(30),
    ):
        other, x = await anext(events), await anext(events)
        assert (other.node, other.kind, other.value) == ("other", "set", 5)
        assert (x.node, x.kind, x.value) == ("x", "unreadable", None)
        assert x.error is not None
        assert "holds a JSON string that does not fit the type int" in x.error
        await journey.set_value(execution.id, "x", 7)
        again = await anext(events)
        assert (again.kind, again.value) == ("set", 7)


@pytest.mark.parametrize(
    ("plain", "fits", "misfits"),
    [(str, "7", 7), (int, 7, "7"), (float, 7, "7.0"), (bool, False, "no")],
)
async def test_plain_types_are_known_by_their_names(
    dsn: str, plain: type, fits: Any, misfits: Any
) -> None:
    graph = Graph("g", "v1", [input_node("x", type=plain)])
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(graph)
    async with Journey(dsn) as without_code:
        await without_code.set_value(execution.id, "x", fits)
        with pytest.raises(InvalidValueError, match="is not of the type"):
            await without_code.set_value(execution.id, "x", misfits)
        assert await without_code.get_value(execution.id, "x") == fits


async def test_who_does_not_know_the_type_can_set_and_read_anything(dsn: str) -> None:
    told: asyncio.Queue[Any] = asyncio.Queue()

    async def tell(execution_id: str, node: str, outcome: Any) -> None:
        await told.put(outcome)

    graph = Graph("g", "v1", [input_node("x", type=Annotated[int, Field(ge=0)], on_save=tell)])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
    async with Journey(dsn) as without_code:
        await without_code.set_value(execution.id, "x", SECRET)
        assert await without_code.get_value(execution.id, "x") == SECRET
    async with Journey(dsn, graphs=[graph]) as journey, asyncio.timeout(30):
        with pytest.raises(StoredTypeError):
            await journey.get_value(execution.id, "x")
        await journey.set_value(execution.id, "x", 7)
        assert await told.get() == Saved(7, 2)
