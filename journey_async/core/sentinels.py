"""NOT_SET: what `values_all` shows for a node that has no value."""

from enum import Enum
from typing import Final


class NotSet(Enum):
    """The type of NOT_SET, which is false."""

    NOT_SET = "not_set"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "NOT_SET"

    __str__ = __repr__


NOT_SET: Final = NotSet.NOT_SET
