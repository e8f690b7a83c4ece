"""Conditions as trees, to the letter."""

from typing import Any

import pytest

from journey_async.client.trees import Reading, tree_text
from journey_async.core.conditions import Condition, all_of, any_of, is_true, not_, provided, value
from journey_async.core.description import described_graph
from journey_async.core.evaluation import Evaluation
from journey_async.core.gates import unblocked_when
from journey_async.core.graph import Graph
from journey_async.core.nodes import compute, input_node
from journey_async.core.values import NodeKind, NodeValue
from tests.support.rows import (
    NOW,
    held,
)


def work(values: dict[str, Any]) -> None:
    """What a step of these graphs does."""


def is_large(node: NodeValue) -> bool:
    return bool(node.value > 40)


VALUES = {
    "a": held("a", 50, revision=3),
    "b": held("b", False, revision=4),
    "tick": held("tick", NOW.timestamp() + 1, kind=NodeKind.TICK_ONCE),
    "none": NodeValue("none", NodeKind.INPUT),
}


def tree(condition: Condition, indent: str = "") -> str:
    return tree_text(
        condition, Reading(Evaluation(VALUES.__getitem__, NOW), VALUES.__getitem__), indent
    )


@pytest.mark.parametrize(
    "condition, line",
    [
        (provided("a"), "✅ a | provided | rev 3"),
        (provided("none"), "🛑 none | provided"),
        (provided("tick"), "🛑 tick | provided"),
        (not_("none"), "✅ not(none) | provided"),
        (not_("a"), "🛑 not(a) | provided"),
        (not_("tick"), "✅ not(tick) | provided | rev 1"),
        (not_(is_true("b")), "✅ not(b) | is_true | rev 4"),
        (not_(not_("a")), "✅ a | provided | rev 3"),
        (value("a") > 40, "✅ a > 40 | rev 3"),
        (~(value("a") == "x"), '✅ not(a == "x") | rev 3'),
        (value("a").in_([1, None]), "🛑 a in [1,null]"),
        (value("b").contains("ö"), '🛑 b contains "ö"'),
        (unblocked_when("a", is_large), "✅ a | is_large | rev 3"),
        (unblocked_when("a", is_large, label="it is large"), "✅ a | it is large | rev 3"),
        (unblocked_when("a", lambda node: False), "🛑 a | <lambda>"),
        (
            unblocked_when("none", is_large),
            "🛑 none | is_large | raised TypeError: "
            "'>' not supported between instances of 'NoneType' and 'int'",
        ),
        (all_of(all_of("a")), "✅ a | provided | rev 3"),
        (all_of(), "✅ always"),
        (any_of(), "🛑 never"),
    ],
)
def test_leaves(condition: Condition, line: str) -> None:
    assert tree(condition) == line
    assert tree(condition, "    ") == f"    {line}"


def test_branches() -> None:
    condition = all_of(
        any_of("a", all_of("b", any_of("none"))), ~(provided("a") & is_true("b")), "none"
    )
    assert tree(condition, "  ") == (
        """\
  and
   ├─ or
   │   ├─ ✅ a | provided | rev 3
   │   └─ and
   │       ├─ ✅ b | provided | rev 4
   │       └─ or
   │           └─ 🛑 none | provided
   ├─ not
   │   └─ and
   │       ├─ ✅ a | provided | rev 3
   │       └─ 🛑 b | is_true
   └─ 🛑 none | provided"""
    )


def test_predicates_whose_code_is_elsewhere() -> None:
    graph = Graph("g", "v1", [input_node("a"), compute("c", unblocked_when("a", is_large), work)])
    elsewhere = described_graph(graph.model_dump(mode="json"))
    assert tree(elsewhere.steps["c"].gated_by) == "❓ a | is_large | its code is not here"
