"""Bodies of requests and answers as pydantic models, made from a graph: they document.

What is sent is not parsed by them: the Journey validates it, strictly, by the same types.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    create_model,
)
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from journey_async.contrib.fastapi.exposure import Exposure
from journey_async.core.nodes import SYSTEM_TYPES, InputNode, Node

CLOSED = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class DocumentedBy:
    """Marks a parameter that OpenAPI shows as a model, while anything is let in."""

    model: type[BaseModel]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.any_schema()

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(self.model.__pydantic_core_schema__)


class ProblemBody(BaseModel):
    """What could not be done, and why."""

    model_config = ConfigDict(title="Problem")

    error: str = Field(description="the name of the error", examples=["ExecutionNotFound"])
    detail: str = Field(description="a sentence about it")
    node: str | None = Field(default=None, description="the node that it is about")


class Value(BaseModel):
    """What a node holds."""

    node: str
    value: Any
    metadata: Any
    revision: int = Field(description="when it was set, as a revision of the execution")
    set_time: datetime


class Event(BaseModel):
    """The data of one of the server-sent events."""

    kind: Literal[
        "set",
        "unreadable",
        "cleared",
        "computing",
        "unchanged",
        "failed",
        "abandoned",
        "archived",
        "unarchived",
    ]
    revision: int
    node: str | None = Field(description="null: it is about the whole execution")
    value: Any = Field(description="what was set")
    metadata: Any
    time: datetime | None


# How OpenAPI shows a stream of them; `itemSchema` is of its version 3.2.
EVENTS = {
    "text/event-stream": {
        "itemSchema": {
            "type": "object",
            "properties": {
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": Event.model_json_schema(),
                },
                "id": {"type": "string", "description": "the revision to go on from"},
                "retry": {"type": "integer"},
            },
        },
    }
}


@dataclass(frozen=True, slots=True)
class Models:
    """The models of one graph."""

    start: type[BaseModel]
    set: type[BaseModel]
    execution: type[BaseModel]


def models_of(exposure: Exposure, name: str) -> Models:
    """The models of a graph, whose names begin with `name`."""
    graph = exposure.graph
    values = _values(f"{name}Inputs", exposure.inputs, f"Inputs of the graph {graph.name!r}.")
    held = _values(f"{name}Values", exposure.nodes, f"Values of the graph {graph.name!r}.")
    metadata = (Any, Field(default=None, description="any JSON, kept beside each value"))
    return Models(
        start=create_model(
            f"{name}Start",
            __config__=CLOSED,
            __doc__="What a new execution begins with.",
            values=(values, Field(default=None, json_schema_extra=_without_default)),
        ),
        set=create_model(
            f"{name}Set",
            __config__=CLOSED,
            __doc__="Inputs to set: all or none of them, at one revision.",
            values=(values, Field()),
            metadata=metadata,
        ),
        execution=create_model(
            f"{name}Execution",
            __doc__=f"An execution of the graph {graph.name!r}.",
            id=(str, Field()),
            graph_name=(str, Field()),
            graph_version=(str, Field()),
            revision=(int, Field(description="grows with everything that happens")),
            created_at=(datetime, Field()),
            updated_at=(datetime, Field()),
            archived_at=(datetime | None, Field(description="null while it is live")),
            values=(held, Field(description="of the nodes that are set")),
        ),
    )


def model_name(text: str) -> str:
    """A name for models, of letters and digits."""
    return "".join(word[:1].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9]+", text))


def _values(name: str, nodes: Mapping[str, Node], said: str) -> type[BaseModel]:
    fields = {
        f"node_{place}": (
            Annotated[_documented_type(node), Field(alias=node.name, title=node.name)],
            Field(default=None, json_schema_extra=_without_default),
        )
        for place, node in enumerate(nodes.values())
    }
    return create_model(  # type: ignore[no-any-return, call-overload]
        name, __config__=CLOSED, __doc__=said, **fields
    )


def _documented_type(node: Node) -> Any:
    """The type of a node, as far as JSON Schema can say it."""
    if node.name in SYSTEM_TYPES:
        return SYSTEM_TYPES[node.name]
    annotation = node.type.annotation if isinstance(node, InputNode) else Any
    try:
        TypeAdapter(annotation).json_schema()
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError):
        return Any
    return annotation


def _without_default(schema: dict[str, Any]) -> None:
    """A value may be left out, which is not to say that it is null."""
    schema.pop("default", None)
