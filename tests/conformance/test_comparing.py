"""The runner itself: it sees what differs, and lets pass only what its rules say."""

from pathlib import Path
from typing import Any

import pytest

from journey_async.errors import InvalidValueError, NotAnInputError, UnknownNodeError
from tests.conformance import departures, rules, spelling, texts
from tests.conformance.compare import Comparison, differences, newest_first
from tests.conformance.normalise import normalised
from tests.conformance.outcome import Ok, Outcome, Raised
from tests.conformance.watching import Divergence

READ = {"op": "get", "node": "x"}


def compared(outcome: Outcome, theirs: dict[str, Any], **known: Any) -> str | None:
    return Comparison(**known).difference(3, READ, theirs, outcome)


@pytest.mark.parametrize(
    "ours, theirs",
    [(1, 2), (1, True), (0, False), (None, 0), ("a", "b"), ([1], [1, 2]), ({"a": 1}, {}), ({}, [])],
)
def test_differing_values_differ(ours: Any, theirs: Any) -> None:
    assert list(differences(ours, theirs))


def test_1_is_1_point_0() -> None:
    assert not list(differences({"a": [1]}, {"a": [1.0]}))


def test_what_differs_is_named_by_its_path() -> None:
    found = compared(Ok({"value": 1, "revision": 4}), {"ok": {"value": 1, "revision": 5}})
    assert found == "at revision: 4, recorded 5"


def test_unstable_paths_are_not_compared() -> None:
    theirs = {"ok": {"value": [{"r": 1}]}}
    assert compared(Ok({"value": [{"r": 2}]}), theirs, unstable=["$.results[3].ok.value"]) is None
    assert compared(Ok({"value": [{"r": 2}]}), theirs, unstable=["$.results[4].ok.value"])


def test_an_error_of_ours_stands_for_theirs() -> None:
    theirs = {"raised": {"type": "RuntimeError", "message": "':x' is not a known node in …"}}
    assert compared(Raised(UnknownNodeError("x", "g", ["y"])), theirs) is None
    assert compared(Raised(InvalidValueError("is no JSON")), theirs)
    assert compared(Ok({"value": 1}), theirs)


def test_raising_where_theirs_returned_differs() -> None:
    refused = Raised(NotAnInputError("x", "g", ["y"]))
    assert compared(refused, {"ok": {"revision": 1}})
    system = NotAnInputError("execution_id", "g", ["y"])
    assert rules.may_refuse({"op": "set", "node": "execution_id"}, system)


def test_after_a_divergence_only_what_it_concerns_is_left_out() -> None:
    divergence = Divergence({"c"}, since=5)
    assert divergence.masked("values", {"a": 1, "c": 2}) == {"a": 1}
    assert divergence.passes(".revision", 7, 6)
    assert not divergence.passes(".revision", 4, 5)
    assert not divergence.passes(".value", 7, 6)


def test_histories_of_ours_must_be_newest_first() -> None:
    def entry(node: str, revision: int) -> dict[str, Any]:
        told = {"value": 1, "metadata": None, "timestamp": "<TS>"}
        return {"node": node, "revision": revision, **told}

    oldest_first = [entry("a", 1), entry("b", 2)]
    assert newest_first(oldest_first) == oldest_first[::-1]
    assert newest_first(oldest_first, ours=True) == oldest_first


def test_spelling() -> None:
    assert spelling.text("✅ :name | &provided?/1 | rev 1") == "✅ name | provided | rev 1"
    assert spelling.text("- m: '%{\"a:b\" => nil}' | :input") == "- m: '{\"a:b\": null}' | input"
    assert spelling.text("updated [:ssn, :dob]") == "updated ssn, dob"
    assert spelling.stored_error('"no luck"') == "Failed: no luck"
    assert spelling.stored_error('"Exception. ** (RuntimeError) boom<STACK>') == (
        "RuntimeError: boom"
    )


def test_lines_leave_open_only_what_theirs_leave_open() -> None:
    assert texts.line_fits("✅ sum > 40 | rev 3", "✅ sum | &<fn>/1 | rev 3")
    assert texts.line_fits("🛑 not(b > 10)", spelling.text("✅ :not(:b) | &<fn>/1 | rev 7"))
    assert not texts.line_fits("🛑 sum > 40 | rev 3", "✅ sum | &<fn>/1 | rev 3")
    assert not texts.line_fits("✅ total > 40 | rev 3", "✅ sum | &<fn>/1 | rev 3")
    assert not texts.line_fits("✅ x | is_true", "✅ x | provided")
    assert texts.line_fits("a --> |> 5| b", "a -->  b", mermaid=True)
    assert not texts.line_fits("a -->  c", "a -->  b", mermaid=True)


def test_normalised() -> None:
    text = "EXEC7 at 2026-04-23 05:52:45Z UTC, EXEC7:sum:3, 12 seconds ago, 1776923565"
    assert normalised(text, ["EXEC7"]) == "<EXEC> at <TS>, <CMP>, <N> seconds ago, <TS>"
    assert normalised({"a": 1_776_923_565, "b": 7}, []) == {"a": "<TS>", "b": 7}


def test_departures_are_read_by_step_and_graph(tmp_path: Path) -> None:
    file = tmp_path / "departures.toml"
    file.write_text('[[s]]\nsteps = [3]\ngraphs = ["g"]\nreason = "because"\n', encoding="utf-8")
    assert departures.load(file).of("s") == {"3": "because", "graphs.g": "because"}
    assert departures.load(file).of("t") == {}
