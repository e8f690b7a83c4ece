"""The base of all graph models: frozen, closed, and never raising pydantic's own error."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

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
