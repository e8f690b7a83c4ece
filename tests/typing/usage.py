"""What type checkers infer: mypy in `make check`, pyright in test_pyright.py.

An error that is expected is ignored, and an ignored error that does not come is one.
"""

from typing import Any, Literal, TypedDict, assert_type

from pydantic import BaseModel

from journey_async import (
    Continue,
    Done,
    Execution,
    Graph,
    Journey,
    NodeRef,
    NodeValue,
    Retry,
    compute,
    input_node,
)


class Person(BaseModel):
    name: str


class Shape(TypedDict):
    sides: int


def greet(person: Person) -> str:
    return f"hello {person.name}"


graph = Graph(
    "g", "v1", [input_node("person", type=Person), compute("greeting", ["person"], greet)]
)
patient = Retry(max_attempts=5, give_up_on=(ValueError, LookupError))
person = graph.node("person", Person)
greeting = graph.node("greeting", str)
untyped = graph.node("greeting")
maybe: NodeRef[str | None] = graph.node("greeting", str | None)


def references() -> None:
    assert_type(person, NodeRef[Person])
    assert_type(greeting, NodeRef[str])
    assert_type(untyped, NodeRef[Any])
    assert_type(graph.node("x", list[int]), NodeRef[list[int]])
    assert_type(graph.node("x", dict[str, float]), NodeRef[dict[str, float]])
    assert_type(graph.node("x", Shape), NodeRef[Shape])


async def values(journey: Journey, execution: Execution) -> None:
    assert_type(await journey.get_value(execution, greeting), str)
    assert_type(await journey.get_value(execution.id, person, wait_any=True, timeout=None), Person)
    assert_type(
        await journey.get_value(execution, greeting, settled=True, default=None), str | None
    )
    assert_type(await journey.get_value(execution, maybe), str | None)
    assert_type(await journey.get_value(execution, untyped), Any)
    assert_type(await journey.get_value(execution, "greeting"), Any)
    assert_type(await journey.get_value(execution, "greeting", default=1, timeout=5), Any)
    assert_type(await journey.get_node(execution, person), NodeValue[Person])
    assert_type((await journey.get_node(execution, person, newer_than=3)).value, Person)
    assert_type((await journey.get_node(execution, "person")).value, Any)


async def wrong_reading(journey: Journey, execution: Execution) -> None:
    number: int = await journey.get_value(execution, greeting)  # type: ignore[arg-type]
    await journey.get_value(execution, greeting, wait=True)  # type: ignore[call-overload]
    await journey.get_value(execution, greeting, newer_than="3")  # type: ignore[call-overload]
    assert number


async def setting(journey: Journey, execution: Execution) -> None:
    await journey.set_value(execution, person, Person(name="Ada"))
    await journey.set_value(execution, "person", {"name": "Ada"})
    await journey.set_values(execution, {"person": 1, "other": "a"})
    await journey.set_values(execution, {person: Person(name="Ada")})
    await journey.set_values(execution, {person: Person(name="Ada"), "other": "a"})
    await journey.start_execution(graph, {person: Person(name="Ada"), "other": 1})
    await journey.set_values(execution, {1: 2})  # type: ignore[dict-item]
    given: dict[str, int] = {"person": 1}
    await journey.set_values(execution, given, metadata="why")
    await journey.unset_value(execution, person, "other")
    await journey.set_value(execution, person, "Ada")  # type: ignore[misc]
    await journey.set_value(execution, graph.node("n", int), "7")  # type: ignore[misc]


async def looking(journey: Journey, execution: Execution) -> None:
    async for event in journey.watch(execution, nodes=[person, "greeting"]):
        assert event.node
    await journey.why(execution, greeting)
    await journey.what_am_i_waiting_for(execution, greeting)
    await journey.computations(execution, greeting)


def step(l: int = 0) -> Continue[int] | Done[Literal["end"]]:  # noqa: E741
    return Continue(l + 1) if l < 3 else Done("end")


def bare(l: int = 0) -> Continue | Done:  # noqa: E741
    return Continue(l + 1, fallback=True)


def value_of(node: NodeValue) -> Any:
    return node.value
