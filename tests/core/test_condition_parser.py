"""A text is read as `conditions.text` would write it."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journey_async import all_of, any_of, is_false, is_true, not_, provided, value
from journey_async.core.condition_parser import parse_condition
from journey_async.core.conditions import Condition, text
from journey_async.errors import ConditionError

NAMES = st.sampled_from(["x", "sum", "a-b", "größe", "v1.2"])
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
NUMBERS = st.one_of(st.integers(-(10**20), 10**20), st.floats(-1e20, 1e20))
CONSTANTS = st.one_of(NUMBERS, TEXTS)
LEAVES = st.one_of(
    st.builds(provided, NAMES),
    st.builds(is_true, NAMES),
    st.builds(is_false, NAMES),
    st.builds(lambda n, c: value(n) == c, NAMES, CONSTANTS),
    st.builds(lambda n, c: value(n) >= c, NAMES, CONSTANTS),
    st.builds(lambda n, c: value(n).in_(c), NAMES, st.lists(CONSTANTS, max_size=3)),
    st.builds(lambda n, c: value(n).contains(c), NAMES, TEXTS),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(not_, LEAVES),
    ),
    max_leaves=6,
)


@given(CONDITIONS)
def test_what_is_written_can_be_read_again(condition: Condition) -> None:
    assert parse_condition(text(condition)) == condition


@pytest.mark.parametrize(
    "written, meant",
    [
        ("sum > 2", value("sum") > 2),
        ("sum>2&x<10", (value("sum") > 2) & (value("x") < 10)),
        (
            "a = 1 or b = 2 and c = 3",
            any_of(value("a") == 1, all_of(value("b") == 2, value("c") == 3)),
        ),
        (
            "(a = 1 or b = 2) and c = 3",
            all_of(any_of(value("a") == 1, value("b") == 2), value("c") == 3),
        ),
        ("not provided(x)", not_(provided("x"))),
        ("~~is_true(x)", is_true("x")),
        ("'two words' == 'paid'", value("two words") == "paid"),
        ('value("x") != null', value("x") != None),  # noqa: E711 - builds a condition
        ("provided == 1", value("provided") == 1),
        ("state in [\"a\", 'b', 3]", value("state").in_(["a", "b", 3])),
        ("state in []", value("state").in_([])),
        ('name contains "ar"', value("name").contains("ar")),
        ("x == -1.5e3", value("x") == -1500),
    ],
)
def test_conditions_as_people_type_them(written: str, meant: Condition) -> None:
    assert parse_condition(written) == meant


@pytest.mark.parametrize(
    "written, complaint",
    [
        ("", "character 1, the name of a node"),
        ("sum", "a comparison"),
        ("sum >", "a number"),
        ("sum > paid", "a text in quotes"),
        ("sum > 2 x", "&, | or the end"),
        ("(sum > 2", r"\)"),
        ("sum in 3", "a list"),
        ("sum in [1 2]", "]"),
        ("sum ! 2", "nothing begins"),
        ("sum > true", "has no order"),
        ("sum contains 3", "wants a text"),
        ("x == NaN", "x"),
        ("(" * 100 + "x == 1" + ")" * 100, "at most 50 brackets"),
        ("x" * 20_000, "at most 10000 characters"),
        (r'x == "\q"', "as JSON writes it"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(written: str, complaint: str) -> None:
    with pytest.raises(ConditionError, match=complaint):
        parse_condition(written)


@given(st.text(alphabet="ab ()[]&|~<>=!\"'\\,1.not", max_size=40))
def test_nothing_but_a_condition_error_comes_out(written: str) -> None:
    with suppress(ConditionError):
        parse_condition(written)
