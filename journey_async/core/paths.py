"""Paths along edges: what is reached from where, and what leads back to itself.

`edges` lead from a node to others; nothing here is recursive, for a path may be of any length.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

MAX_REMEMBERED = 1_000_000  # names, of some 40 bytes each

Adjacency: TypeAlias = Mapping[str, Sequence[str]]


class Ancestors:
    """What is upstream of each node, remembered up to a `limit` of names."""

    def __init__(self, upstream: Adjacency, limit: int = MAX_REMEMBERED) -> None:
        self._upstream = upstream
        self._limit = limit
        self._known: dict[str, frozenset[str]] = {}
        self._remembered = 0

    def of(self, name: str) -> frozenset[str]:
        """All nodes upstream of a node, near and far, without itself."""
        found = self._known.get(name)
        if found is None:
            found = reached(self._upstream, self._upstream.get(name, ()), self._known)
            self._remembered += len(found)
            if self._remembered > self._limit:
                self._known.clear()
                self._remembered = len(found)
            self._known[name] = found
        return found


def reached(
    edges: Adjacency,
    first: Iterable[str],
    known: Mapping[str, frozenset[str]] = MappingProxyType({}),
) -> frozenset[str]:
    """The nodes that edges lead to from the `first`, near and far, and those themselves.

    `known` is what is reached from some nodes.
    """
    ahead = list(first)
    found = set(ahead)
    while ahead:
        node = ahead.pop()
        if node in known:
            found |= known[node]
            continue
        new = set(edges.get(node, ())) - found
        found |= new
        ahead += new
    return frozenset(found)


def cycle_in(names: Iterable[str], edges: Adjacency) -> list[str] | None:
    """A path that begins and ends with the same node, if there is one; linear in the edges."""
    done: set[str] = set()
    for start in sorted(names):
        path: list[str] = []
        on_path: set[str] = set()
        ahead = [(start, False)]
        while ahead:
            node, leaving = ahead.pop()
            if leaving:
                path.pop()
                on_path.discard(node)
                done.add(node)
            elif node in on_path:
                return [*path[path.index(node) :], node]
            elif node not in done:
                path.append(node)
                on_path.add(node)
                ahead.append((node, True))
                ahead.extend((n, False) for n in sorted(edges.get(node, ()), reverse=True))
    return None
