from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journey_async.core.conditions import (
    AllOf,
    Condition,
    all_of,
    any_of,
    is_false,
    not_,
    provided,
    value,
)
from journey_async.core.gates import gate, surely_set, unblocked_when
from journey_async.errors import ConditionError
from tests.core import model
from tests.core.strategies import conditions, small_values


def test_a_gate_is_a_list_a_name_or_a_condition() -> None:
    assert gate(["x"]) == gate("x") == provided("x")
    assert gate(["x", value("y") > 1]) == all_of("x", value("y") > 1)
    assert gate([]) == AllOf(conditions=())
    assert unblocked_when(["x", "y"]) == gate(["x", "y"])
    assert unblocked_when(provided("x")) == provided("x")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: gate(5),  # type: ignore[arg-type]
        lambda: gate(None),  # type: ignore[arg-type]
        lambda: gate({"x"}),  # type: ignore[arg-type]
        lambda: gate([5]),  # type: ignore[list-item]
        lambda: gate(["x", ["y"]]),  # type: ignore[list-item]
        lambda: gate(value("x")),  # type: ignore[arg-type]
        lambda: gate([value("x")]),  # type: ignore[list-item]
        lambda: unblocked_when(["x"], bool),
        lambda: unblocked_when("x", 5),  # type: ignore[arg-type]
        lambda: unblocked_when(provided("x"), label="named"),
    ],
)
def test_a_gate_that_means_nothing_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(ConditionError):
        wrong()


@pytest.mark.parametrize(
    "condition, sure",
    [
        (provided("x"), "x"),
        (value("x") > 1, "x"),
        (is_false("x"), "x"),
        (all_of("x", "y"), "xy"),
        (any_of("x", "y"), ""),
        (any_of(all_of("x", "y"), all_of("x", "z")), "x"),
        (not_("x"), ""),
        (~not_("x"), "x"),
        (~any_of(not_("x"), not_("y")), "xy"),
        (~all_of(not_("x"), not_("y")), ""),
        (unblocked_when("x", bool), ""),
        (all_of(), ""),
    ],
)
def test_what_is_surely_set(condition: Condition, sure: str) -> None:
    assert surely_set(condition) == set(sure)


@given(st.data())
def test_what_is_surely_set_is_set_whenever_it_holds(data: st.DataObject) -> None:
    condition = data.draw(conditions(["x", "y"]))
    values = data.draw(st.dictionaries(st.sampled_from(["x", "y"]), small_values()))
    if model.holds(condition, values):
        assert surely_set(condition) <= values.keys()
