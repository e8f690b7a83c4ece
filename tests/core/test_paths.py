"""Paths along the edges of graphs, however the questions come."""

from hypothesis import given
from hypothesis import strategies as st

from journey_async.core.paths import Ancestors, reached


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, list[str]]:
    """For each of some nodes the nodes upstream of it, none of which comes after it."""
    size = draw(st.integers(1, 10))
    return {f"n{n}": draw(st.lists(st.sampled_from(_names(n)))) if n else [] for n in range(size)}


def _names(count: int) -> list[str]:
    return [f"n{n}" for n in range(count)]


@given(acyclic(), st.lists(st.integers(0, 9), max_size=20), st.integers(0, 30))
def test_what_is_upstream_does_not_depend_on_what_is_remembered(
    upstream: dict[str, list[str]], asked: list[int], limit: int
) -> None:
    ancestors = Ancestors(upstream, limit)
    for name in (f"n{n % len(upstream)}" for n in asked):
        found = ancestors.of(name)
        assert found == reached(upstream, upstream[name])
        assert name not in found
