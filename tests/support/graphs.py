"""Graphs that several tests use."""

from typing import Any

from journey_async import Graph, compute, input_node, value

TABLES = ("graphs", "executions", "values", "computations", "singletons", "tallies")


def add(x: int, y: int) -> int:
    return x + y


def alert() -> str:
    return "🚨"


def basic_graph(name: str = "g1", **options: Any) -> Graph:
    """Two inputs, their sum, and an alert for a large one."""
    return Graph(
        name,
        "v1",
        [
            input_node("x", type=int),
            input_node("y", type=int),
            compute("sum", ["x", "y"], add),
            compute("large_value_alert", value("sum") > 40, alert),
        ],
        **options,
    )


def one_input(name: str = "one input", **options: Any) -> Graph:
    """Nothing but an input `x` of any type."""
    return Graph(name, "v1", [input_node("x")], **options)


async def everything(connection: Any, schema: str = "journey") -> dict[str, list[Any]]:
    """All rows of all tables of a schema but its workers, to be compared with a later look."""
    quoted = schema.replace('"', '""')
    return {
        table: sorted(
            map(str, await connection.fetch(f'SELECT t::text FROM "{quoted}"."{table}" AS t'))
        )
        for table in TABLES
    }
