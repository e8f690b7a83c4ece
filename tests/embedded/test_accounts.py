"""Who runs the server: it must not be root, and nothing outside the path may change for that."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from journey_async.embedded import acquire, find_bindir
from journey_async.embedded.binaries import runnable_by
from journey_async.embedded.lifecycle import attach
from journey_async.embedded.server import Account, account_for
from tests.embedded.clients import (
    client,
    copy_package,
    is_stopped,
    query,
    server_pid,
)
from tests.support.eventually import eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A directory that every user can reach, which pytest's own are not."""
    path = Path(tempfile.mkdtemp(prefix="journey-public-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def nobody() -> Account:
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def python_for(account: Account) -> str:
    """A Python that this user can run; the tests' own may be in a home that is closed to it."""
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            done = subprocess.run(
                [python, "-c", check],
                check=False,
                cwd="/",
                user=account.uid,
                group=account.gid,
                extra_groups=[],
            )
        except OSError:
            continue
        if done.returncode == 0:
            return python
    pytest.skip("no Python 3.11 that another user may run")


def permissions_above(path: Path) -> list[tuple[Path, int, int, int]]:
    return [
        (parent, (status := parent.stat()).st_mode, status.st_uid, status.st_gid)
        for parent in path.parents
    ]


async def test_root_needs_no_new_user_and_opens_no_directory(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    path = home / "share" / "postgres"
    path.mkdir(mode=0o700, parents=True)
    before = permissions_above(path), pwd.getpwall()

    for _ in ("created", "found again"):
        server = await acquire(path)
        await query(server.dsn, "CREATE TABLE IF NOT EXISTS kept AS SELECT 1 AS x")
        assert Path(f"/proc/{server_pid(path)}").stat().st_uid != 0
        await server.release()
        await eventually(lambda: is_stopped(path))

    server = await acquire(path)
    assert await query(server.dsn, "SELECT count(*) FROM kept") == 1
    await server.release()
    await eventually(lambda: is_stopped(path))
    assert (permissions_above(path), pwd.getpwall()) == before


@pytest.mark.exhaustive
async def test_binaries_in_a_closed_home_are_run_from_a_copy(
    tmp_path: Path, public_path: Path
) -> None:
    prefix = find_bindir().parent
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    account = account_for(tmp_path / "data")
    hidden = home / prefix.parent.name / prefix.name
    for part in ("bin", "lib", "share"):
        if (prefix / part).is_dir():
            shutil.copytree(prefix / part, hidden / part)
    libraries = prefix.parent.parent / f"{prefix.parent.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, home / libraries.name)

    bindir = runnable_by(account, hidden / "bin", cache=public_path)
    assert bindir.is_relative_to(public_path)
    assert runnable_by(account, hidden / "bin", cache=public_path) == bindir
    assert runnable_by(account, bindir, cache=tmp_path) == bindir
    assert home.stat().st_mode & 0o777 == 0o700
    assert len(list(public_path.iterdir())) == 1
    if not (prefix / "share").is_dir():
        return  # this installation keeps a part of itself elsewhere, where its copy looks in vain
    server = attach(tmp_path / "path", bindir=bindir)
    assert await query(server.dsn, "SELECT 1") == 1
    await server.release()
    await eventually(lambda: is_stopped(tmp_path / "path"))


async def test_an_ordinary_user_runs_the_server_as_itself_and_root_may_join(
    public_path: Path, nobody: Account
) -> None:
    python = python_for(nobody)
    copy_package(public_path / "source")
    path = public_path / "owned" / "postgres"
    path.parent.mkdir()
    os.chown(path.parent, nobody.uid, nobody.gid)
    bindir = runnable_by(nobody, find_bindir())

    with client(
        path, account=nobody, python=python, source=public_path / "source", bindir=bindir
    ) as user:
        dsn = user.dsn
        await query(dsn, "CREATE TABLE kept AS SELECT 1 AS x")
        assert Path(f"/proc/{server_pid(path)}").stat().st_uid == nobody.uid
        assert path.stat().st_mode & 0o777 == 0o700
        user.kill()
    await eventually(lambda: is_stopped(path))

    with (path / "server.log").open("a") as log:
        log.write("more than one log may hold\n" * 50_000)
    server = await acquire(path)
    assert await query(server.dsn, "SELECT count(*) FROM kept") == 1
    assert Path(f"/proc/{server_pid(path)}").stat().st_uid == nobody.uid
    await server.release()
    await eventually(lambda: is_stopped(path))

    with client(
        path, account=nobody, python=python, source=public_path / "source", bindir=bindir
    ) as user:
        assert await query(user.dsn, "SELECT count(*) FROM kept") == 1
        user.kill()
    await eventually(lambda: is_stopped(path))


def test_a_user_id_without_a_name_is_told_so(public_path: Path) -> None:
    unnamed = Account(uid=54321, gid=54321)
    copy_package(public_path / "source")
    path = public_path / "owned"
    path.mkdir()
    os.chown(path, unnamed.uid, unnamed.gid)
    with client(
        path, account=unnamed, python=python_for(unnamed), source=public_path / "source"
    ) as user:
        _, errors = user.process.communicate(timeout=60)
    assert "user id 54321, which has no entry in passwd" in errors
