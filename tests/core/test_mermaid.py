import re

import pytest

from journey_async.core.conditions import is_true, not_, value
from journey_async.core.gates import unblocked_when
from journey_async.core.graph import Graph
from journey_async.core.nodes import (
    Node,
    archive,
    compute,
    historian,
    input_node,
    mutate,
    tick_once,
)


def add(x: int, y: int) -> int:
    return x + y


def when() -> int:
    return 0


def drawn(*nodes: Node) -> str:
    return Graph("g1", "v1", nodes).to_mermaid()


def test_the_documented_example() -> None:
    text = drawn(
        input_node("x"),
        input_node("y"),
        compute("sum", ["x", "y"], add),
        compute("large_value_alert", value("sum") > 40, lambda: "🚨"),
    )
    assert text.startswith("graph TD\n")
    assert "'g1', version v1" in text
    lines = [line.strip() for line in text.splitlines()]
    assert "x[x]" in lines
    assert 'sum[["sum<br/>(add)"]]' in lines
    assert 'large_value_alert[["large_value_alert<br/>(anonymous fn)"]]' in lines
    assert "x -->  sum" in lines or "x --> sum" in lines
    assert any(line.startswith("sum --> |") and "> 40" in line for line in lines)


def test_every_node_is_drawn_and_styled() -> None:
    text = drawn(
        input_node("x"),
        tick_once("t", ["x"], when),
        historian("h", ["x"]),
        mutate("m", ["t"], when, mutates="x"),
        archive("end", ["m"]),
    )
    for part in ("tick_once", "mutates: x", "end<br/>archive", "(when)"):
        assert part in text
    assert "class execution_id,last_updated_at,x,t,h,m,end_ defaultNode" in text


def test_conditions_are_captions() -> None:
    text = drawn(
        input_node("x"),
        compute("a", is_true("x"), when),
        compute("b", not_("x"), when),
        compute("c", unblocked_when("x", bool, label="big"), when),
        compute("d", ~(value("x") == 1), when),
    )
    for caption in ("|is_true|", "|not provided|", "|big|", "|not == 1|"):
        assert caption in text


@pytest.mark.parametrize("name", ['a"b', "a|b", "a\nb", "a]b", "größer", "a b"])
def test_odd_names_do_not_break_the_diagram(name: str) -> None:
    text = drawn(input_node(name), compute("z", [name], when))
    label = next(line for line in text.splitlines() if line.strip().startswith(("a_b", "gr__er")))
    assert re.fullmatch(r'\s*\w+(\[\["[^"|\n]*"\]\]|\["[^"|\n]*"\])', label, re.ASCII)


@pytest.mark.parametrize("one, other", [("a-b", "a_b"), ("日本", "中国")])
def test_different_nodes_are_different_boxes(one: str, other: str) -> None:
    text = drawn(input_node(one), input_node(other))
    ids = re.findall(r"^ +(\w+)\[", text, re.MULTILINE | re.ASCII)
    boxes = [found for found in ids if found not in {"execution_id", "last_updated_at", "Graph"}]
    assert len(boxes) == len(set(boxes)) == 2


def test_a_node_may_be_named_end() -> None:
    assert not re.search(r"^ +end\[", drawn(input_node("end")), re.MULTILINE)


def test_captions_with_brackets_are_quoted() -> None:
    text = drawn(input_node("x"), compute("a", value("x").in_([1, 2]), when))
    caption = re.search(r"\|(.*)\|", text)
    assert caption is not None
    assert caption[1].startswith('"') or not re.search(r"[\[\](){}]", caption[1])


def test_markup_in_names_is_escaped() -> None:
    assert "<img" not in drawn(input_node("<img src=x>"))
