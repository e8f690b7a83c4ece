"""Finds the statements of sql/ and writes the schema's name into them."""

import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from journey_async.errors import InvalidOptionError

PLACEHOLDER = ':"schema"'  # as psql writes a quoted variable
ROLE = ':"role"'
_COMMENT_OR_PLACEHOLDER = re.compile(rf"--[^\n]*|{PLACEHOLDER}")
MAX_IDENTIFIER = 63  # bytes; PostgreSQL would cut a longer one


def folder() -> Traversable:
    """The sql/ folder: inside the package when installed from a wheel, beside it in a checkout."""
    packaged = files("journey_async") / "sql"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "sql"


@cache
def statement(name: str) -> str:
    """The text of sql/queries/<name>.sql."""
    return (folder() / "queries" / f"{name}.sql").read_text(encoding="utf-8")


def in_schema(text: str, schema: str) -> str:
    """The text with the schema's name, quoted, in its places.

    Not in comments, which end where a name has a line break. (In sql/, -- stands only where a
    comment begins.)
    """
    name = quoted(schema)
    return _COMMENT_OR_PLACEHOLDER.sub(lambda m: name if m[0] == PLACEHOLDER else m[0], text)


def as_script(file: str, schema: str, role: str = "") -> str:
    """A file at the top of sql/ (schema, grants, …), with the names in their places."""
    text = (folder() / f"{file}.sql").read_text(encoding="utf-8")
    return in_schema(text, schema).replace(ROLE, quoted(role))


def quoted(identifier: str) -> str:
    """An identifier as SQL takes it whatever characters it has."""
    return '"' + identifier.replace('"', '""') + '"'


def checked_schema(schema: str) -> str:
    """The schema's name, if it can be one; raises InvalidOptionError."""
    if not isinstance(schema, str) or not schema or "\0" in schema:
        raise InvalidOptionError(f"schema must be a name, not {schema!r}")
    try:
        length = len(schema.encode())
    except UnicodeEncodeError:
        raise InvalidOptionError(f"schema {schema!r} holds a lone surrogate") from None
    if length > MAX_IDENTIFIER:
        raise InvalidOptionError(
            f"schema {schema!r} has {length} bytes, PostgreSQL takes {MAX_IDENTIFIER}"
        )
    if schema.startswith("pg_"):
        raise InvalidOptionError(f"schema {schema!r}: PostgreSQL keeps names in pg_ for itself")
    return schema
