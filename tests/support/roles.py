"""Roles that can log in, with the rights that a test gives them and no others."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote, urlsplit
from uuid import uuid4

import asyncpg

from journey_async.testing.databases import execute
from tests.support.pgbouncer import Address

PASSWORD = "a-password-for-tests"


@dataclass(frozen=True)
class Role:
    """A role of the server."""

    name: str

    def dsn(self, superusers: str) -> str:
        """The same database, as this role."""
        address = Address.of(superusers)
        host, user = quote(address.host, safe=""), quote(self.name, safe="")
        sslmode = [item for item in urlsplit(superusers).query.split("&") if "ssl" in item]
        extra = "".join(f"&{item}" for item in sslmode)
        return (
            f"postgresql:///{address.database}?host={host}&port={address.port}&user={user}"
            f"&password={PASSWORD}{extra}"
        )


class NoRoles(Exception):
    """The tests' user may not create roles."""


@contextmanager
def temporary_role(dsn: str) -> Iterator[Role]:
    """A role for as long as the context lasts; raises NoRoles."""
    role = Role(f"journey_test_{uuid4().hex[:12]}")
    try:
        _run(dsn, f"CREATE ROLE \"{role.name}\" LOGIN PASSWORD '{PASSWORD}'")
    except asyncpg.InsufficientPrivilegeError as error:
        raise NoRoles(f"the tests' user of the server may not create roles: {error}") from None
    try:
        yield role
    finally:  # the databases in which it had rights are gone
        _run(dsn, f'DROP ROLE "{role.name}"')


def _run(dsn: str, statement: str) -> None:
    """In a thread, so that no event loop of the tests is disturbed."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(execute(dsn, statement))).result()
