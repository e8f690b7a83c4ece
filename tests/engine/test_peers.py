"""Several workers: whose turn it is, and who takes what that one leaves."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from journey_async import Graph, Journey, Retry, compute, input_node
from journey_async.engine import peers, safety_check
from journey_async.engine.peers import Peers
from journey_async.store.store import Store
from tests.support.eventually import eventually

WORKERS = ("W1", "W2", "W3")
TIMES = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=50 * n) for n in range(120)]


def turns(without: str | None = None) -> list[list[str]]:
    """Whose turn each of three workers, who know each other, finds it to be, time by time."""
    views = {}
    for worker in WORKERS:
        views[worker] = Peers(lambda worker=worker: worker)  # type: ignore[misc]
        views[worker].become([other for other in WORKERS if other != worker])
    return [[w for w in WORKERS if views[w].is_my_turn(t, without=without)] for t in TIMES]


def test_it_is_the_turn_of_one_and_each_has_as_many() -> None:
    assert all(len(workers) == 1 for workers in turns())
    assert Counter(worker for [worker] in turns()) == dict.fromkeys(WORKERS, len(TIMES) / 3)


def test_it_is_not_the_turn_of_who_has_passed_something_on() -> None:
    assert Counter(w for [w] in turns("W2")) == dict.fromkeys(("W1", "W3"), len(TIMES) / 2)


def test_who_is_alone_takes_everything() -> None:
    alone = Peers(lambda: "W1")
    assert all(alone.is_my_turn(t) and alone.is_my_turn(t, without="W2") for t in TIMES)


def test_of_a_backlog_each_has_a_share_and_nothing_is_left() -> None:
    backlog = [f"EXEC{number}" for number in range(300)]
    shares = []
    for worker in WORKERS:
        view = Peers(lambda worker=worker: worker)  # type: ignore[misc]
        view.become([other for other in WORKERS if other != worker])
        shares.append(view.own_share(backlog))
    assert sorted(i for share in shares for i in share) == sorted(backlog)
    assert all(len(share) > len(backlog) / 6 for share in shares)


class Called:
    """A worker's function, that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.free = asyncio.Event()
        self.free.set()
        self.graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], self._call)])

    async def _call(self, x: int) -> int:
        self.calls += 1
        await self.free.wait()
        return x


async def workers(
    stack: AsyncExitStack, dsn: str, *called: Called, **options: Any
) -> list[Journey]:
    """A Journey for each."""
    return [
        await stack.enter_async_context(Journey(dsn, graphs=[one.graph], **options))
        for one in called
    ]


async def know_each_other(journeys: list[Journey]) -> None:
    """Return once each has seen all of the others."""
    for journey in journeys:
        known = journey._engine.scheduler.peers
        await eventually(lambda known=known: len(known.others) == len(journeys) - 1)  # type: ignore[misc]


@pytest.mark.hears("is told what was left to others")
async def test_what_a_web_process_leaves_is_loaded_by_one_worker(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "MOMENT", 1000.0)
    monkeypatch.setattr(peers, "TURNS", 0.0001)
    async with AsyncExitStack() as stack:
        called = [Called(), Called(), Called()]
        journeys = await workers(stack, dsn, *called)
        await know_each_other(journeys)
        loaded: list[set[str]] = []
        for journey in journeys:
            store = journey._engine.store
            here: set[str] = set()
            loaded.append(here)

            async def noted(
                ids: Any, *rest: Any, load: Any = store.load, here: set[str] = here, **known: Any
            ) -> Any:
                here.update(ids)
                return await load(ids, *rest, **known)

            monkeypatch.setattr(store, "load", noted)
        web = await stack.enter_async_context(
            Journey(dsn, graphs=[called[0].graph], run_computations=False)
        )
        started = [await web.start_execution(called[0].graph, {"x": n}) for n in range(30)]
        for number, execution in enumerate(started):
            assert await web.get_value(execution, "y", wait_any=True) == number
        assert [here for here in loaded if here] == [{execution.id for execution in started}]
        assert sorted(one.calls for one in called) == [0, 0, len(started)]


async def test_others_take_what_the_one_whose_turn_it_is_has_no_room_for(dsn: str) -> None:
    full, idle = Called(), Called()
    full.free.clear()
    async with AsyncExitStack() as stack:
        web = await stack.enter_async_context(
            Journey(dsn, graphs=[idle.graph], run_computations=False)
        )
        [first] = await workers(stack, dsn, full, max_concurrency=1)
        stuck = await web.start_execution(idle.graph, {"x": 0})
        await eventually(lambda: full.calls == 1)
        [second] = await workers(stack, dsn, idle, max_concurrency=1)
        await know_each_other([first, second])
        started = [await web.start_execution(idle.graph, {"x": n}) for n in range(20)]
        for number, execution in enumerate(started):
            assert await web.get_value(execution, "y", wait_any=True) == number
        assert (full.calls, idle.calls) == (1, len(started))
        full.free.set()
        assert await web.get_value(stuck, "y", wait_any=True) == 0


