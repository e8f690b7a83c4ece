"""The channels of a schema: what changed, what is due, which code is the newest, who joined."""

import hashlib
from dataclasses import dataclass

_MAX_READABLE = 40  # bytes; a channel's name has at most 63


@dataclass(frozen=True, slots=True)
class Channels:
    """Names of the NOTIFY channels."""

    changed: str
    due: str
    reordered: str
    joined: str

    @classmethod
    def of(cls, schema: str) -> "Channels":
        """The channels of a schema; a long name is replaced by its digest."""
        readable = len(schema.encode()) <= _MAX_READABLE
        stem = schema if readable else hashlib.sha256(schema.encode()).hexdigest()[:_MAX_READABLE]
        return cls(
            changed=f"{stem}.changed",
            due=f"{stem}.due",
            reordered=f"{stem}.reordered",
            joined=f"{stem}.joined",
        )
