from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from journey_async.core.binding import Binding, bind
from journey_async.core.conditions import any_of, not_, provided, value
from journey_async.core.gates import GatedBy, unblocked_when
from journey_async.core.graph import Graph
from journey_async.core.nodes import compute, input_node, loop
from journey_async.errors import ParameterError


def bound(f: Callable[..., Any], gated_by: GatedBy = ("x", "y"), **types: Any) -> Binding:
    graph = Graph(
        "g",
        "v1",
        [
            *(input_node(name, type=types.get(name, Any)) for name in "xyz"),
            compute("a", gated_by, f),
        ],
    )
    binding = graph.bindings["a"]
    assert binding is not None
    return binding


def called(f: Callable[..., Any], gated_by: GatedBy = ("x", "y"), **values: Any) -> Any:
    positional, named = bound(f, gated_by).arguments(
        values.__getitem__, values.__contains__, lambda: values, "CONTEXT"
    )
    return f(*positional, **named)


def test_parameters_get_the_nodes_of_their_names() -> None:
    assert called(lambda y, x: (x, y), x=1, y=2) == (1, 2)


def test_no_parameters() -> None:
    assert called(lambda: 5, x=1, y=2) == 5


def test_values_and_context() -> None:
    assert called(lambda values, context, x: (values, context, x), x=1) == ({"x": 1}, "CONTEXT", 1)


def test_a_single_parameter_that_names_nothing_gets_all_values() -> None:
    assert called(lambda everything: everything, x=1, y=2) == {"x": 1, "y": 2}


def test_a_single_parameter_that_names_a_node_gets_the_node() -> None:
    assert called(lambda x: x, x=1, y=2) == 1


def test_a_parameter_with_a_default_may_be_unset() -> None:
    assert called(lambda x, z=7: (x, z), x=1) == (1, 7)
    assert called(lambda x, z=7: (x, z), x=1, z=2) == (1, 2)
    assert called(lambda x, other=9: (x, other), x=1) == (1, 9)


def test_positional_only_and_keyword_only() -> None:
    def f(x: Any, /, z: Any = 3, *, y: Any) -> Any:
        return x, y, z

    assert called(f, x=1, y=2) == (1, 2, 3)


def test_a_positional_only_default_in_front_of_what_is_set() -> None:
    def f(z: Any = 3, x: Any = 4, /) -> Any:
        return z, x

    assert called(f, x=1)[0] == 3


def test_partials_methods_and_callable_objects() -> None:
    class Adder:
        def __call__(self, x: int) -> int:
            return x + 1

        def add(self, x: int, y: int) -> int:
            return x + y

    def f(x: int, factor: int) -> int:
        return x * factor

    assert called(Adder(), x=1) == 2
    assert called(Adder().add, x=1, y=2) == 3
    assert called(partial(f, factor=3), x=2) == 6


def test_coroutine_functions_are_recognised() -> None:
    async def f(x: int) -> int:
        return x

    class Object:
        async def __call__(self, x: int) -> int:
            return x

    assert bound(f).is_async
    assert bound(Object()).is_async
    assert bound(partial(f)).is_async
    assert not bound(lambda x: x).is_async


@pytest.mark.parametrize(
    "f, gated_by, parameter",
    [
        (lambda x, nope: 1, ["x"], "nope"),
        (lambda x, *rest: 1, ["x"], "rest"),
        (lambda **options: 1, ["x"], "options"),
        (lambda z: 1, ["x"], "z"),
        (lambda x, z: 1, ["x"], "z"),
        (lambda x: 1, any_of("x", "y"), "x"),
        (lambda x, y: 1, any_of(provided("x") & provided("y"), "x"), "y"),
        (lambda x: 1, not_("x"), "x"),
        (lambda x: 1, unblocked_when("x", bool), "x"),
        (lambda x: 1, [], "x"),
        (lambda a: 1, ["x"], "a"),
    ],
)
def test_what_nothing_can_fill_is_refused(f: Any, gated_by: GatedBy, parameter: str) -> None:
    with pytest.raises(ParameterError) as caught:
        bound(f, gated_by)
    assert (caught.value.node, caught.value.parameter) == ("a", parameter)
    assert "'a'" in str(caught.value)


def test_what_every_branch_of_an_or_needs_is_bound() -> None:
    gate = any_of(provided("x") & provided("y"), (value("x") > 1) & provided("z"))
    assert called(lambda x, y=None: (x, y), gate, x=1) == (1, None)


def test_a_loop_gets_what_it_carries_by_its_own_name() -> None:
    node = loop("l", ["x"], lambda x, l=0: x, max_iterations=2)  # noqa: E741
    binding = bind(node, Graph("g", "v1", [input_node("x"), node]).by_name, {"x"})
    assert binding is not None
    assert binding.nodes == ("x", "l")


def test_a_node_named_values_is_a_node() -> None:
    graph = Graph(
        "g", "v1", [input_node("values"), compute("a", ["values"], lambda values: values)]
    )
    binding = graph.bindings["a"]
    assert binding is not None
    assert (binding.nodes, binding.values) == (("values",), None)


def test_system_nodes_can_always_be_taken() -> None:
    taken = bound(lambda execution_id, last_updated_at: 1, []).nodes
    assert taken == ("execution_id", "last_updated_at")


def test_signatures_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(ParameterError, match="wrap it"):
        bound(iter, ["x"])


def test_values_may_be_any_mapping() -> None:
    def f(values: Mapping[str, Any]) -> int:
        return len(values)

    assert called(f, x=1, y=2) == 2
