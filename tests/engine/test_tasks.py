import asyncio

from journey_async.engine.tasks import Tasks


async def test_what_a_task_starts_as_it_ends_is_waited_for_as_well() -> None:
    tasks = Tasks("test")
    order: list[str] = []

    async def last() -> None:
        await asyncio.sleep(0)
        order.append("last")

    async def first() -> None:
        order.append("first")
        tasks.spawn(last(), "comes last")

    tasks.spawn(first(), "comes first")
    assert await tasks.finished(30)
    assert order == ["first", "last"]


async def test_a_task_that_does_not_end_is_not_waited_for_for_ever() -> None:
    tasks = Tasks("test")
    tasks.spawn(asyncio.Event().wait(), "never ends")  # type: ignore[arg-type]
    assert not await tasks.finished(0.01)
    await tasks.cancel()
