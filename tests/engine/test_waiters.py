"""What a wait takes notice of: nothing that is older than what its caller has read."""

from datetime import UTC, datetime

from journey_async.core.state import State, new_state
from journey_async.engine.waiters import NOT_YET, Waiters
from tests.support.graphs import one_input

FIRST = new_state("EXEC1", one_input(), datetime(2026, 4, 23, tzinfo=UTC))


def at(version: int) -> State:
    return FIRST._replace(version=version)


async def test_a_state_from_before_the_read_does_not_answer() -> None:
    waiters = Waiters()
    with waiters.waiting("EXEC1", lambda state: state.version) as wait:
        waiters.offer(at(3))  # on its way while the caller registered
        assert not wait.future.done()
        wait.begin(at(5))
        assert await wait.future == 5


async def test_nor_does_one_that_comes_after_it_and_was_read_before() -> None:
    waiters = Waiters()
    with waiters.waiting(
        "EXEC1", lambda state: state.version if state.version != 5 else NOT_YET
    ) as wait:
        wait.begin(at(5))
        waiters.offer(at(4))
        assert not wait.future.done()
        waiters.offer(at(6))
        assert await wait.future == 6


async def test_what_was_written_during_the_read_is_not_forgotten() -> None:
    waiters = Waiters()
    with waiters.waiting("EXEC1", lambda state: state.version) as wait:
        waiters.offer(at(7))
        waiters.offer(at(6))
        wait.begin(at(5))
        assert await wait.future == 7
