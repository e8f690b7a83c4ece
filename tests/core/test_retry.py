from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journey_async.core.description import described_graph
from journey_async.core.graph import Graph
from journey_async.core.nodes import ComputeNode, Node, compute
from journey_async.core.retry import TEN_YEARS, Retry
from journey_async.errors import InvalidNodeError


def test_the_delay_grows_up_to_its_limit() -> None:
    retry = Retry(max_attempts=9, initial_delay=1, factor=3, max_delay=20, jitter=False)
    assert [retry.delay(attempt, 0.5) for attempt in (1, 2, 3, 4, 5)] == [1, 3, 9, 20, 20]


def test_jitter_is_full() -> None:
    retry = Retry(initial_delay=4, max_delay=60)
    assert [retry.delay(1, chance) for chance in (0.0, 0.25, 0.75)] == [0, 1, 3]


def test_no_delay() -> None:
    assert Retry(initial_delay=0).delay(5, 0.9) == 0
    assert Retry(max_delay=0).delay(5, 0.9) == 0


@given(
    st.integers(1, 1_000_000),
    st.floats(1e-9, TEN_YEARS),
    st.floats(1, 1e6),
    st.floats(1e-9, TEN_YEARS),
    st.floats(0, 1, exclude_max=True),
)
def test_the_delay_is_within_its_limits(
    attempt: int, initial: float, factor: float, most: float, chance: float
) -> None:
    retry = Retry(initial_delay=initial, factor=factor, max_delay=most)
    assert 0 <= retry.delay(attempt, chance) <= most * (1 + 1e-9)


def test_no_limits_overflow() -> None:
    assert Retry(initial_delay=1e-300, max_delay=TEN_YEARS).delay(1500, 0.5) > 0


@pytest.mark.parametrize(
    "options",
    [
        {"max_attempts": 0},
        {"max_attempts": -5},
        {"max_attempts": 1.5},
        {"max_attempts": None},
        {"initial_delay": -1},
        {"initial_delay": float("nan")},
        {"initial_delay": float("inf")},
        {"factor": 0.5},
        {"factor": float("inf")},
        {"max_delay": -1},
        {"max_delay": float("nan")},
        {"jitter": "often"},
        {"jitter": "no"},
        {"jitter": 0.5},
        {"jitter": 1},
        {"give_up_on": (int,)},
        {"give_up_on": (5,)},
        {"give_up_on": 5},
        {"attempts": 3},
    ],
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidNodeError, match=next(iter(options))):
        Retry(**options)


def test_it_gives_up_on_what_it_was_told() -> None:
    retry = Retry(give_up_on=(LookupError, ValueError))
    assert retry.gives_up_on(KeyError("a"))
    assert not retry.gives_up_on(TypeError())
    assert Retry(give_up_on=KeyError).gives_up_on(KeyError())


@pytest.mark.parametrize(
    "node",
    [
        lambda: compute("y", [], lambda: 1, retry=Retry(give_up_on=("ValueError",))),
        lambda: compute("y", [], lambda: 1, retry={"give_up_on": [KeyError, "ValueError"]}),
        lambda: ComputeNode(
            name="y",
            gated_by=[],
            function=lambda: 1,
            retry=Retry(give_up_on=("ValueError",)),
        ),
    ],
)
def test_a_text_in_place_of_an_error_is_refused_when_the_graph_is_built(
    node: Callable[[], Node],
) -> None:
    with pytest.raises(InvalidNodeError, match=r"'y'.*'ValueError'.*give the class") as caught:
        Graph("g", "v1", [node()])
    assert caught.value.node == "y"


def test_a_description_of_a_graph_names_errors() -> None:
    graph = Graph("g", "v1", [compute("y", [], lambda: 1, retry=Retry(give_up_on=ValueError))])
    assert described_graph(graph.model_dump(mode="json")) == graph


def test_a_description_gives_up_on_nothing_it_cannot_see() -> None:
    described = Retry.model_validate(Retry(give_up_on=ValueError).model_dump(mode="json"))
    assert described.model_dump(mode="json")["give_up_on"] == ["builtins.ValueError"]
    assert not described.gives_up_on(ValueError())


def test_a_description_is_equal() -> None:
    retry = Retry(give_up_on=(ValueError,))
    assert Retry.model_validate(retry.model_dump(mode="json")) == retry