async def test_a_backlog_is_worked_off_by_all_who_have_room(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also beyond what a worker sees of it at once, and another one takes."""
    monkeypatch.setattr(safety_check, "INTERVAL", 1000.0)
    monkeypatch.setattr(peers, "MOMENT", 0.5)  # in which the others have taken what they can
    full, idle = Called(), Called()
    full.free.clear()
    know, attention = asyncio.Event(), Store.attention

    async def look(self: Store, *graphs: Any, **options: Any) -> Any:
        return await attention(self, *graphs, **options) if know.is_set() else []

    monkeypatch.setattr(Store, "attention", look)
    async with AsyncExitStack() as stack:
        web = await stack.enter_async_context(
            Journey(dsn, graphs=[idle.graph], run_computations=False)
        )
        await asyncio.gather(*(web.start_execution(idle.graph, {"x": n}) for n in range(60)))
        [first] = await workers(stack, dsn, full, max_concurrency=20)
        [second] = await workers(stack, dsn, idle, max_concurrency=5)
        await know_each_other([first, second])
        for journey, has_turn in ((first, True), (second, False)):
            turns = journey._engine.scheduler.peers
            monkeypatch.setattr(turns, "is_my_turn", lambda *_, has_turn=has_turn, **__: has_turn)
        know.set()
        for journey in (first, second):
            journey._engine.scheduler.expect()
        await eventually(lambda: (full.calls, idle.calls) == (20, 40))
        full.free.set()


def answers_held_up(
    monkeypatch: pytest.MonkeyPatch, journey: Journey
) -> tuple[asyncio.Event, asyncio.Event]:
    """What it wakes is written, and it hears so late: when there is one, and once it may hear."""
    woken, may_hear = asyncio.Event(), asyncio.Event()
    submit = journey._engine.scheduler._submit
    assert submit is not None

    async def slow_to_hear(*command: Any, **options: Any) -> Any:
        answer = await submit(*command, **options)
        woken.set()
        await may_hear.wait()
        return answer

    monkeypatch.setattr(journey._engine.scheduler, "_submit", slow_to_hear)
    return woken, may_hear


@pytest.mark.hears("is told what was left to others")
@pytest.mark.parametrize("my_turn", [True, False])
async def test_what_is_left_again_while_it_is_being_woken_is_looked_at_again(
    dsn: str, monkeypatch: pytest.MonkeyPatch, my_turn: bool
) -> None:
    monkeypatch.setattr(safety_check, "INTERVAL", 1000.0)
    graph = Called().graph
    async with Journey(dsn, graphs=[graph]) as worker, Journey(dsn, run_computations=False) as web:
        wakes = worker._engine.scheduler
        woken, may_hear = answers_held_up(monkeypatch, worker)
        execution = await web.start_execution(graph, {"x": 1})
        assert await web.get_value(execution, "y", wait_any=True) == 1
        assert woken.is_set()
        monkeypatch.setattr(wakes.peers, "is_my_turn", lambda *_, **__: my_turn)
        again = await web.set_value(execution, "x", 2)
        await worker._engine.hear_all()
        await eventually(lambda: not wakes._alarm.is_set() and not wakes._left.under_way)
        may_hear.set()
        assert await web.get_value(again, "y", settled=True) == 2


async def test_what_is_due_again_while_it_is_being_woken_is_looked_at_again(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alarm comes between the wake and its answer."""
    monkeypatch.setattr(safety_check, "INTERVAL", 1000.0)
    errors = iter([ValueError("once")])

    async def flaky(x: int) -> int:
        if error := next(errors, None):
            raise error
        return x

    soon = Retry(initial_delay=0.05, jitter=False)
    graph = Graph("g", "v1", [input_node("x"), compute("y", ["x"], flaky, retry=soon)])
    async with Journey(dsn, graphs=[graph]) as worker, Journey(dsn, run_computations=False) as web:
        wakes = worker._engine.scheduler
        woken, may_hear = answers_held_up(monkeypatch, worker)
        execution = await web.start_execution(graph, {"x": 1})
        await woken.wait()

        async def is_due() -> bool:
            wake_at = (await web.load(execution))._state.wake_at
            return wake_at is not None and wake_at <= worker._engine.clock.now()

        await eventually(is_due)
        wakes.expect()
        await eventually(wakes._rests.is_set)
        may_hear.set()
        assert await web.get_value(execution, "y", wait_any=True) == 1
