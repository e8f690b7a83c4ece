"""Recently used states. A stale one does no harm: compare-and-set finds it out."""

from collections import OrderedDict

from journey_async.core.state import State


class StateCache:
    """The newest known state of at most `size` executions, the least recently used go first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._states: OrderedDict[str, State] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def get(self, execution_id: str) -> State | None:
        """The state, if it is here."""
        state = self._states.get(execution_id)
        if state is not None:
            self._states.move_to_end(execution_id)
        return state

    def put(self, state: State) -> None:
        """Keep a state that was written or loaded, unless a newer one is here."""
        known = self._states.get(state.execution_id)
        if known is not None and known.version > state.version:
            return
        self._states[state.execution_id] = state
        self._states.move_to_end(state.execution_id)
        if len(self._states) > self._size:
            self._states.popitem(last=False)

    def drop(self, execution_id: str, *, older_than: int | None = None) -> None:
        """Forget a state (only if its version is older)."""
        known = self._states.get(execution_id)
        if known is not None and (older_than is None or known.version < older_than):
            del self._states[execution_id]
