"""What can go wrong at the database, in this package's words."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from journey_async.errors import DatabaseUnavailable, JourneyError

# SQLSTATE classes and codes of a server that is not there, going, or not yet back.
_UNAVAILABLE_CLASSES = ("08", "57P", "53", "3D")
_TRANSIENT = ("40001", "40P01", "55P03", "57014", "25006")  # … timeouts, a read-only standby
_REFUSED_CLASSES = ("22", "23", "54")


class DataRefused(JourneyError):
    """PostgreSQL refused what it was given; nothing of the statement was written."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise this package's errors for asyncpg's."""
    try:
        yield
    except asyncpg.PostgresError as error:
        state = error.sqlstate or ""
        if state.startswith(_UNAVAILABLE_CLASSES) or state in _TRANSIENT:
            raise DatabaseUnavailable(f"PostgreSQL is not available: {error}") from error
        if state.startswith(_REFUSED_CLASSES):
            raise DataRefused(f"PostgreSQL refused the data: {error}") from error
        raise JourneyError(f"PostgreSQL refused the statement: {error}") from error
    except asyncpg.DataError as error:  # refused by the driver, before PostgreSQL saw it
        raise DataRefused(f"a value cannot be sent to PostgreSQL: {error}") from error
    except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise DatabaseUnavailable(f"PostgreSQL cannot be reached: {error}") from error
