import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from journey_async.core.conditions import all_of, any_of, not_, provided, value
from journey_async.core.description import described_graph
from journey_async.core.gates import unblocked_when
from journey_async.core.graph import Graph
from journey_async.core.nodes import (
    SYSTEM_NODES,
    Node,
    archive,
    compute,
    historian,
    input_node,
    loop,
    mutate,
    tick_once,
    tick_recurring,
)
from journey_async.core.retry import Retry
from journey_async.core.schedules import cron, every
from journey_async.core.values import NodeValue
from journey_async.errors import (
    CircularDependencyError,
    DuplicateNodeError,
    GraphError,
    InvalidNodeError,
    MutationTargetError,
    UnknownNodeError,
    UnknownUpstreamError,
)
from tests.core.story import some_function as f
from tests.support.effort import growth


def g(*nodes: Node, **options: Any) -> Graph:
    return Graph("g", "v1", nodes, **options)


def everything() -> Graph:
    def high(node: NodeValue) -> bool:
        return bool(node.value)

    return g(
        input_node("x", type=int),
        input_node("y"),
        compute(
            "c", all_of("x", any_of(value("y") > 1.5, not_("y"))), f, retry=Retry(max_attempts=5)
        ),
        mutate("m", ["c"], f, mutates=["y"]),
        historian("h", ["x", "y"], max_entries=None),
        tick_once("t1", ["x"], f),
        tick_once("t2", [], cron("0 9 * * *", tz="Europe/Berlin")),
        tick_recurring("t3", [], every(timedelta(minutes=5))),
        loop("l", value("x").in_([1, "a", None]), f, max_iterations=3),
        compute("p", unblocked_when("x", high, label="high"), f),
        archive("end", value("y").contains("done"), keep_latest_computations="all"),
        singleton=True,
        execution_id_prefix="DOC",
        keep_latest_computations=5,
    )


# --- building ---------------------------------------------------------------------------------


def test_a_name_that_every_graph_has_already_is_told_as_that() -> None:
    with pytest.raises(DuplicateNodeError, match="'execution_id', which every graph has of itself"):
        Graph("g", "v1", [input_node("execution_id")])


def test_system_nodes_come_first() -> None:
    assert [node.name for node in g(input_node("x")).nodes] == [
        "execution_id",
        "last_updated_at",
        "x",
    ]
    assert list(g(input_node("x")).inputs) == ["x"]


def test_a_graph_without_nodes() -> None:
    assert Graph("g", "v1", []).nodes == SYSTEM_NODES


def test_a_graph_by_keyword() -> None:
    assert Graph(name="g", version="v1", nodes=[input_node("x")]) == g(input_node("x"))


def test_upstream_and_downstream() -> None:
    graph = everything()
    assert graph.upstream["c"] == ("x", "y")
    assert set(graph.downstream["c"]) == {"m"}
    assert graph.ancestors("m") == {"c", "x", "y"}
    assert graph.ticks == {"t1", "t2", "t3"}


def test_a_node_by_name() -> None:
    graph = g(input_node("x"))
    assert graph.node_named("x").name == "x"
    for wrong in ("y", 5, None):
        with pytest.raises(UnknownNodeError, match="its nodes are"):
            graph.node_named(wrong)  # type: ignore[arg-type]


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "build",
    [
        lambda: Graph("", "v1", []),
        lambda: Graph("n" * 201, "v1", []),
        lambda: Graph("g", "v" * 201, []),
        lambda: Graph("g\0", "v1", []),
        lambda: Graph("g", "\ud800", []),
        lambda: Graph(5, "v1", []),  # type: ignore[arg-type]
        lambda: Graph("g", None, []),  # type: ignore[arg-type]
        lambda: Graph("g", "v1", None),  # type: ignore[arg-type]
        lambda: Graph("g", "v1", "x"),  # type: ignore[arg-type]
        lambda: Graph("g", "v1", input_node("x")),  # type: ignore[arg-type]
        lambda: Graph("g", "v1", ["x"]),  # type: ignore[list-item]
        lambda: Graph("g", "v1", [None]),  # type: ignore[list-item]
        lambda: Graph("g", "v1", (input_node(n) for n in "ab")),  # type: ignore[arg-type]
        lambda: Graph("g", "v1", [{"kind": "nothing", "name": "x"}]),  # type: ignore[list-item]
        lambda: g(singleton="yes"),
        lambda: g(singleton=1),
        lambda: g(execution_id_prefix=""),
        lambda: g(execution_id_prefix="a b"),
        lambda: g(execution_id_prefix="E" * 33),
        lambda: g(keep_latest_computations=0),
        lambda: g(keep_latest_computations="none"),
        lambda: g(on_save=5),
        lambda: g(on_save="told"),
        lambda: g(input_node("x"), on_save="told"),
        lambda: Graph(b"g", "v1", []),  # type: ignore[arg-type]
        lambda: Graph("g", b"v1", []),  # type: ignore[arg-type]
        lambda: g(execution_id_prefix=b"E"),
        lambda: g(f_on_save=f),
    ],
)
def test_bad_options_are_refused_in_our_own_words(build: Callable[[], object]) -> None:
    with pytest.raises(GraphError):
        build()


