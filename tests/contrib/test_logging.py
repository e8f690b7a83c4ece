"""What log records are about, as fields and as JSON."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from journey_async import ComputationFailed, Context, Graph, Journey, Retry, compute, input_node
from journey_async.contrib.logging import ContextFilter, JSONFormatter

SECRET = "s3cr3t-w0rd"
ONCE = Retry(max_attempts=1)


class Lines:
    """A handler as an application would set it up, and the records that came out, as JSON."""

    def __init__(self, **options: Any) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.addFilter(ContextFilter())
        self.handler.setFormatter(JSONFormatter(**options))

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def one(self, message: str) -> dict[str, Any]:
        [line] = [line for line in self.all if message in line["message"]]
        return line


@pytest.fixture(params=[False, True], ids=["without values", "with values"])
def lines(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[Lines]:
    caplog.set_level(logging.DEBUG)
    made = Lines(record_values=request.param)
    logging.getLogger().addHandler(made.handler)
    yield made
    logging.getLogger().removeHandler(made.handler)


async def test_records_say_which_attempt_they_are_about(dsn: str, lines: Lines) -> None:
    users = logging.getLogger("a user's")

    async def on_the_loop(x: str, context: Context) -> str:
        users.info("on the loop")
        await asyncio.sleep(0)
        return x

    def in_a_thread(x: str) -> None:
        users.info("in a thread")
        raise ValueError(x)

    def saved(*_: object) -> None:
        users.info("saved")

    graph = Graph(
        "g",
        "v1",
        [
            input_node("x"),
            compute("a", ["x"], on_the_loop, on_save=saved),
            compute("b", ["x"], in_a_thread, retry=ONCE),
        ],
    )
    async with Journey(dsn, graphs=[graph]) as journey:
        users.info("outside")
        execution = await journey.start_execution(graph, {"x": SECRET})
        await journey.get_value(execution, "a", wait_any=True)
        with pytest.raises(ComputationFailed):
            await journey.get_value(execution, "b", wait_any=True)
        computations = {c.node: c for c in await journey.computations(execution)}
    for message, node in (("on the loop", "a"), ("in a thread", "b"), ("failed", "b")):
        line = lines.one(message)
        assert {name: value for name, value in line.items() if name.startswith("journey_")} == {
            "journey_execution_id": execution.id,
            "journey_graph_name": "g",
            "journey_graph_version": "v1",
            "journey_node_name": node,
            "journey_computation_id": f"{execution.id}:{node}:1",
            "journey_attempt": 1,
            "journey_worker": computations[node].worker,
        }
    assert set(lines.one("outside")) == {"time", "level", "logger", "message"}
    about_callback = {"journey_execution_id": execution.id, "journey_node_name": "a"}
    assert about_callback.items() <= lines.one("saved").items()
    failed = lines.one("failed")
    assert (failed["logger"], failed["level"]) == ("journey_async", "INFO")
    assert failed["error_type"] == "ValueError"
    assert "in_a_thread" in failed["error_stack"]


async def test_values_are_in_no_line_unless_that_is_allowed(
    dsn: str, lines: Lines, request: pytest.FixtureRequest
) -> None:
    def fails(x: str) -> None:
        raise ValueError(f"cannot do with {x}")

    nodes = [
        input_node("x"),
        compute("raises", ["x"], fails, retry=ONCE),
        compute("gives no JSON", ["x"], lambda x: {x}, retry=ONCE),
    ]
    graph = Graph("g", "v1", nodes)
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {"x": SECRET})
        for step in ("raises", "gives no JSON"):
            with pytest.raises(ComputationFailed):
                await journey.get_value(execution, step, wait_any=True)
    told = [line for line in lines.all if SECRET in json.dumps(line)]
    if request.node.callspec.id == "with values":
        assert [line["error"] for line in told] == [f"cannot do with {SECRET}"]
    else:
        assert told == []
