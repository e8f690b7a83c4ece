"""How much work a call is, counted: the same on every machine, unlike time."""

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def effort(call: Callable[[], object]) -> int:
    """How many instructions of Python are executed.

    What the garbage collector finalizes is none of the call's, so it has to wait.
    """
    executed = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal executed
        frame.f_trace_opcodes = True
        executed += event == "opcode"
        return trace

    before, collects = sys.gettrace(), gc.isenabled()
    gc.disable()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 wants that of some frame before it begins
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
        if collects:
            gc.enable()
    return executed


def growth(work: Callable[[int], Callable[[], object]], *, least: int = 30) -> float:
    """How many times as much work four times the size is: 4 if it grows as the size does."""
    return effort(work(4 * least)) / effort(work(least))
