"""What a verb is given is checked by the execution as it is, not as it was when last seen."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import pytest

from journey_async import Execution, Graph, Journey, compute, input_node
from journey_async.client.execution import state_of
from journey_async.errors import NotAnInputError, UnknownNodeError
from tests.support.eventually import eventually

OLD = Graph("g", "v1", [input_node("x", type=int)])
NEW = Graph(
    "g",
    "v1",
    [
        input_node("x", type=int | str),
        input_node("note"),
        compute("total", ["x"], lambda x: f"{x}!"),
    ],
)


class Stale(NamedTuple):
    """A process with the old code, and an execution of which it has not heard what it is now."""

    web: Journey
    seen: Execution

    def by_id(self) -> str:
        """As if nobody had told."""
        cache = self.web._engine.cache
        cache.outdate(self.seen.id)
        state = state_of(self.seen)
        assert state is not None
        cache.put(state)
        return self.seen.id

    def by_snapshot(self) -> Execution:
        """As the caller has kept it."""
        return self.seen


@pytest.fixture
async def stale(dsn: str) -> AsyncIterator[Stale]:
    async with Journey(dsn, graphs=[OLD], run_computations=False) as web:
        seen = await web.start_execution(OLD, {"x": 1})
        async with Journey(dsn, graphs=[NEW]):

            async def is_on_the_new_one() -> bool:
                return (await web.load(seen.id)).graph_hash == NEW.hash

            await eventually(is_on_the_new_one)
            yield Stale(web, seen)


Call = Callable[[Journey, Any], Awaitable[Any]]
GIVES: dict[str, tuple[Call, Any]] = {
    "get": (lambda web, e: web.get_value(e, "total", wait_any=True), "1!"),
    "get settled": (lambda web, e: web.get_value(e, "total", settled=True), "1!"),
    "get newer": (lambda web, e: web.get_value(e, "total", newer_than=0), "1!"),
    "get at once": (lambda web, e: web.get_value(e, "note", default=3), 3),
    "set": (lambda web, e: web.set_value(e, "note", "n"), {"note": "n"}),
    "set by another type": (lambda web, e: web.set_value(e, "x", "a"), {"x": "a"}),
    "unset": (lambda web, e: web.unset_value(e, "note"), {}),
    "retry": (lambda web, e: web.retry_computation(e, "total"), {}),
}


@pytest.mark.parametrize("known", [Stale.by_id, Stale.by_snapshot])
@pytest.mark.parametrize("verb", GIVES)
async def test_nodes_and_types_of_a_new_definition_are_known_to_who_has_not_heard_of_it(
    stale: Stale, verb: str, known: Callable[[Stale], Any]
) -> None:
    call, wanted = GIVES[verb]
    await stale.web.get_value(stale.seen.id, "total", wait_any=True)
    given = await call(stale.web, known(stale))
    if isinstance(given, Execution):
        given = {name: given.values[name].value for name in wanted}
    assert given == wanted


async def test_wait_new_means_newer_than_in_the_snapshot_though_the_node_is_not_in_it(
    stale: Stale,
) -> None:
    assert await stale.web.get_value(stale.seen, "total", wait_new=True) == "1!"


async def test_what_the_new_one_refuses_as_well_is_refused(stale: Stale) -> None:
    web, seen = stale
    with pytest.raises(UnknownNodeError, match="total"):
        await web.get_value(seen, "nowhere")
    with pytest.raises(NotAnInputError, match="note"):
        await web.set_value(seen, "total", 1)
