"""The code of an application, for `--app`."""

from journey_async import Graph, Journey, compute, input_node, value
from journey_async.contrib.opentelemetry import OpenTelemetry


async def total(price: int, amount: int) -> int:
    return price * amount


def fails(price: int) -> None:
    raise ValueError(f"nobody pays {price}")


shop = Graph(
    "shop",
    "v1",
    [
        input_node("price", type=int),
        input_node("amount", type=int),
        input_node("customer"),
        compute("total", ["price", "amount"], total),
        compute("warning", value("total") > 100, lambda total: f"{total} is much"),
    ],
)
broken = Graph("broken", "v1", [input_node("price"), compute("payment", ["price"], fails)])
graphs = [shop, broken]


def journey() -> Journey:
    """Opens the database that the environment names."""
    return Journey(graphs=graphs)


def measured() -> Journey:
    """As `journey`, and measures what it does."""
    return Journey(graphs=graphs, instrumentation=OpenTelemetry())


async def found_later() -> list[Graph]:
    """What `--app` does not wait for."""
    return graphs
