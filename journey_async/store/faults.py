"""What can go wrong at the database, in this package's words.

What the server and the driver say besides may hold values or parts of a DSN: of a server's error
only the primary message is passed on, without values in quotes, and of the others the kind.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from journey_async.errors import DatabaseUnavailable, InvalidOptionError, JourneyError

# SQLSTATE classes and codes of a server that is not there, going, or not yet back.
_UNAVAILABLE_CLASSES = ("08", "57P", "53", "3D")
# … timeouts, a transaction that stood still, a database that takes no connections for a while
_TRANSIENT = ("40001", "40P01", "25P03", "55000")
_HELD = "55P03"
_CANCELLED = "57014"  # by statement_timeout, or by somebody
_LOGIN_CLASS = "28"  # a server that does not let this role in now may do so again
_REFUSED_CLASSES = ("22", "23", "54")
_READ_ONLY = "25006"
# Whatever a DSN says that is no parameter of the driver goes to the server as a setting.
_SETTINGS = (
    asyncpg.UndefinedObjectError,
    asyncpg.InvalidParameterValueError,
    asyncpg.CantChangeRuntimeParamError,
)
MAX_SAID = 500  # characters of a server's message
_PREPARED = ("26000", "42P05")  # a statement that another client prepared, or did not


class DataRefused(JourneyError):
    """PostgreSQL refused what it was given; nothing of the statement was written."""


class RowHeld(DatabaseUnavailable):
    """Somebody else holds a row, or a table, for longer than a statement may wait for it."""


class AnswerLate(DatabaseUnavailable):
    """The time for an answer was over, at this end or by statement_timeout."""


class translated:
    """Raise this package's errors for asyncpg's, within its `with` block."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, error: BaseException | None, _where: object) -> None:
        """Raise DatabaseUnavailable, DataRefused, InvalidOptionError or JourneyError instead."""
        if isinstance(error, JourneyError):  # translated already; one of them is an OSError, too
            return
        if isinstance(error, asyncpg.PostgresError):
            raise _of_server(error) from None
        if isinstance(error, asyncpg.exceptions.ClientConfigurationError):
            told = f"PostgreSQL cannot be connected to like this: {error}"
            raise InvalidOptionError(told) from None
        if isinstance(error, asyncpg.UnsupportedClientFeatureError):
            told = f"this pool is set up in a way that cannot be used here: {error}"
            raise InvalidOptionError(told) from None
        if isinstance(error, TimeoutError):
            raise AnswerLate("PostgreSQL did not answer in time") from error
        if isinstance(error, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError):
            raise DatabaseUnavailable(f"PostgreSQL cannot be reached: {error}") from error


class connecting(translated):
    """As `translated`, for what a server says instead of letting this role in."""

    def __exit__(self, kind: object, error: BaseException | None, where: object) -> None:
        """As `translated`; a right that was taken away may be given back."""
        if isinstance(error, asyncpg.InsufficientPrivilegeError):
            raise _login_refused(_said(error)) from None
        super().__exit__(kind, error, where)


@contextmanager
def reading_dsn() -> Iterator[None]:
    """As `connecting`; and what the driver raises for a DSN that it cannot read."""
    try:
        with connecting():
            try:
                yield
            except _SETTINGS as error:
                raise InvalidOptionError(
                    f"the DSN has a setting that PostgreSQL does not take: {_said(error)}"
                ) from None
    except JourneyError:
        raise
    except (ValueError, OverflowError):  # whose text is a piece of the DSN, perhaps the password
        raise InvalidOptionError(
            "the DSN cannot be read; it is postgresql://user:password@host:port/database, and "
            "characters with a meaning there, as in a password, are written %XX"
        ) from None


def _of_server(error: asyncpg.PostgresError) -> JourneyError:
    state = error.sqlstate or ""
    said = _said(error)
    if state == _READ_ONLY:
        return DatabaseUnavailable(
            f"this PostgreSQL takes no writes: {said}; give the primary's DSN, of several hosts "
            f"with target_session_attrs=primary"
        )
    if state == _HELD:
        return RowHeld(f"PostgreSQL let somebody else go first for too long: {said}")
    if state == _CANCELLED:
        return AnswerLate(f"PostgreSQL is not available: {said}")
    if state.startswith(_UNAVAILABLE_CLASSES) or state in _TRANSIENT:
        return DatabaseUnavailable(f"PostgreSQL is not available: {said}")
    if state.startswith(_LOGIN_CLASS):
        return _login_refused(said)
    if state.startswith(_REFUSED_CLASSES):
        return DataRefused(f"PostgreSQL refused the data: {said}")
    if state in _PREPARED:
        return JourneyError(
            f"a pooler lost a prepared statement ({said}); create the pool with "
            f"statement_cache_size=0"
        )
    return JourneyError(f"PostgreSQL refused the statement: {said}")


def _login_refused(said: str) -> DatabaseUnavailable:
    return DatabaseUnavailable(f"PostgreSQL refused the login: {said}")


def _said(error: asyncpg.PostgresError) -> str:
    """The primary message; its DETAIL would show the row that was refused."""
    said = str(error.args[0]) if error.args else type(error).__name__
    if getattr(error, "severity", None) is None:  # the driver's, before PostgreSQL saw anything
        return re.sub(r"(argument \$\d+).*", r"\1", said, flags=re.DOTALL)
    if (error.sqlstate or "").startswith("22"):
        said = re.sub(r'"[^"]*"', '"…"', said)
    return f"{said[:MAX_SAID]} ({error.sqlstate})"
