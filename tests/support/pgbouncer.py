"""PgBouncer in transaction mode, in front of the tests' server: a harsh one, as Debian has it."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from journey_async.embedded.server import _dying_with_parent, account_for

NO_POOLER = (
    "no pgbouncer on PATH or in /usr/sbin; with it (Debian: apt-get install pgbouncer) "
    "this would run behind a transaction pooler"
)
PORT = 6432  # only names the socket: nothing listens on the network
STARTUP = 30.0  # seconds

# Two connections for each database, and none of the newer features that forgive a session's state.
CONFIGURATION = """\
[databases]
* = host={host} port={port}

[pgbouncer]
pool_mode = transaction
default_pool_size = 2
max_client_conn = 1000
listen_addr =
listen_port = {own_port}
unix_socket_dir = {folder}
auth_type = trust
auth_file = {folder}/users
server_tls_sslmode = prefer
"""


@dataclass(frozen=True)
class Address:
    """Where a DSN leads, and as whom."""

    user: str
    password: str
    host: str
    port: str
    database: str

    @classmethod
    def of(cls, dsn: str) -> "Address":
        parts = urlsplit(dsn)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        return cls(
            user=unquote(parts.username or query.get("user", "postgres")),
            password=unquote(parts.password or query.get("password", "")),
            host=parts.hostname or query.get("host", "localhost"),
            port=str(parts.port or query.get("port", "5432")),
            database=parts.path.removeprefix("/"),
        )


@dataclass(frozen=True)
class Pooler:
    """A pooler that runs; the folder holds its socket."""

    folder: Path

    def dsn(self, direct: str) -> str:
        """The way to the same database, as the same user, through the pooler."""
        address = Address.of(direct)
        host, user = quote(str(self.folder), safe=""), quote(address.user, safe="")
        return f"postgresql:///{address.database}?host={host}&port={PORT}&user={user}"


def find_pgbouncer() -> str | None:
    """The program, if there is one."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which("pgbouncer", path=path)


@contextmanager
def running_pooler(program: str, server_dsn: str) -> Iterator[Pooler]:
    """A pooler in front of the server, for as long as the context lasts."""
    folder = Path(tempfile.mkdtemp(prefix="journey-pooler-"))
    try:
        process = _start(program, folder, Address.of(server_dsn))
        try:
            _await_socket(process, folder)
            yield Pooler(folder)
        finally:
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(folder)


def _start(program: str, folder: Path, server: Address) -> "subprocess.Popen[bytes]":
    """PgBouncer does not run as root: then as the account that runs PostgreSQL."""
    (folder / "ini").write_text(
        CONFIGURATION.format(host=server.host, port=server.port, own_port=PORT, folder=folder)
    )
    quoted = (text.replace('"', '""') for text in (server.user, server.password))
    (folder / "users").write_text(" ".join(f'"{text}"' for text in quoted) + "\n")
    account = account_for(folder)
    if account is not None:
        for path in (folder, folder / "ini", folder / "users"):
            os.chown(path, account.uid, account.gid)
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [*_dying_with_parent("KILL"), program, str(folder / "ini")],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )


def _await_socket(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    deadline = time.monotonic() + STARTUP
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
            client.connect(str(folder / f".s.PGSQL.{PORT}"))
            return
        time.sleep(0.01)
    raise RuntimeError(f"PgBouncer did not start: {(folder / 'log').read_text()[-2000:]}")
