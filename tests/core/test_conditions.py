from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journey_async.core.conditions import (
    AnyOf,
    Compare,
    Condition,
    Not,
    Provided,
    all_of,
    any_of,
    is_false,
    is_true,
    leaves,
    not_,
    provided,
    text,
    value,
)
from journey_async.core.evaluation import Evaluation
from journey_async.core.gates import unblocked_when
from journey_async.core.values import NodeKind, NodeValue
from journey_async.errors import ConditionError, GraphError, InvalidNodeError
from tests.core import model
from tests.core.strategies import conditions, small_values

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
NAN = float("nan")
SECONDS = int(NOON.timestamp())


def evaluation(ticks: tuple[str, ...] = (), **values: Any) -> Evaluation:
    def view(name: str) -> NodeValue:
        kind = NodeKind.TICK_ONCE if name in ticks else NodeKind.INPUT
        if name not in values:
            return NodeValue(name, kind)
        return NodeValue(name, kind, values[name], None, 7, NOON)

    return Evaluation(view, NOON)


def holds(condition: Condition, **values: Any) -> bool:
    return evaluation(**values).holds(condition)


# --- holding ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "condition, met, unmet",
    [
        (provided("x"), [1, None, False, 0], []),
        (is_true("x"), [True], [1, "true", False, None, 1.0]),
        (is_false("x"), [False], [0, None, "", True]),
        (value("x") == 1, [1, 1.0], [True, "1", None, 2]),
        (value("x") == True, [True], [1, "true"]),  # noqa: E712
        (value("x") == None, [None], [0, False]),  # noqa: E711
        (value("x") == [1, {"a": 2}], [[1.0, {"a": 2}]], [[True, {"a": 2}], [1]]),
        (value("x") != 1, [2, True, None, "1"], [1, 1.0]),
        (value("x") > 40, [41, 40.5], [40, "41", True, None, [41]]),
        (value("x") >= 0, [0, 0.0], [-1, False]),
        (value("x") < "b", ["a", ""], ["b", 1, None]),
        (value("x") <= 1, [1, -5], [1.01, True, False]),
        (value("x").in_([1, "a", None]), [1.0, "a", None], [True, 2]),
        (value("x").in_([]), [], [1]),
        (value("x").contains("ab"), ["cabc"], ["ba", ["ab"], None, 5]),
        (value("x").contains(""), ["", "a"], [None]),
    ],
)
def test_a_leaf_holds(condition: Condition, met: list[Any], unmet: list[Any]) -> None:
    assert [given_ for given_ in met if not holds(condition, x=given_)] == []
    assert [given_ for given_ in unmet if holds(condition, x=given_)] == []
    assert not holds(condition), "never on an unset node"


def test_all_any_not() -> None:
    both, either, neither = provided("x") & provided("y"), any_of("x", "y"), ~any_of("x", "y")
    assert [holds(c, x=1) for c in (both, either, neither)] == [False, True, False]
    assert [holds(c, x=1, y=1) for c in (both, either, neither)] == [True, True, False]
    assert [holds(c) for c in (both, either, neither)] == [False, False, True]


def test_of_nothing() -> None:
    assert holds(all_of())
    assert not holds(any_of())


@given(st.data())
def test_conditions_hold_as_in_the_model(data: st.DataObject) -> None:
    condition = data.draw(conditions(["x", "y"]))
    values = data.draw(st.dictionaries(st.sampled_from(["x", "y"]), small_values()))
    assert holds(condition, **values) is model.holds(condition, values)
    assert holds(~condition, **values) is not model.holds(condition, values)
    assert evaluation(**values).met(condition).keys() == model.met_names(condition, values)


# --- ticks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "time, due",
    [
        (SECONDS, True),
        (SECONDS - 5, True),
        (SECONDS + 0.5, False),
        (0, False),
        (-5, False),
        (None, False),
        ("soon", False),
        (True, False),
    ],
)
def test_a_tick_is_provided_once_its_time_has_come(time: Any, due: bool) -> None:
    looked = evaluation(("t",), t=time)
    assert looked.holds(provided("t")) is due
    assert looked.holds(~provided("t")) is not due
    assert looked.holds(provided("t"), keeping=True), "what is gated by it may stay"


def test_the_value_of_a_tick_can_be_compared() -> None:
    assert evaluation(("t",), t=0).holds(value("t") == 0)


def test_an_unset_tick_keeps_nothing() -> None:
    assert not evaluation(("t",)).holds(provided("t"), keeping=True)


# --- predicates -------------------------------------------------------------------------------


def test_a_predicate_that_raises_is_not_met_and_collected() -> None:
    def broken(node: NodeValue) -> bool:
        raise RuntimeError(node.name)

    looked, condition = evaluation(x=1), unblocked_when("x", broken)
    assert not looked.holds(condition)
    assert [(p.node, str(e)) for p, e in looked.failures] == [("x", "x")]
    looked.failures.clear()  # noted for one step
    assert not looked.holds(condition)
    assert len(looked.failures) == 1


def test_a_predicate_is_asked_for_what_the_node_is() -> None:
    seen: list[NodeValue] = []
    evaluation(x=5).holds(unblocked_when("x", seen.append))
    evaluation().holds(unblocked_when("x", seen.append))
    assert [(n.is_set, n.value, n.revision) for n in seen] == [(True, 5, 7), (False, None, 0)]


def test_a_predicate_is_given_a_value_of_its_own() -> None:
    held = NodeValue("x", NodeKind.INPUT, [1, 2, 3], {"by": "me"}, 7, NOON)

    def spoils(node: NodeValue) -> bool:
        node.metadata.clear()
        return bool(node.value.pop() == 3)

    looked = Evaluation(lambda _: held, NOON)
    assert all(looked.holds(unblocked_when("x", spoils)) for _ in range(2))
    assert (held.value, held.metadata) == ([1, 2, 3], {"by": "me"})


