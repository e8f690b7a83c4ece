"""Definitions of graphs as they are stored: read as far as somebody needs them."""

import json
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

from journey_async.core.graph import Graph
from journey_async.core.types import NodeType
from journey_async.errors import GraphError

NO_TYPES: Mapping[str, NodeType] = MappingProxyType({})


class Description:
    """The stored definition of a graph, as JSON text; with the `types`, by name, that are here."""

    def __init__(self, text: str, types: Mapping[str, NodeType] = NO_TYPES) -> None:
        self._text = text
        self._types = types

    @cached_property
    def graph(self) -> Graph:
        """The graph: can be shown, and settled, but not run. Making it takes long.

        Raises GraphError for a definition that cannot be read.
        """
        return described_graph(json.loads(self._text), self._types)

    def kinds(self) -> dict[str, str]:
        """The kinds of the nodes, by name; none of a definition that cannot be read."""
        try:
            return {node["name"]: node["kind"] for node in json.loads(self._text)["nodes"]}
        except (LookupError, TypeError):
            return {}


def described_graph(
    definition: Mapping[str, Any], types: Mapping[str, NodeType] = NO_TYPES
) -> Graph:
    """The graph of a definition as `Graph.model_dump` gives it; raises GraphError."""
    if types:
        try:
            nodes = [_typed(node, types) for node in definition["nodes"]]
        except (LookupError, TypeError, AttributeError) as error:
            raise GraphError(f"this definition of a graph lacks something: {error!r}") from None
        definition = {**definition, "nodes": nodes}
    return Graph.model_validate(definition)


def _typed(node: Mapping[str, Any], types: Mapping[str, NodeType]) -> Mapping[str, Any]:
    known = types.get(node.get("type", ""))
    return node if known is None else {**node, "type": known}
