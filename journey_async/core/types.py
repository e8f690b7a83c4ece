"""The type of an input node: validates what is set, parses what is read."""

import re
from collections.abc import Mapping
from inspect import isroutine
from typing import Annotated, Any, TypeAlias, get_origin

from pydantic import PydanticUserError, TypeAdapter
from pydantic import ValidationError as PydanticError
from pydantic_core import ErrorDetails

from journey_async.core import jsonvalue
from journey_async.core.alike import alike
from journey_async.core.jsonvalue import JSON
from journey_async.core.model import StoredByName
from journey_async.errors import InvalidNodeError, InvalidValueError, StoredTypeError

ONE_WAY = (
    "what the type writes does not come back as what was set: it shows secrets as asterisks, "
    "leaves fields out, or has names or a format of its own for writing"
)


# Types that are checked where only their names are known.
PLAIN = {kind.__name__: TypeAdapter[Any](kind) for kind in (str, int, float, bool)}


class NodeType:
    """A type by its name, with the annotation where the code is here; equal if the names are.

    Values are validated strictly, in pydantic's JSON mode, and stored as JSON. Without the
    annotation only values of PLAIN types are validated, when they are set.
    """

    __slots__ = ("_adapter", "annotation", "name")

    def __init__(self, name: str, annotation: Any = Any) -> None:
        self.name = name
        self.annotation = annotation
        self._adapter: TypeAdapter[Any] | None = None
        if annotation is not Any:
            try:
                self._adapter = TypeAdapter(annotation)
            except PydanticUserError as error:
                raise self._unknown(error) from None

    @classmethod
    def of(cls, annotation: Any) -> "NodeType":
        """The type under the name that is stored for it; raises InvalidNodeError."""
        if isinstance(annotation, Mapping) or isroutine(annotation):  # pydantic has its own use
            raise InvalidNodeError(f"{annotation!r:.80} is no type; give one, such as int")
        return cls(name_of_type(annotation), annotation)

    @property
    def is_any(self) -> bool:
        """Whether what is read is not parsed: it may be anything, or the code is elsewhere."""
        return self._adapter is None

    @property
    def is_checked(self) -> bool:
        """Whether what is set is validated."""
        return self._adapter is not None or self.name in PLAIN

    def to_json(self, value: object) -> JSON:
        """The normalised JSON of a value, validated; raises InvalidValueError."""
        adapter = self._adapter or PLAIN.get(self.name)
        if adapter is None:
            return jsonvalue.normalise(value)
        try:
            return self._to_json(adapter, value)
        except InvalidValueError:
            raise
        except PydanticUserError as error:
            raise self._unknown(error) from None
        except PydanticError as error:
            raise self._misfit(_faults(error)) from None
        except (ValueError, TypeError) as error:  # what cannot be brought into JSON
            raise self._misfit(str(error)) from None

    def _misfit(self, reasons: str) -> InvalidValueError:
        return InvalidValueError(f"is not of the type {self.name}: {reasons}", reasons=reasons)

    def _unknown(self, error: PydanticUserError) -> InvalidNodeError:
        """What pydantic cannot make use of, or not yet: it may name what is not defined."""
        reason = error.message.partition("\n")[0]  # what follows is about pydantic's own protocol
        return InvalidNodeError(f"type {self.name} is none that pydantic knows: {reason}")

    def _to_json(self, adapter: TypeAdapter[Any], value: object) -> JSON:
        try:
            plain = jsonvalue.normalise(value)
        except InvalidValueError:  # an object of the type, then
            parsed = adapter.validate_python(value, strict=True)
            stored = _dumped(adapter, parsed)
        else:
            text = jsonvalue.encode(plain)
            parsed = adapter.validate_json(text, strict=True)
            stored = _dumped(adapter, parsed)
            if jsonvalue.encode(stored) == text:
                return stored
        self._refuse_what_does_not_come_back(adapter, stored, parsed)
        return stored

    def _refuse_what_does_not_come_back(
        self, adapter: TypeAdapter[Any], stored: JSON, parsed: Any
    ) -> None:
        """Refuse to store what would be read as something else, or not at all."""
        try:
            again = adapter.validate_json(jsonvalue.encode(stored), strict=True)
        except PydanticError as error:
            raise self._misfit(f"{_faults(error)} ({ONE_WAY})") from None
        if not alike(again, parsed):
            raise self._misfit(ONE_WAY)

    def parse(self, value: JSON, *, node: str, execution_id: str) -> Any:
        """The Python value of the JSON that is stored for a node.

        Raises StoredTypeError if it does not fit, which tells nothing of the value but its kind.
        """
        if self._adapter is None:
            return jsonvalue.copied(value)
        try:
            return self._adapter.validate_json(jsonvalue.encode(value), strict=True)
        except PydanticUserError as error:
            raise self._unknown(error) from None
        except PydanticError as error:
            faults = error.errors(include_url=False, include_context=False, include_input=False)
            raise StoredTypeError(
                node,
                execution_id,
                stored=jsonvalue.kind_of(value),
                declared=self.name,
                reasons=list(dict.fromkeys(fault["type"] for fault in faults)),
            ) from None

    def dump(self, value: Any) -> JSON:
        """The stored JSON of a value that `parse` gave."""
        if self._adapter is None:
            stored: JSON = value
            return stored
        return _dumped(self._adapter, value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NodeType) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<type {self.name}>"


def _dumped(adapter: TypeAdapter[Any], value: Any) -> JSON:
    return jsonvalue.normalise(
        adapter.dump_python(value, mode="json", by_alias=True, round_trip=True, warnings=False)
    )


def _faults(error: PydanticError) -> str:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(map(_told, faults))


def _told(fault: ErrorDetails) -> str:
    """What is wrong, and where in the value: `lines.0.price: Input should be a valid number`."""
    return ": ".join(filter(None, (".".join(map(str, fault["loc"])), fault["msg"])))


ANY = NodeType("Any")


def as_type(given: Any) -> NodeType:
    if isinstance(given, NodeType):
        return given
    if isinstance(given, str):  # from a description: the name alone
        return NodeType(given)
    return ANY if given is Any else NodeType.of(given)


def name_of_type(annotation: Any) -> str:
    """The type as descriptions and messages name it, the same in every process."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        module = annotation.__module__
        return (
            annotation.__qualname__
            if module == "builtins"
            else f"{module}.{annotation.__qualname__}"
        )
    # an address in memory is another one in each process
    return re.sub(r" at 0x[0-9a-fA-F]+", "", str(annotation).replace("typing.", ""))


TypeField: TypeAlias = Annotated[NodeType, StoredByName(as_type, "the name of a type")]
