"""A graph with a node of every sort that matters to a web application."""

import asyncio
from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from journey_async import Graph, Retry, compute, input_node, is_true

SECRET = "db-7.internal refused the password hunter2"


class Address(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    street: str = Field(alias="street name")
    since: date


def fails(age: int) -> None:
    raise ConnectionError(SECRET)


def count(ssn: str) -> int:
    return len(ssn)


async def waits(name: str) -> str:
    await asyncio.Event().wait()
    return name


shop = Graph(
    "Shop & more",
    "v1",
    [
        input_node("name", type=str),
        input_node("age", type=Annotated[int, Field(ge=0)]),
        input_node("address", type=Address),
        input_node("anything"),
        input_node("paid", type=bool),
        input_node("ssn"),
        compute("greeting", ["name"], lambda name: f"Hello, {name}!"),
        compute("goods", [is_true("paid"), "name"], lambda name: f"goods for {name}"),
        compute("score", ["ssn"], count),
        compute("broken", ["age"], fails, retry=Retry(max_attempts=1)),
        compute("never", ["name"], waits),
    ],
)

other = Graph("Other", "v1", [input_node("name"), input_node("count", type=int)])
settings = Graph("Settings", "v1", [input_node("theme", type=str)], singleton=True)
