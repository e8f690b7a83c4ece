"""Bad calls are refused by name before anything is written."""

from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from typing import Any

import pytest

from journey_async import (
    Execution,
    ExecutionNotFound,
    Graph,
    Journey,
    JourneyError,
    SingletonGraphError,
    compute,
    input_node,
)
from journey_async.engine.clock import SystemClock
from journey_async.errors import (
    InvalidOptionError,
    InvalidValueError,
    NotAnInputError,
    UnknownNodeError,
)
from tests.support.graphs import basic_graph, everything, one_input
from tests.support.refusals import refused

Verb = Callable[[Any, Any], Awaitable[Any]]

CYCLE: list[Any] = []
CYCLE.append(CYCLE)
MANY = Graph("many", "v1", [input_node("many", type=list[Any])])


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


NOT_JSON: dict[str, Any] = {
    "nan": float("nan"),
    "infinity": float("inf"),
    "minus infinity in a list": [1, [float("-inf")]],
    "a null character": "a\0b",
    "a null character in a key": {"a\0": 1},
    "a lone surrogate": "\ud800",
    "a lone surrogate in a key": {"\udfff": 1},
    "a key that is a number": {1: 2},
    "a key that is None": {"deep": {None: 2}},
    "a set": {1, 2},
    "bytes": b"abc",
    "an object": object(),
    "a class": int,
    "a function": len,
    "a decimal": Decimal("1.5"),
    "a complex number": 1j,
    "too deep": nested(101),
    "far too deep": nested(100_000),
    "a list that holds itself": CYCLE,
    "more digits than can be read back": 10**5000,
    "a key twice as long as the limit": {"k" * 20_000: 1},
    "a text longer than the limit": "x" * 10_001,
    "a list longer than the limit": list(range(5_000)),
}

NAMES: list[Any] = [
    "nobody",
    "",
    " x",
    "X",
    "x\0",
    "\ud800",
    "x" * 10_000,
    "'; DROP TABLE executions; --",
    '"',
    "%s",
    "$1",
    1,
    None,
    ("x",),
    b"x",
]

IDS: list[Any] = [
    "EXEC01J00000000000000000000000",
    "",
    "'; DROP TABLE journey.executions; --",
    '" OR 1=1 --',
    "x\0y",
    "\ud800",
    "é",
    "EXEC\n",
    "E" * 100_000,
]


async def test_a_value_that_cannot_be_stored_is_refused(dsn: str, connection: Any) -> None:
    graph = Graph("g", "v1", [input_node("x"), input_node("many", type=list[Any])])
    async with Journey(dsn, max_value_bytes=10_000) as journey:
        execution = await journey.start_execution(graph, {"x": 0})
        before = await everything(connection)
        for what, value in NOT_JSON.items():
            errors = await refused(
                InvalidValueError,
                journey.set_value(execution, "x", value),
                journey.set_value(execution, "x", {"in": [value]}),
                journey.set_value(execution, "x", 1, metadata=value),
                journey.set_values(execution, {"many": [1], "x": value}),
                journey.start_execution(graph, {"x": value}),
            )
            assert max(len(str(error)) for error in errors) < 1000, what
        assert await everything(connection) == before


async def _accepted(journey: Journey, execution: Execution, values: Iterable[str]) -> list[str]:
    """Those of NOT_JSON that a typed node takes, or refuses with a wrong error."""
    found = []
    for what in values:
        try:
            await journey.set_value(execution, "many", [NOT_JSON[what]])
        except InvalidValueError:
            continue
        except Exception as error:
            found.append(f"{what}: {type(error).__name__}")
        else:
            found.append(f"{what}: accepted")
    return found


MADE_PLAIN = (
    "bytes",
    "a set",
    "a decimal",
    "a complex number",
    "a key that is a number",
    "a key that is None",
)
TOO_MUCH_FOR_PYDANTIC = ("far too deep", "a list that holds itself", "a lone surrogate in a key")


