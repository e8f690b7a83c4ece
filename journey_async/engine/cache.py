"""Recently used states. A stale one does no harm: compare-and-set finds it out.

One that is known to be outdated is kept, too: of its execution what was written since is loaded.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType, NoneType
from typing import TypeAlias

from journey_async.core.change import Change
from journey_async.core.jsonvalue import JSON
from journey_async.core.state import State

MAX_WEIGHT = 256 * 2**20  # bytes of all states together, roughly
EXECUTION, VALUE, COMPUTATION = 900, 300, 700  # bytes of each without what is large, measured
LARGE = 1_000  # bytes from which what a node holds is weighed by itself
SMALL = frozenset({int, float, bool, NoneType})

Large: TypeAlias = Mapping[str, int]  # the bytes of what is large, by node
NOTHING: Large = MappingProxyType({})


class StateCache:
    """The newest known states, of at most `size` executions that weigh `max_weight` together.

    The least recently used go first; one stays, whatever it weighs. `weight` is in bytes, roughly.
    """

    def __init__(
        self,
        size: int,
        max_weight: int = MAX_WEIGHT,
        *,
        hears: Callable[[], bool] = lambda: True,
    ) -> None:
        self.weight = 0
        self._hears = hears
        self._size = size
        self._max_weight = max_weight
        self._states: OrderedDict[str, State] = OrderedDict()
        self._weights: dict[str, int] = {}  # by execution
        self._large: dict[str, Large] = {}  # by execution, if anything is
        self._outdated: set[str] = set()  # executions of which something newer is known to be

    def __len__(self) -> int:
        return len(self._states)

    def get(self, execution_id: str) -> State | None:
        """The state, if it is here."""
        if execution_id in self._outdated:
            return None
        state = self._states.get(execution_id)
        if state is not None:
            self._states.move_to_end(execution_id)
        return state

    def known(self, execution_ids: Iterable[str]) -> dict[str, State]:
        """What is known of these executions, be it outdated.

        Nothing unless it `hears` of a server that crashes, and may have lost some of it.
        """
        states = self._states if self._hears() else {}
        return {i: states[i] for i in execution_ids if i in states}

    def put(self, state: State) -> None:
        """Keep a state that was read, unless a newer one is here."""
        known = self.get(state.execution_id)
        if known is None or known.version <= state.version:
            self._keep(state, _weighed(state, NOTHING, state.values.keys() | state.newest.keys()))

    def put_written(self, change: Change) -> None:
        """Keep the state that a change has led to, unless a newer one is here."""
        state = change.state
        known = self.get(state.execution_id)
        if (0 if known is None else known.version) != change.expected:
            self.put(state)
            return
        large = self._large.get(state.execution_id, NOTHING) if self._large else NOTHING
        if large or _may_be_large(change):
            touched = change.values.union(node for node, _ in change.computations)
            large = _weighed(state, large, touched)
        self._keep(state, large)

    def outdate(self, execution_id: str, *, older_than: int | None = None) -> None:
        """A state is outdated (only if its version is older)."""
        known = self._states.get(execution_id)
        if known is not None and (older_than is None or known.version < older_than):
            self._outdated.add(execution_id)

    def forget(self, execution_id: str) -> None:
        """The execution is gone."""
        if execution_id in self._states:
            self._forget(execution_id)

    def clear(self) -> None:
        """Forget everything."""
        self.weight = 0
        for kept in (self._states, self._weights, self._large, self._outdated):
            kept.clear()

    def _keep(self, state: State, large: Large) -> None:
        execution_id, states, weights = state.execution_id, self._states, self._weights
        self._outdated.discard(execution_id)
        weight = EXECUTION + VALUE * len(state.values) + COMPUTATION * len(state.newest)
        if large:
            weight += sum(large.values())
            self._large[execution_id] = large
        elif self._large:
            self._large.pop(execution_id, None)
        self.weight += weight - weights.get(execution_id, 0)
        weights[execution_id] = weight
        states[execution_id] = state
        states.move_to_end(execution_id)
        while len(states) > self._size or (self.weight > self._max_weight and len(states) > 1):
            self._forget(next(iter(states)))

    def _forget(self, execution_id: str) -> None:
        del self._states[execution_id]
        self.weight -= self._weights.pop(execution_id)
        self._large.pop(execution_id, None)
        self._outdated.discard(execution_id)


def _may_be_large(change: Change) -> bool:
    """Whether anything that was written may be: what mostly is written is seen not to be."""
    values = change.state.values
    for name in change.values:
        value = values[name]
        if type(value.value) not in SMALL or value.metadata is not None:
            return True
    return any(computation.carried is not None for computation in change.computations.values())


def _weighed(state: State, large: Large, nodes: Iterable[str]) -> Large:
    """What is large in a state, if only these nodes differ from the one of which it is known."""
    found = dict(large)
    for node in nodes:
        value, newest = state.values.get(node), state.newest.get(node)
        weight = 0 if value is None else weight_of(value.value) + weight_of(value.metadata)
        weight += 0 if newest is None else weight_of(newest.carried)
        if weight >= LARGE:
            found[node] = weight
        else:
            found.pop(node, None)
    return found


def weight_of(value: JSON) -> int:
    """How many bytes of memory a value takes, roughly."""
    weight = 0
    ahead = [value]
    while ahead:
        item = ahead.pop()
        if isinstance(item, str):
            weight += 50 + len(item)
        elif isinstance(item, list):
            weight += 60 + 8 * len(item)
            ahead += item
        elif isinstance(item, dict):
            weight += 60 + 80 * len(item)
            ahead += item.values()
        else:
            weight += 30
    return weight
