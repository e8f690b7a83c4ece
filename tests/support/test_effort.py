"""What a count of work must not depend on."""

import gc

from tests.support.effort import effort


class Cyclic:
    """Only the garbage collector takes it away, and then it runs code."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        sum(n for n in range(100))


def test_it_does_not_matter_when_the_garbage_collector_comes() -> None:
    def call() -> list[object]:
        return [Cyclic()] and [[] for _ in range(100)]

    thresholds = gc.get_threshold()
    try:
        gc.set_threshold(0)
        never = effort(call)
        gc.set_threshold(1)
        assert effort(call) == never
    finally:
        gc.set_threshold(*thresholds)
    assert gc.isenabled()