async def later(node: NodeValue) -> bool:
    return node.is_set


def test_a_predicate_that_does_not_take_the_node_is_refused() -> None:
    with pytest.raises(ConditionError, match="the predicate on 'x' must take one argument"):
        unblocked_when("x", lambda: True)  # type: ignore[arg-type,misc]
    with pytest.raises(ConditionError, match="the predicate on 'x' must take one argument"):
        unblocked_when("x", lambda node, other: True)  # type: ignore[arg-type,misc]


def test_a_predicate_that_must_be_awaited_is_refused() -> None:
    with pytest.raises(ConditionError):
        unblocked_when("x", later)


@pytest.mark.parametrize(
    "label, what", [("a\0b", "u0000"), ("\ud800", "surrogates"), (5, "string")]
)
def test_a_label_that_cannot_be_stored_is_refused(label: Any, what: str) -> None:
    with pytest.raises(InvalidNodeError, match=f"label: .*{what}"):
        unblocked_when("x", lambda node: True, label=label)


# --- not a bool -------------------------------------------------------------------------------


def _if() -> object:
    return 1 if value("x") > 1 else 2


@pytest.mark.parametrize(
    "misuse",
    [
        lambda: bool(provided("x")),
        lambda: not provided("x"),
        lambda: provided("x") and provided("y"),  # type: ignore[unreachable]
        lambda: (value("x") > 1) or provided("y"),
        lambda: 0 < value("x") < 10,
        _if,
        lambda: 5 in value("x"),
        lambda: value("x") in [1, 2],
        lambda: bool(value("x")),
        lambda: list(value("x")),
        lambda: [c for c in [provided("x")] if c],
        lambda: all([provided("x"), provided("y")]),
    ],
)
def test_a_condition_as_a_bool_raises(misuse: Callable[[], object]) -> None:
    with pytest.raises(ConditionError) as caught:
        misuse()
    assert isinstance(caught.value, GraphError)
    assert isinstance(caught.value, TypeError)


# --- building ---------------------------------------------------------------------------------


def test_equal_operators_flatten() -> None:
    flat = provided("x") & "y" & (provided("z") & "w")
    assert flat == all_of("x", "y", "z", "w") == ("x" & (provided("y") & "z" & "w"))
    assert ("x" | provided("y")) == any_of("x", "y")
    assert len(flat.conditions) == 4
    assert len((provided("x") | provided("y") & provided("z")).conditions) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: all_of(["x"]),  # type: ignore[arg-type]
        lambda: not_(None),  # type: ignore[arg-type]
        lambda: provided(5),  # type: ignore[arg-type]
        lambda: is_true(None),  # type: ignore[arg-type]
        lambda: value(5),  # type: ignore[arg-type]
        lambda: value("x") > None,
        lambda: value("x") < [1],
        lambda: value("x") >= True,
        lambda: value("x") == NAN,
        lambda: value("x") > float("inf"),
        lambda: value("x") == {1, 2},
        lambda: value("x") == b"a",
        lambda: value("x") == "\0",
        lambda: value("x") == "\ud800",
        lambda: value("x") == {1: 2},
        lambda: value("x") == value("y"),
        lambda: value("x") == provided("y"),
        lambda: value("x").in_("abc"),
        lambda: value("x").in_({1}),  # type: ignore[arg-type]
        lambda: value("x").in_([NAN]),
        lambda: value("x").contains(5),  # type: ignore[arg-type]
        lambda: value("x").contains("\0"),
        lambda: provided("x") & 5,  # type: ignore[operator]
    ],
)
def test_a_condition_that_means_nothing_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(ConditionError):
        wrong()


@pytest.mark.parametrize(
    "fields",
    [
        {"operator": ">", "operand": None},
        {"operator": "<", "operand": [1]},
        {"operator": "==", "operand": NAN},
        {"operator": "==", "operand": {1, 2}},
    ],
)
def test_a_comparison_built_by_keyword_is_checked_too(fields: Mapping[str, Any]) -> None:
    with pytest.raises(GraphError):
        Compare(node="x", **fields)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Provided(node=5),
        lambda: Provided(node="x", extra=1),  # type: ignore[call-arg]
        lambda: Compare(node="x", operator="~", operand=1),
        lambda: AnyOf(conditions=(5,)),
        lambda: Not(condition="x"),
    ],
)
def test_models_refuse_bad_fields_in_our_own_words(wrong: Callable[[], object]) -> None:
    with pytest.raises(InvalidNodeError):
        wrong()


def test_conditions_are_frozen() -> None:
    with pytest.raises(Exception, match="frozen"):
        provided("x").node = "y"  # type: ignore[misc]


# --- reading ----------------------------------------------------------------------------------


def test_leaves_come_as_written() -> None:
    condition = all_of("a", any_of(not_("b"), value("c") > 1), "a")
    assert [leaf.node for leaf in leaves(condition)] == ["a", "b", "c", "a"]


@pytest.mark.parametrize(
    "condition, words",
    [
        (provided("x") & (value("sum") > 40), "provided(x) & (sum > 40)"),
        (~(value("a") == "b"), '~(a == "b")'),
        (any_of("x", not_("y")), "provided(x) | ~provided(y)"),
        (value("x").in_([1, None]), "x in [1,null]"),
        (value("x").contains("a"), 'x contains "a"'),
        (all_of(), "always"),
        (any_of(), "never"),
        (~any_of("x", "y"), "~(provided(x) | provided(y))"),
        (unblocked_when("x", bool, label="big enough"), "big enough(x)"),
    ],
)
def test_a_condition_reads_aloud(condition: Condition, words: str) -> None:
    assert text(condition) == words
