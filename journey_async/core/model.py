"""The base of all graph models: frozen, closed, and never raising pydantic's own error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from journey_async.errors import InvalidNodeError


class Model(BaseModel):
    """A frozen pydantic model whose construction raises InvalidNodeError for bad fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, /, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise InvalidNodeError(
                explained(type(self).__name__, data.get("name"), error), node=data.get("name")
            ) from None

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """As pydantic does, but for the error: InvalidNodeError."""
        with _explaining(cls):
            return super().model_validate(obj, **options)

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """As pydantic does, but for the error: InvalidNodeError."""
        with _explaining(cls):
            return super().model_validate_json(json_data, **options)


@contextmanager
def _explaining(model: type[Model]) -> Iterator[None]:
    """Raise InvalidNodeError for what is no description of a model, or lacks a field of it."""
    try:
        yield
    except ValidationError as error:
        raise InvalidNodeError(explained(model.__name__, None, error)) from None
    except TypeError as error:
        raise InvalidNodeError(f"{model.__name__} is not valid: {error}") from None


class StoredByName:
    """Annotates a field whose values `convert` takes from what callers give, and that are dumped as
    their `name`.
    """

    def __init__(self, convert: Callable[[Any], Any], description: str) -> None:
        self._convert = convert
        self._description = description

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        by_name = core_schema.plain_serializer_function_ser_schema(
            lambda held: held.name, return_schema=core_schema.str_schema()
        )
        return core_schema.no_info_plain_validator_function(self._convert, serialization=by_name)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "description": self._description}


def storable(text: str) -> str:
    """The text, if PostgreSQL can store it; raises ValueError."""
    if "\0" in text:
        raise ValueError("must not hold the character \\u0000")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must not hold lone surrogates") from None
    return text


def explained(kind: str, name: object, error: ValidationError) -> str:
    """One sentence out of pydantic's list of errors."""
    found = error.errors(include_url=False, include_context=False)
    faults = []
    for fault in found:
        where = ".".join(map(str, fault["loc"])) or "it"
        what = fault["msg"].removeprefix("Value error, ")
        faults.append(f"{where}: {what} (got {fault['input']!r:.80})")
    subject = f"{kind} {name!r}" if isinstance(name, str) else kind
    return f"{subject} is not valid: {'; '.join(faults)}"