async def test_a_typed_value_that_cannot_be_stored_is_refused(dsn: str, connection: Any) -> None:
    async with Journey(dsn, max_value_bytes=10_000) as journey:
        execution = await journey.start_execution(MANY)
        before = await everything(connection)
        left_out = {*MADE_PLAIN, *TOO_MUCH_FOR_PYDANTIC}
        assert await _accepted(journey, execution, NOT_JSON.keys() - left_out) == []
        assert await everything(connection) == before


async def test_a_typed_value_that_pydantic_cannot_make_json_of_is_refused(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(MANY)
        assert await _accepted(journey, execution, TOO_MUCH_FOR_PYDANTIC) == []


async def test_a_typed_node_does_not_make_json_of_what_is_none(dsn: str) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(MANY)
        assert await _accepted(journey, execution, MADE_PLAIN) == []


JSON: list[Any] = [
    "",
    "'; DROP TABLE journey.executions; --",
    '\\u0000 \\ " \n \t \x01 \x7f \u2028 \uffff 🚨',
    {"": {"'": [], "$1": {}, "%s": None, "\x1f": "\u0085"}},
    nested(100),
    10**4299,
    -(2**63),
    2**64,
    -1.5e-300,
    5e-324,
    0.1,
    -0.0,
    1e22,
    [True, 1, 1.0, None, False, 0],
]


async def test_a_value_that_can_be_stored_comes_back_the_same(dsn: str) -> None:
    async with Journey(dsn, run_computations=False) as journey:
        for value in JSON:
            execution = await journey.start_execution(one_input())
            kept = await journey.set_value(execution, "x", value, metadata=value)
            async with Journey(dsn, run_computations=False) as other:
                loaded = await other.load(execution.id)
            for found in (kept, loaded):
                assert found.values["x"].value == value
                assert repr(found.values["x"].value) == repr(kept.values["x"].value)
                assert found.values["x"].metadata == value
            again = await journey.set_value(execution, "x", value, metadata=value)
            assert again.revision == 1


async def test_an_unknown_node_is_refused(dsn: str, connection: Any) -> None:
    async with Journey(dsn) as journey:
        graph = basic_graph()
        execution = await journey.start_execution(graph, {"x": 0})
        before = await everything(connection)
        for name in NAMES:
            await refused(
                UnknownNodeError,
                journey.set_value(execution, name, 1),
                journey.set_value(execution.id, name, 1),
                journey.set_values(execution, {"x": 1, name: 1}),
                journey.unset_value(execution, "x", name),
                journey.start_execution(graph, {name: 1}),
                journey.get_value(execution, name, default=1),
                journey.get_value(execution, name, wait_any=True, timeout=0.01, default=1),
                journey.get_node(execution, name),
                journey.retry_computation(execution, name),
            )
            if name is not None:
                with pytest.raises(UnknownNodeError):
                    await journey.computations(execution, name)
        unhashable: Any = ["x"]
        await refused(UnknownNodeError, journey.unset_value(execution, unhashable))
        assert await everything(connection) == before


async def test_only_inputs_can_be_set(dsn: str, connection: Any) -> None:
    async with Journey(dsn) as journey:
        graph = basic_graph()
        execution = await journey.start_execution(graph)
        before = await everything(connection)
        for name in ("sum", "execution_id", "last_updated_at"):
            errors = await refused(
                NotAnInputError,
                journey.set_value(execution, name, 1),
                journey.set_values(execution, {"x": 1, name: 1}),
                journey.unset_value(execution, "x", name),
                journey.start_execution(graph, {name: 1}),
            )
            assert {error.inputs for error in errors} == {("x", "y")}
        assert await everything(connection) == before


VERBS: dict[str, Verb] = {
    "load": lambda journey, e: journey.load(e),
    "set_value": lambda journey, e: journey.set_value(e, "x", 1),
    "set_values": lambda journey, e: journey.set_values(e, {"x": 1}),
    "unset_value": lambda journey, e: journey.unset_value(e, "x"),
    "get_value": lambda journey, e: journey.get_value(e, "x", default=1),
    "wait": lambda journey, e: journey.get_value(e, "x", wait_any=True, default=1, timeout=0.1),
    "get_node": lambda journey, e: journey.get_node(e, "x"),
    "values": lambda journey, e: journey.values(e),
    "values_all": lambda journey, e: journey.values_all(e),
    "history": lambda journey, e: journey.history(e),
    "computations": lambda journey, e: journey.computations(e),
    "archive": lambda journey, e: journey.archive(e),
    "unarchive": lambda journey, e: journey.unarchive(e),
    "retry_computation": lambda journey, e: journey.retry_computation(e, "x"),
}


async def test_an_unknown_execution_is_refused(dsn: str, connection: Any) -> None:
    async with Journey(dsn) as journey:
        await journey.start_execution(basic_graph())
        before = await everything(connection)
        for verb in VERBS.values():
            for name in IDS:
                with pytest.raises(ExecutionNotFound):
                    await verb(journey, name)
            for wrong in (None, 1, b"EXEC", basic_graph(), ["EXEC"]):
                with pytest.raises(InvalidOptionError):
                    await verb(journey, wrong)
        assert await everything(connection) == before


BAD_OPTIONS: dict[str, Verb] = {
    "two ways to wait": lambda j, e: j.get_value(e, "x", wait_any=True, settled=True),
    "all ways to wait": lambda j, e: j.get_value(
        e, "x", wait_any=True, wait_new=True, newer_than=1, settled=True
    ),
    "a wait for so many milliseconds": lambda j, e: j.get_value(e, "x", wait_any=5000),
    "a wait that is a text": lambda j, e: j.get_node(e, "x", wait_new="x"),
    "a wait that is None": lambda j, e: j.get_value(e, "x", settled=None),
    "archived ones that are a text": lambda j, e: j.load(e, include_archived="no"),
    "a legend that is a number": lambda j, e: j.mermaid(e, legend=1),
    "a revision that is a text": lambda j, e: j.get_value(e, "x", newer_than="1"),
    "a revision that is a bool": lambda j, e: j.get_value(e, "x", newer_than=True),
    "a negative timeout": lambda j, e: j.get_value(e, "x", wait_any=True, timeout=-1),
    "an infinite timeout": lambda j, e: j.get_value(e, "x", wait_any=True, timeout=float("inf")),
    "a timeout that is no number": lambda j, e: j.get_value(
        e, "x", wait_any=True, timeout=float("nan")
    ),
    "a timeout that is a text": lambda j, e: j.get_value(e, "x", timeout="1"),
    "a timeout with too many digits": lambda j, e: j.get_value(
        e, "x", wait_any=True, timeout=10**5000
    ),
    "an age with too many digits": lambda j, e: j.purge(older_than=10**5000),
    "a timeout that is a bool": lambda j, e: j.get_value(e, "x", timeout=True),
    "nothing to unset": lambda j, e: j.unset_value(e),
    "values that are a list": lambda j, e: j.set_values(e, ["x"]),
    "values that are a text": lambda j, e: j.set_values(e, "x"),
    "initial values that are a list": lambda j, e: j.start_execution(one_input(), ["x"]),
}


async def test_a_bad_option_is_refused(dsn: str, connection: Any) -> None:
    async with Journey(dsn) as journey:
        execution = await journey.start_execution(basic_graph(), {"x": 1})
        before = await everything(connection)
        for what, call in BAD_OPTIONS.items():
            try:
                await call(journey, execution)
            except InvalidOptionError:
                continue
            pytest.fail(f"{what} was accepted")
        after = await everything(connection)
        after["graphs"] = [row for row in after["graphs"] if "one input" not in row]
        assert after == before


async def test_a_refused_start_leaves_no_graph_behind(dsn: str, connection: Any) -> None:
    async with Journey(dsn) as journey:
        with pytest.raises(InvalidValueError):
            await journey.start_execution(basic_graph(), {"x": "one"})
        assert await connection.fetchval("SELECT count(*) FROM journey.graphs") == 0


async def test_what_is_no_graph_is_refused(dsn: str, connection: Any) -> None:
    async with Journey(dsn) as journey:
        verbs: list[Any] = [journey.start_execution, journey.find_or_start, journey.register]
        for wrong in ("g1", None, {"name": "g1"}):
            for verb in verbs:
                with pytest.raises(JourneyError):
                    await verb(wrong)
        assert await connection.fetchval("SELECT count(*) FROM journey.graphs") == 0


@pytest.mark.parametrize(
    "options",
    [
        {"schema": ""},
        {"schema": "pg_mine"},
        {"schema": "a\0b"},
        {"schema": "\ud800"},
        {"schema": "s" * 64},
        {"schema": "ü" * 32},
        {"schema": None},
        {"max_concurrency": 0},
        {"max_concurrency": True},
        {"max_concurrency": 1.5},
        {"dsn": 5},
        {"listen_dsn": 5},
        {"pool": 5},
        {"clock": 5},
        {"clock": SystemClock},
        {"instrumentation": 5},
        {"run_computations": "no"},
        {"migrate": 1},
        {"pool_size": 0},
        {"pool_size": 10**9},
        {"pool_size": 10**5000},
        {"cache_size": -1},
        {"max_value_bytes": "1"},
        {"lease": 0.5},
        {"lease": float("nan")},
        {"lease": float("inf")},
        {"patience": 10**5000},
        {"grace_period": -1},
        {"patience": "1"},
        {"graphs": [None]},
        {"graphs": ["g1"]},
        {"graphs": "g1"},
        {"graphs": 5},
        {"graphs": None},
        {"dsn": "postgresql://", "pool": object()},
    ],
    ids=lambda options: ascii(list(options)),
)
def test_a_journey_refuses_options_that_mean_nothing(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError):
        Journey(**options)


def test_one_graph_is_no_list_of_graphs() -> None:
    with pytest.raises(InvalidOptionError, match="graphs must be a list of graphs, not Graph"):
        Journey(graphs=one_input())  # type: ignore[arg-type]


def test_two_definitions_of_a_graph_are_told_apart_by_nobody() -> None:
    one, other = (Graph("g", "v1", [input_node(name)]) for name in "xy")
    with pytest.raises(InvalidOptionError, match="graphs has two definitions of 'g' version 'v1'"):
        Journey(graphs=[one, other])
    Journey(graphs=[one, one, Graph("g", "v2", [input_node("y")])])


async def test_graphs_may_come_one_after_the_other(dsn: str) -> None:
    graphs: Any = (graph for graph in [one_input()])
    async with Journey(dsn, graphs=graphs) as journey:
        assert [graph.name for graph in journey.own_graphs] == ["one input"]


async def test_singletons_and_other_graphs_have_verbs_of_their_own(
    dsn: str, connection: Any
) -> None:
    async with Journey(dsn) as journey:
        with pytest.raises(SingletonGraphError) as raised:
            await journey.start_execution(one_input(singleton=True))
        assert raised.value.graph_name == "one input"
        with pytest.raises(SingletonGraphError):
            await journey.find_or_start(one_input())
        assert await connection.fetchval("SELECT count(*) FROM journey.executions") == 0


async def test_names_of_any_kind_can_be_a_graphs(dsn: str) -> None:
    name = '\'; DROP TABLE "x"; -- \n 🚨 %s $1 \\' + "n" * 150
    graph = Graph(name, name, [input_node(name), compute(name + "2", [name], lambda values: 1)])
    async with Journey(dsn, graphs=[graph]) as journey:
        execution = await journey.start_execution(graph, {name: name})
        assert await journey.get_value(execution, name + "2", wait_any=True) == 1
        async with Journey(dsn, run_computations=False) as other:
            assert await other.get_value(execution.id, name) == name
            assert (await other.load(execution.id)).graph_name == name