def test_duplicate_names() -> None:
    with pytest.raises(DuplicateNodeError, match="'x'") as caught:
        g(input_node("x"), input_node("y"), compute("x", ["y"], f))
    assert caught.value.node == "x"


@pytest.mark.parametrize("name", ["execution_id", "last_updated_at"])
def test_system_names_are_taken(name: str) -> None:
    with pytest.raises(DuplicateNodeError):
        g(input_node(name))


@pytest.mark.parametrize(
    "first", [compute("execution_id", [], f), input_node("execution_id", type=int)]
)
def test_both_system_names_are_taken(first: Node) -> None:
    with pytest.raises(GraphError):
        g(first, input_node("last_updated_at"))


def test_unknown_upstream() -> None:
    with pytest.raises(UnknownUpstreamError, match="'a' is gated by 'nope', 'nix'") as caught:
        g(input_node("x"), compute("a", any_of("nope", not_("nix"), "x"), f))
    assert (caught.value.node, caught.value.missing) == ("a", ("nope", "nix"))


def test_a_node_that_waits_for_itself() -> None:
    with pytest.raises(CircularDependencyError, match="a → a"):
        g(compute("a", ["a"], f))


def test_a_circle_is_shown() -> None:
    with pytest.raises(CircularDependencyError, match="a → c → b → a") as caught:
        g(
            input_node("x"),
            compute("a", ["x", "c"], f),
            compute("b", ["a"], f),
            compute("c", not_("b"), f),
            compute("d", ["c"], f),
        )
    assert caught.value.path == ("a", "c", "b", "a")


@pytest.mark.parametrize(
    "targets, reason",
    [
        ("m", "itself"),
        ("nope", "no such node; its nodes are .*'x', 'go', 'm'"),
        ("execution_id", "read-only"),
        ("last_updated_at", "read-only"),
        (["x", "nope"], "no such node"),
    ],
)
def test_bad_mutation_targets(targets: Any, reason: str) -> None:
    with pytest.raises(MutationTargetError, match=reason) as caught:
        g(input_node("x"), input_node("go"), mutate("m", ["go"], f, mutates=targets))
    assert caught.value.node == "m"


def test_a_mutation_of_its_own_upstream_with_a_revision_would_run_for_ever() -> None:
    with pytest.raises(MutationTargetError, match="again and again") as caught:
        g(input_node("x"), mutate("m", ["x"], f, mutates="x", update_revision_on_change=True))
    assert (caught.value.node, caught.value.target) == ("m", "x")


def test_so_would_one_by_way_of_others() -> None:
    with pytest.raises(MutationTargetError, match="again and again") as caught:
        g(
            input_node("x"),
            compute("a", ["x"], f),
            compute("b", ["a"], f),
            mutate("m", ["b"], f, mutates="x", update_revision_on_change=True),
        )
    assert (caught.value.node, caught.value.target) == ("m", "x")


def test_of_several_on_the_way_the_one_is_named_that_writes_with_a_revision() -> None:
    with pytest.raises(MutationTargetError, match="again and again") as caught:
        g(
            input_node("x"),
            compute("c", ["m1"], f),
            mutate("m1", ["x"], f, mutates="c"),
            mutate("m2", ["c"], f, mutates="x", update_revision_on_change=True),
        )
    assert (caught.value.node, caught.value.target) == ("m2", "x")


