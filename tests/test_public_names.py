"""The public surface is a list; whatever is not on it may change."""

import journey_async

PUBLIC = [
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

SUBPACKAGES = {
    "cli",
    "client",
    "contrib",
    "core",
    "dashboard",
    "embedded",
    "engine",
    "errors",
    "store",
    "testing",
}


def test_exactly_the_listed_names_are_public() -> None:
    assert sorted(journey_async.__all__) == sorted(PUBLIC)


def test_nothing_else_can_be_imported_by_accident() -> None:
    # pytest, which rewrites the modules of a plugin, adds names of its own that begin with @
    names = {name for name in vars(journey_async) if name[0] not in "_@"}
    assert names - SUBPACKAGES == set(PUBLIC)


def test_every_public_name_says_what_it_is() -> None:
    for name in set(PUBLIC) - {"NOT_SET"}:
        assert getattr(journey_async, name).__doc__, name
