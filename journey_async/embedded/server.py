"""One data directory and the `postgres` process on it.

The supervisor runs this file outside the package, so it imports nothing but the standard library.
The server listens on a Unix socket in its data directory and nowhere else: no port, no password,
and only who may enter the directory can connect.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PORT = 5432
SOCKET_NAME = f".s.PGSQL.{PORT}"
# Below the path that users share; lifecycle.py says what they are.
DATA, LOG = "data", "server.log"
USERS_LOCK, SUPERVISOR_LOCK = "users.lock", "supervisor.lock"

_POLL = 0.01  # seconds
_RETRY_FOR = 10.0  # seconds
_PIDS = 1 << 31  # numbers of processes are below this


class ServerError(Exception):
    """PostgreSQL could not be set up or started; the message says why."""


@dataclass(frozen=True)
class Account:
    """The user whom root becomes to run the server."""

    uid: int
    gid: int


def account_for(data: Path) -> Account | None:
    """Whom to run the server of `data` as; None for the user of this process.

    PostgreSQL refuses to run as root: then it is the owner of existing data, else `postgres`, else
    `nobody`. Raises `ServerError` when that is impossible, or the user has no entry in passwd.
    """
    if os.geteuid() != 0:
        try:
            pwd.getpwuid(os.geteuid())
        except KeyError:
            raise ServerError(
                f"PostgreSQL cannot run as user id {os.geteuid()}, which has no entry in passwd:"
                " add one, or use a server elsewhere"
            ) from None
        return None
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise ServerError("PostgreSQL does not run as root, and there is no user postgres or nobody")


def data_major(data: Path) -> int | None:
    """The major version that wrote `data`; None when there is no data yet."""
    file = data / "PG_VERSION"
    try:
        return int(file.read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        raise ServerError(f"{file} is damaged, it must hold the number of a version") from None


def answers(data: Path, socket_directory: Path) -> bool:
    """Whether a server on `data` accepts connections now."""
    if not _is_ready(_pid_file(data)):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(os.fspath(socket_directory / SOCKET_NAME))
        except OSError:  # the file of a server that was killed still says ready
            return False
    return True


@dataclass(frozen=True)
class Server:
    """How to run PostgreSQL on `data`, with `settings` on top of its configuration files."""

    bindir: Path
    data: Path
    log: Path
    account: Account | None
    settings: Mapping[str, str] = field(default_factory=dict)
    throwaway: bool = False

    def create(self) -> None:
        """Make the data directory unless it is there; a half-made one never gets its name."""
        if self.data.exists():
            return
        for leftover in self.data.parent.glob("data.initdb-*"):  # of one that was killed
            _remove(leftover)
        partial = Path(tempfile.mkdtemp(prefix="data.initdb-", dir=self.data.parent))
        try:
            if self.account:
                os.chown(partial, self.account.uid, self.account.gid)
            self._initdb(partial)
            partial.rename(self.data)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        if not self.throwaway:
            _sync_directory(self.data.parent)

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server and return when it accepts connections. Raises `ServerError`.

        Recovery after a crash may take long: as long as it runs, this waits. After a crash, too,
        PostgreSQL refuses to start while processes of the old server are still ending: it is asked
        again for a while.
        """
        crashed = bool(_pid_file(self.data))
        deadline = time.monotonic() + (_RETRY_FOR if crashed else 0.0)
        self._clear_the_way()
        while True:
            process = self._spawn()
            while process.poll() is None:
                status = _pid_file(self.data)
                if _is_ready(status) and status[0] == str(process.pid):
                    return process
                time.sleep(_POLL)
            if time.monotonic() > deadline:
                raise ServerError(f"PostgreSQL did not start on {self.data}: {self._last_words()}")
            time.sleep(_POLL * 10)

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """Stop the server, cutting its connections, and return when it is gone."""
        process.send_signal(signal.SIGQUIT if self.throwaway else signal.SIGINT)
        process.wait()

    def _initdb(self, data: Path) -> None:
        # Sorted by code point, but knowing the letters of all languages where the system does.
        done = self._run_initdb(data, ["--locale=C", "--lc-ctype=C.UTF-8"])
        if done.returncode != 0 and "locale" in done.stderr:
            done = self._run_initdb(data, ["--locale=C"])
        if done.returncode != 0:
            raise ServerError(f"initdb failed for {self.data}: {done.stderr.strip()}")

    def _run_initdb(self, data: Path, locale: list[str]) -> subprocess.CompletedProcess[str]:
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", *locale]
        if self.throwaway:
            options.append("--no-sync")
        descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return subprocess.run(
                [self.bindir / "initdb", "-D", self._reachable(data, descriptor), *options],
                cwd="/",
                env=_environment(),
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                check=False,
                capture_output=True,
                text=True,
                errors="replace",
                user=self.account.uid if self.account else None,
                group=self.account.gid if self.account else None,
                extra_groups=[] if self.account else None,
            )
        except OSError as error:
            raise ServerError(f"cannot run initdb for {self.data}: {error}") from None
        finally:
            os.close(descriptor)

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = {
            **self.settings,
            "listen_addresses": "",
            "port": str(PORT),
            # Relative to the data directory: a socket's address is limited to some 100 bytes.
            "unix_socket_directories": ".",
            "unix_socket_permissions": "0700",
        }
        descriptor = os.open(self.data, os.O_RDONLY | os.O_DIRECTORY)
        command = [str(self.bindir / "postgres"), "-D", self._reachable(self.data, descriptor)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        try:
            with self.log.open("ab") as log:
                return subprocess.Popen(
                    [*_dying_with_parent("QUIT" if self.throwaway else "INT"), *command],
                    cwd="/",
                    env=_environment(),
                    pass_fds=[descriptor],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    user=self.account.uid if self.account else None,
                    group=self.account.gid if self.account else None,
                    extra_groups=[] if self.account else None,
                )
        except OSError as error:
            raise ServerError(f"cannot run postgres on {self.data}: {error}") from None
        finally:
            os.close(descriptor)

    def _reachable(self, data: Path, descriptor: int) -> str:
        """A name of `data` that works for the server's user, who may not enter what lies above it.

        The server inherits the open directory, and a descriptor's link in /proc leads there without
        asking the directories in between. The working directory would not do: PostgreSQL 15 and
        older leave it while they look for their own executable.
        """
        link = f"/proc/self/fd/{descriptor}"
        return link if self.account and os.path.exists(link) else str(data)

    def _clear_the_way(self) -> None:
        """Stop a server that lost its supervisor; keep a stranger from being taken for one.

        PostgreSQL takes any living process with the number in the pid file for the old server, and
        numbers are soon used again, in containers above all. The number of its own parent is the
        one that it knows to be no server. The file itself must stay: it leads PostgreSQL to the
        shared memory in which processes of the old server may still be at work. A file without a
        number, as a crash of the machine may leave it, would keep PostgreSQL from starting at all.
        """
        status = _pid_file(self.data)
        pid = _number(status)
        if pid is None:
            (self.data / "postmaster.pid").unlink(missing_ok=True)
        else:
            self._end(pid, status)
        # The socket lies in the data directory, so nobody else's can be there; its lock would be
        # taken for a living server's just as well.
        (self.data / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)

    def _end(self, pid: int, status: list[str]) -> None:
        if not _is_alive(pid):
            return
        if Path("/proc/self/cwd").exists():
            is_server = _works_in(pid, self.data)
        else:
            is_server = answers(self.data, self.data)
        if not is_server:
            self._write_pid_file([str(os.getpid()), *status[1:]])
            return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        while _pid_file(self.data)[:1] == status[:1] and _is_alive(pid):
            time.sleep(_POLL)

    def _write_pid_file(self, lines: list[str]) -> None:
        file = self.data / "postmaster.pid"
        fresh = file.with_suffix(".new")
        fresh.write_text("".join(f"{line}\n" for line in lines), errors="surrogateescape")
        fresh.chmod(0o600)
        if self.account:
            os.chown(fresh, self.account.uid, self.account.gid)
        fresh.replace(file)

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return "\n".join(lines[-5:]) or "it left no message"


def _environment() -> dict[str, str]:
    """This process's environment without what would steer PostgreSQL."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return {**kept, "LC_ALL": "C", "LANG": "C", "TZ": "UTC"}


def _dying_with_parent(signal_name: str) -> list[str]:
    """The prefix of a command that gets a signal when the thread that started it ends (Linux)."""
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if setpriv is None:
        return []
    prefix = [setpriv, "--pdeathsig", signal_name, "--"]
    tried = subprocess.run([*prefix, "true"], check=False, capture_output=True)
    return prefix if tried.returncode == 0 else []  # not every setpriv has the option


def _remove(folder: Path) -> None:
    """Remove it with all that is in it; who still writes there is about to die."""
    deadline = time.monotonic() + _RETRY_FOR
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(_POLL)


def _pid_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text(errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return []


def _number(pid_file: list[str]) -> int | None:
    """The number of the process; None where there is none that a process can have."""
    try:
        number = abs(int(pid_file[0]))
    except (IndexError, ValueError):
        return None
    return number if 0 < number < _PIDS else None


def _is_ready(pid_file: list[str]) -> bool:
    status = pid_file[7:8]
    return bool(status) and status[0].strip() == "ready"


def _works_in(pid: int, data: Path) -> bool:
    try:
        return os.path.samefile(f"/proc/{pid}/cwd", data)
    except OSError:
        return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