def test_so_would_two_that_write_each_others_upstream() -> None:
    with pytest.raises(MutationTargetError, match="again and again"):
        g(
            input_node("x"),
            input_node("y"),
            mutate("m", ["x"], f, mutates="y", update_revision_on_change=True),
            mutate("n", ["y"], f, mutates="x", update_revision_on_change=True),
        )


def test_without_a_revision_it_is_welcome() -> None:
    g(input_node("x"), mutate("m", ["x"], f, mutates="x"))


@pytest.mark.parametrize("broken", [{}, {"nodes": []}, {"name": "g", "version": "v1"}])
def test_a_broken_definition_is_refused_in_our_own_words(broken: dict[str, Any]) -> None:
    with pytest.raises(GraphError):
        described_graph(broken)


@pytest.mark.parametrize(
    "broken",
    [
        {"name": "g", "version": "v1", "nodes": [{"name": "x"}]},
        {"name": "g", "version": "v1", "nodes": [{"name": "x", "kind": "compute"}]},
        {"name": "g", "version": "v1", "nodes": [], "color": "red"},
    ],
)
def test_a_definition_of_something_else_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(GraphError):
        described_graph(broken)


@pytest.mark.parametrize("broken", [{}, {"name": "g"}, [], None, "g"])
def test_so_is_what_is_no_definition_at_all(broken: Any) -> None:
    with pytest.raises(InvalidNodeError, match="Graph is not valid"):
        Graph.model_validate(broken)


def test_a_definition_as_json() -> None:
    graph = everything()
    assert Graph.model_validate_json(graph.model_dump_json()).hash == graph.hash
    with pytest.raises(InvalidNodeError, match="Graph is not valid"):
        Graph.model_validate_json("{")


# --- size -------------------------------------------------------------------------------------


def _chain(length: int) -> list[Node]:
    steps = (compute(f"n{n}", [f"n{n - 1}"], f) for n in range(1, length + 1))
    return [input_node("n0"), *steps][::-1]


def _layers(depth: int) -> list[Node]:
    nodes: list[Node] = [input_node("a0"), input_node("b0")]
    for n in range(1, depth + 1):
        nodes += [compute(f"{side}{n}", [f"a{n - 1}", f"b{n - 1}"], f) for side in "ab"]
    return nodes


@pytest.mark.parametrize("made", [_chain, _layers])
def test_to_build_a_graph_grows_as_the_graph_does(made: Callable[[int], list[Node]]) -> None:
    def build(size: int) -> Callable[[], object]:
        nodes = made(size)
        return lambda: g(*nodes)

    assert growth(build) < 5


def test_a_graph_may_be_ten_thousand_deep() -> None:
    assert len(g(*_chain(10_000)).ancestors("n10000")) == 10_000


def test_layers_of_two_may_be_five_thousand_deep() -> None:
    assert len(g(*_layers(5_000)).ancestors("a5000")) == 10_000


def test_a_circle_of_ten_thousand_is_found() -> None:
    nodes = [compute(f"n{n}", [f"n{(n + 1) % 10_000}"], f) for n in range(10_000)]
    with pytest.raises(CircularDependencyError) as caught:
        g(*nodes)
    assert len(caught.value.path) == 10_001


def _alternating(depth: int) -> Graph:
    condition: Any = provided("x")
    for level in range(depth):
        condition = (condition | provided("x")) if level % 2 else (condition & provided("y"))
    return g(input_node("x"), input_node("y"), compute("a", condition, f))


def test_a_condition_may_be_nested_deep() -> None:
    assert len(_alternating(63).hash) == 64


@pytest.mark.parametrize("depth", [64, 3_000])
def test_but_no_deeper(depth: int) -> None:
    with pytest.raises(InvalidNodeError, match="nested more than 64 levels deep"):
        _alternating(depth)


@pytest.mark.parametrize("depth", [64, 3_000])
def test_nor_in_a_description(depth: int) -> None:
    definition = g(input_node("x"), compute("a", ["x"], f)).model_dump(mode="json")
    [step] = [node for node in definition["nodes"] if node["name"] == "a"]
    for _ in range(depth):
        step["gated_by"] = {"kind": "not", "condition": step["gated_by"]}
    with pytest.raises(InvalidNodeError, match="nested more than 64 levels deep"):
        Graph.model_validate(definition)


# --- description ------------------------------------------------------------------------------


