"""What the callbacks of a scenario were told."""

from collections.abc import Awaitable, Callable
from typing import Any

from journey_async import Journey, Saved

PATIENCE = 5.0  # real seconds for callbacks to end


class Saves:
    """Records every call of an `on_save`."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def recorder(self, scope: str) -> Callable[[str, str, Any], Awaitable[None]]:
        """A callback for a node or a graph."""

        async def on_save(execution_id: str, node: str, result: Any) -> None:
            saved = isinstance(result, Saved)
            event = {
                "scope": scope,
                "node": node,
                "status": "ok" if saved else "error",
                "value": result.value if isinstance(result, Saved) else result.reason,
            }
            self.events.append((execution_id, event))

        return on_save

    async def of(self, journey: Journey, execution_id: str) -> list[dict[str, Any]]:
        """What an execution's callbacks were told, once those under way have ended."""
        await journey._engine._callbacks.tasks.finished(PATIENCE)
        return [event for owner, event in self.events if owner == execution_id]
