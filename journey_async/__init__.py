"""Durable, reactive workflows for asyncio, kept in PostgreSQL."""

from journey_async.client.execution import Execution
from journey_async.client.flow import FlowAnalytics
from journey_async.client.journey import Journey
from journey_async.client.records import HistoryEntry
from journey_async.client.status import SystemStatus
from journey_async.client.watching import Event
from journey_async.core.change import Saved, SaveFailed
from journey_async.core.conditions import all_of, any_of, is_false, is_true, not_, provided, value
from journey_async.core.gates import unblocked_when
from journey_async.core.graph import Graph
from journey_async.core.loops import Continue, Done
from journey_async.core.nodes import (
    archive,
    compute,
    historian,
    input_node,
    loop,
    mutate,
    tick_once,
    tick_recurring,
)
from journey_async.core.reference import NodeRef
from journey_async.core.retry import Retry
from journey_async.core.schedules import cron, every
from journey_async.core.sentinels import NOT_SET
from journey_async.core.values import Computation, NodeValue
from journey_async.engine.context import Context
from journey_async.errors import (
    ComputationFailed,
    ExecutionArchivedError,
    ExecutionNotFound,
    GraphError,
    JourneyError,
    NotSetError,
    PermanentError,
    SingletonGraphError,
    StoredTypeError,
    WaitTimeout,
)

__all__ = [
    "NOT_SET",
    "Computation",
    "ComputationFailed",
    "Context",
    "Continue",
    "Done",
    "Event",
    "Execution",
    "ExecutionArchivedError",
    "ExecutionNotFound",
    "FlowAnalytics",
    "Graph",
    "GraphError",
    "HistoryEntry",
    "Journey",
    "JourneyError",
    "NodeRef",
    "NodeValue",
    "NotSetError",
    "PermanentError",
    "Retry",
    "SaveFailed",
    "Saved",
    "SingletonGraphError",
    "StoredTypeError",
    "SystemStatus",
    "WaitTimeout",
    "all_of",
    "any_of",
    "archive",
    "compute",
    "cron",
    "every",
    "historian",
    "input_node",
    "is_false",
    "is_true",
    "loop",
    "mutate",
    "not_",
    "provided",
    "tick_once",
    "tick_recurring",
    "unblocked_when",
    "value",
]
