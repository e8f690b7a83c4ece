"""The menu of functions (FN): what the nodes of a scenario compute."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from journey_async import Context, Continue, Done
from journey_async.core.jsonvalue import equal, is_number
from tests.conformance.clock import ScenarioClock
from tests.conformance.outcome import NoCounterpart

ABSENT = "absent"
LEAST = 40  # milliseconds of a scenario that a function takes: see `rules`

Menu = Callable[[Any, str], Callable[..., Any]]


class Failed(Exception):
    """A failure that the scenario planned; stands for an error result of the original."""


class Calls:
    """How often the function of each node was called, by execution."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._called = asyncio.Event()

    def count(self, execution_id: str, node: str) -> int:
        """Count a call; its number, from 1."""
        self._counts[execution_id, node] += 1
        self._called.set()
        return self._counts[execution_id, node]

    def of(self, execution_id: str) -> dict[str, int]:
        return {
            node: n for (owner, node), n in sorted(self._counts.items()) if owner == execution_id
        }

    async def reached(self, execution_id: str, node: str, at_least: int) -> None:
        """Wait until a node's function was called so often."""
        while self._counts[execution_id, node] < at_least:
            self._called.clear()
            await self._called.wait()


@dataclass(frozen=True)
class Call:
    """One call of a node's function."""

    node: str
    number: int
    values: Mapping[str, Any]
    context: Context
    clock: ScenarioClock

    def seconds(self) -> int:
        return int(self.clock.now().timestamp())

    async def run(self, fn: Mapping[str, Any]) -> Any:
        """What an entry of the menu returns, or raises."""
        found = _MENU.get(fn["fn"])
        if found is None:
            raise NoCounterpart(f"the function {fn['fn']!r}")
        returned = found(self, fn)
        return await returned if isinstance(returned, Awaitable) else returned


def menu(calls: Calls, clock: ScenarioClock) -> Menu:
    """Makes functions: the entry and the node's name in, what the node is given out."""

    def make(fn: Any, node: str) -> Callable[..., Any]:
        _refuse_without_counterpart(fn)

        async def computes(values: Mapping[str, Any], context: Context) -> Any:
            number = calls.count(context.execution_id, node)
            await clock.sleep(LEAST)
            return await Call(node, number, values, context, clock).run(fn)

        # The originals are closures; diagrams say "anonymous fn" for both.
        computes.__qualname__ = f"{node}.<lambda>"
        return computes

    return make


def _refuse_without_counterpart(fn: Any) -> None:
    while isinstance(fn, Mapping):
        if fn.get("fn") == "throw":
            raise NoCounterpart("throw")
        if fn.get("fn") not in _MENU:
            raise NoCounterpart(f"the function {fn.get('fn')!r}")
        fn = fn.get("then")


# --- the entries --------------------------------------------------------------------------------


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _add(call: Call, fn: Mapping[str, Any]) -> Any:
    found = [call.values.get(node) for node in fn["nodes"]]
    return sum(number for number in found if is_number(number))


def _mul(call: Call, fn: Mapping[str, Any]) -> Any:
    return call.values[fn["node"]] * fn["by"]


def _concat(call: Call, fn: Mapping[str, Any]) -> Any:
    parts = [_as_text(call.values[node]) for node in fn["nodes"] if node in call.values]
    return fn.get("prefix", "") + fn.get("sep", "").join(parts) + fn.get("suffix", "")


def _values_map(call: Call, fn: Mapping[str, Any]) -> Any:
    return {name: value for name, value in call.values.items() if name != "last_updated_at"}


def _fail(call: Call, fn: Mapping[str, Any]) -> Any:
    raise Failed(_as_text(fn.get("error", "planned failure")))


def _fail_then_ok(call: Call, fn: Mapping[str, Any]) -> Any:
    if call.number <= fn["times"]:
        raise Failed(_as_text(fn.get("error", f"planned failure {call.number}")))
    return fn.get("value")


def _fail_if(call: Call, fn: Mapping[str, Any]) -> Any:
    if equal(call.values.get(fn["node"]), fn["equals"]):
        raise Failed(_as_text(fn.get("error", "bad input")))
    return fn.get("value")


def _raise(call: Call, fn: Mapping[str, Any]) -> Any:
    raise RuntimeError(fn.get("message", ""))


def _bad_return(call: Call, fn: Mapping[str, Any]) -> Any:
    shown = "nil" if fn["value"] is None else json.dumps(fn["value"], ensure_ascii=False)
    raise Failed(f"Unexpected value: '{shown}'")


def _now_plus(call: Call, fn: Mapping[str, Any]) -> Any:
    return call.seconds() + fn["seconds"]


def _now_plus_if(call: Call, fn: Mapping[str, Any]) -> Any:
    return call.seconds() + fn["seconds"] if call.values.get(fn["node"]) is True else 0


async def _sleep_ms(call: Call, fn: Mapping[str, Any]) -> Any:
    await call.clock.sleep(fn["ms"])
    return await call.run(fn["then"])


async def _sleep_first(call: Call, fn: Mapping[str, Any]) -> Any:
    if call.number <= fn["calls"]:
        await call.clock.sleep(fn["ms"])
    return await call.run(fn["then"])


def _count_to(call: Call, fn: Mapping[str, Any]) -> Any:
    following = (call.values.get(call.node) or 0) + 1
    if following >= fn["n"]:
        return Done(following)
    return Continue(following, fallback=fn["mode"] == "cont_with_fallback")


def _count_to_failing(call: Call, fn: Mapping[str, Any]) -> Any:
    if call.number in fn["fail_calls"]:
        raise Failed(f"planned failure at call {call.number}")
    return _count_to(call, fn)


def _trace_self(call: Call, fn: Mapping[str, Any]) -> Any:
    saw = call.values.get(call.node, ABSENT)
    if call.number >= fn["n"]:
        return Done(["done", saw])
    return Continue(f"iteration {call.number}, saw {_as_text(saw)}", fallback=True)


def _value_nodes(call: Call, fn: Mapping[str, Any]) -> Any:
    return {
        name: {
            "value": upstream.value,
            "metadata": upstream.metadata,
            "revision": upstream.revision,
            "set_time": upstream.set_time and int(upstream.set_time.timestamp()),
        }
        for name, upstream in call.context.upstream.items()
    }


def _metadata_of(call: Call, fn: Mapping[str, Any]) -> Any:
    upstream = call.context.upstream.get(fn["node"])
    return None if upstream is None else upstream.metadata


_MENU: dict[str, Callable[[Call, Mapping[str, Any]], Any]] = {
    "add": _add,
    "mul": _mul,
    "concat": _concat,
    "const": lambda call, fn: fn.get("value"),
    "identity": lambda call, fn: call.values.get(fn["node"]),
    "counter": lambda call, fn: (call.values.get(call.node) or 0) + 1,
    "calls": lambda call, fn: call.number,
    "keys": lambda call, fn: sorted(call.values),
    "values_map": _values_map,
    "fail": _fail,
    "fail_then_ok": _fail_then_ok,
    "fail_if": _fail_if,
    "raise": _raise,
    "bad_return": _bad_return,
    "now_plus": _now_plus,
    "now_plus_if": _now_plus_if,
    "sleep_ms": _sleep_ms,
    "sleep_first": _sleep_first,
    "count_to": _count_to,
    "count_to_failing": _count_to_failing,
    "trace_self": _trace_self,
    "value_nodes": _value_nodes,
    "metadata_of": _metadata_of,
}
