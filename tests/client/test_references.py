"""References: names that know a type. What type checkers make of them: tests/typing/usage.py."""

from contextlib import aclosing
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel

from journey_async import (
    Graph,
    Journey,
    NodeRef,
    NodeValue,
    StoredTypeError,
    all_of,
    any_of,
    compute,
    input_node,
    not_,
    unblocked_when,
    value,
)
from journey_async.errors import (
    InvalidNodeError,
    InvalidOptionError,
    InvalidValueError,
    UnknownNodeError,
)


class Person(BaseModel):
    name: str


def described(name: str) -> dict[str, Any]:
    return {"name": name}


def length(name: str) -> int:
    return len(name)


def is_long(name: NodeValue) -> bool:
    return name.is_set and len(name.value) > 3


graph = Graph(
    "g",
    "v1",
    [
        input_node("name", type=str),
        input_node("born", type=date),
        input_node("anything"),
        compute("person", ["name"], described),
        compute("length", ["name"], length),
        compute("unsaid", ["name"], lambda name: name),
    ],
)


# --- made ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "node, kind",
    [
        ("name", str),
        ("name", str | None),
        ("born", date),
        ("anything", int),
        ("person", Person),
        ("person", dict[str, Any]),
        ("length", int),
        ("length", float),
        ("unsaid", int),
        ("execution_id", str),
        ("last_updated_at", int),
        ("length", Any),
    ],
)
def test_a_reference_fits_the_node(node: str, kind: Any) -> None:
    found = graph.node(node, kind)
    assert (found.name, str(found)) == (node, node)
    assert found == graph.node(node, kind)
    assert hash(found) == hash(graph.node(node, kind))


@pytest.mark.parametrize(
    "node, kind",
    [
        ("name", int),
        ("born", str),
        ("person", list[int]),
        ("length", str),
        ("execution_id", int),
    ],
)
def test_a_reference_of_another_type_is_refused(node: str, kind: Any) -> None:
    with pytest.raises(InvalidOptionError, match=f"node '{node}' of graph 'g' gives .* be read as"):
        graph.node(node, kind)


def test_what_is_no_node_or_no_type_is_refused() -> None:
    with pytest.raises(UnknownNodeError):
        graph.node("nmae", str)
    with pytest.raises(InvalidOptionError, match="is a text"):
        graph.node("name", "str")
    with pytest.raises(InvalidNodeError, match="pydantic"):
        graph.node("anything", object())


def test_a_description_gives_references_too() -> None:
    stored = Graph.model_validate(graph.model_dump(mode="json"))
    assert stored.node("length", str).type.name == "str"  # nobody knows better here


# --- used ---------------------------------------------------------------------------------------


async def test_what_is_read_is_of_the_type(dsn: str) -> None:
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {graph.node("name", str): "Ada"})
        person = await journey.get_value(execution, graph.node("person", Person), wait_any=True)
        assert person == Person(name="Ada")
        assert await journey.get_value(execution, "person") == {"name": "Ada"}
        float_length = await journey.get_value(
            execution, graph.node("length", float), wait_any=True
        )
        assert (float_length, type(float_length)) == (3.0, float)
        node = await journey.get_node(execution, graph.node("person", Person))
        assert (node.name, node.value) == ("person", Person(name="Ada"))
        assert await journey.get_value(execution, graph.node("born", date), default=None) is None
        missing = await journey.get_node(execution, graph.node("born", date), default=None)
        assert (missing.name, missing.is_set) == ("born", False)
        await journey.get_value(execution, "unsaid", wait_any=True)
        with pytest.raises(StoredTypeError) as caught:
            await journey.get_value(execution, graph.node("unsaid", int))
        assert (caught.value.node, caught.value.stored, caught.value.declared) == (
            "unsaid",
            "string",
            "int",
        )


async def test_what_is_set_is_of_the_type(dsn: str) -> None:
    anything = graph.node("anything", Person)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        execution = await journey.set_value(execution, anything, Person(name="Ada"))
        assert execution.values["anything"].value == {"name": "Ada"}
        assert await journey.get_value(execution, anything) == Person(name="Ada")
        with pytest.raises(InvalidValueError, match="is not of the type"):
            await journey.set_values(execution, {anything: {"nom": "Ada"}})
        born: NodeRef[Any] = graph.node("born")
        execution = await journey.set_value(execution, born, date(2000, 1, 2))
        assert await journey.get_value(execution, born) == date(2000, 1, 2)
        twice: dict[str | NodeRef[Any], object] = {anything: Person(name="Ada"), "anything": 1}
        with pytest.raises(InvalidOptionError, match="named twice"):
            await journey.set_values(execution, twice)
        execution = await journey.unset_value(execution, anything, "born")
        assert not execution.values["anything"].is_set


def test_a_gate_takes_a_reference_for_a_name() -> None:
    name = graph.node("name", str)
    pairs: list[tuple[Any, Any]] = [
        (name, "name"),
        ([name, "born"], ["name", "born"]),
        (any_of(name, "born"), any_of("name", "born")),
        (unblocked_when(name, is_long, "long"), unblocked_when("name", is_long, "long")),
    ]
    for by_reference, by_name in pairs:
        gates = [compute("step", gate, length).gated_by for gate in (by_reference, by_name)]
        assert gates[0] == gates[1]


async def test_every_verb_that_takes_a_name_takes_a_reference(dsn: str) -> None:
    name, size = graph.node("name", str), graph.node("length", int)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph)
        assert await journey.what_am_i_waiting_for(execution, size) == "🛑 name | provided"
        assert [b.node for b in await journey.blockers(execution, size)] == ["name"]
        assert (await journey.preview(execution, set={name: "Ada"})).set == ("name",)
        async with aclosing(journey.watch(execution, nodes=[name])) as events:
            await journey.set_value(execution, name, "Ada")
            event = await anext(events)
            assert (event.node, event.value) == ("name", "Ada")
        await journey.get_value(execution, size, wait_any=True)
        assert "length" in (await journey.why(execution, size)).to_text()
        assert "success" in await journey.computation_status(execution, size)
        assert len(await journey.computations(execution, size)) == 1
        assert (await journey.preview(execution, unset=[name])).unset == ("name",)
        assert (await journey.retry_computation(execution, size)).id == execution.id
        for found in (
            await journey.list_executions(where=(value(size) > 2) & (value(name) == "Ada")),
            await journey.list_executions(where=all_of(name, not_(graph.node("anything")))),
            await journey.list_executions(filter_by=[(size, "gt", 2)], order_by=[name]),
            await journey.list_executions(filter_by=[(name, "is_set")], order_by=[(size, "desc")]),
        ):
            assert [e.id for e in found] == [execution.id]
        with pytest.raises(InvalidOptionError, match="node 'name' is an input"):
            await journey.retry_computation(execution, name)