def test_a_description_is_equal_and_cannot_run() -> None:
    graph = everything()
    for dumped in (graph.model_dump(mode="json"), graph.model_dump()):
        described = Graph.model_validate(dumped)
        assert described == graph
        assert described.hash == graph.hash
        assert described.model_dump(mode="json") == graph.model_dump(mode="json")
        assert described.is_opaque
        assert described.bindings["c"] is None
    assert Graph.model_validate_json(graph.model_dump_json()) == graph
    assert not graph.is_opaque


def test_a_description_without_predicates_is_not_opaque() -> None:
    described = described_graph(g(input_node("x"), compute("a", ["x"], f)).model_dump(mode="json"))
    assert described.bindings["a"] is None
    assert not described.is_opaque


def test_functions_are_described_by_name() -> None:
    dumped = g(input_node("x"), compute("a", ["x"], f)).model_dump(mode="json")
    assert dumped["nodes"][-1]["function"] == "tests.core.story.some_function"


# --- hash -------------------------------------------------------------------------------------


def test_the_hash_is_stable() -> None:
    graph = g(input_node("x", type=int), compute("a", value("x") > 1, f))
    assert graph.hash == ("0f8858a12e23f879c7780e50751e1064674527b7ea48eb139478a97f10c513eb")


def test_the_hash_does_not_depend_on_order_functions_or_options() -> None:
    a, b, x = compute("a", ["x"], f), compute("b", ["x"], f), input_node("x")
    assert g(x, a, b).hash == g(b, a, x).hash
    assert g(x, a).hash == g(x, compute("a", ["x"], len_of)).hash
    assert g(x, a).hash == Graph("h", "v9", [x, a], singleton=True).hash
    assert g(x, a).hash == g(x, compute("a", ["x"], f, abandon_after_seconds=5)).hash


def len_of() -> int:
    return 0


def test_the_hash_changes_with_names_kinds_types_conditions_and_targets() -> None:
    x, y = input_node("x"), input_node("y")
    graphs = [
        g(x, y),
        g(x, input_node("z")),
        g(x, input_node("y", type=int)),
        g(x, input_node("y", type=str)),
        g(x, compute("y", ["x"], f)),
        g(x, loop("y", ["x"], f, max_iterations=1)),
        g(x, tick_once("y", ["x"], f)),
        g(x, tick_recurring("y", ["x"], f)),
        g(x, compute("y", not_("x"), f)),
        g(x, compute("y", value("x") == 1, f)),
        g(x, compute("y", value("x") == 2, f)),
        g(x, compute("y", value("x") == True, f)),  # noqa: E712
        g(x, compute("y", value("x") == "1", f)),
        g(x, y, mutate("m", [], f, mutates="x")),
        g(x, y, mutate("m", [], f, mutates="y")),
    ]
    assert len({graph.hash for graph in graphs}) == len(graphs)


def test_a_copy_with_other_fields_is_a_graph_of_its_own() -> None:
    graph = Graph("g", "v1", [input_node("x"), compute("a", ["x"], lambda x: x)])
    assert graph.key == ("g", "v1")  # what is derived is there, and not copied
    newer = graph.model_copy(update={"version": "v2"})
    assert (newer.key, newer.hash) == (("g", "v2"), graph.hash)
    larger = graph.model_copy(update={"nodes": [*graph.nodes, compute("b", ["x"], lambda x: -x)]})
    assert "b" in larger.by_name
    assert larger.hash != graph.hash
    assert graph.model_copy() == graph
    with pytest.raises(InvalidNodeError):
        graph.model_copy(update={"version": ""})


def test_a_deep_copy_is_the_graph_itself_which_does_not_change() -> None:
    graph = Graph("g", "v1", [input_node("x"), compute("a", ["x"], lambda x: x)])
    assert copy.deepcopy(graph) is graph


def test_a_description_lacks_the_code() -> None:
    graph = Graph("g", "v1", [input_node("x"), compute("a", ["x"], lambda x: x)])
    assert not graph.lacks_code
    assert Graph.model_validate(graph.model_dump(mode="json")).lacks_code
    assert not Graph("g", "v1", [input_node("x"), historian("h", ["x"])]).lacks_code
    typed = Graph("g", "v1", [input_node("x", type=int), historian("h", ["x"])])
    told = Graph("g", "v1", [input_node("x")], on_save=lambda *_: None)
    for whole in (typed, told):
        assert not whole.lacks_code
        assert Graph.model_validate(whole.model_dump(mode="json")).lacks_code
