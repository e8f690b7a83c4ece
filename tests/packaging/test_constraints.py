"""The constraints file pins, exactly, everything that the checks and the tests install."""

import re
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FILE = Path(__file__).parents[2] / "constraints.txt"
PIN = re.compile(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.+!]*")


def pins() -> dict[str, str]:
    lines = [line.strip() for line in FILE.read_text(encoding="utf-8").splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in found if not PIN.fullmatch(line)] == []
    return {canonicalize_name(name): pin for name, _, pin in (p.partition("==") for p in found)}


def needed(name: str, extras: frozenset[str], seen: dict[str, frozenset[str]]) -> set[str]:
    """The names of what a distribution needs here, and of what that needs."""
    if extras <= seen.get(name, frozenset({"-"})):
        return set()
    seen[name] = seen.get(name, frozenset()) | extras
    found = set()
    for text in requires(name) or []:
        wanted = Requirement(text)
        marker = wanted.marker
        if marker and not any(marker.evaluate({"extra": e}) for e in extras or {""}):
            continue
        child = canonicalize_name(wanted.name)
        try:
            installed = version(child)
        except PackageNotFoundError:
            continue  # of another extra than those that are installed
        assert wanted.specifier.contains(installed, prereleases=True), f"{name} wants {text}"
        found |= {child} | needed(child, frozenset(wanted.extras), seen)
    return found


def test_everything_is_pinned_to_what_is_installed() -> None:
    pinned = pins()
    wanted = needed("journey-async", frozenset({"dev", "docs"}), {}) - {"journey-async"}
    assert {name for name in wanted if name not in pinned} == set()
    assert {n: pinned[n] for n in wanted if pinned[n] != version(n)} == {}
