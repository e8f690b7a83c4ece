import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

from journey_async.embedded import acquire, default_path
from journey_async.embedded.lifecycle import attach
from journey_async.errors import EmbeddedPostgresError
from tests.embedded.clients import (
    answers,
    client,
    holders_of,
    is_alive,
    is_free,
    is_stopped,
    parent_of,
    query,
    server_pid,
)
from tests.support.eventually import LIMIT, eventually


@pytest.fixture(scope="module")
def data_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("embedded")


@pytest.fixture
async def path(data_path: Path) -> AsyncIterator[Path]:
    """One database for all tests of this file: creating it takes longer than all the rest."""
    yield data_path
    await eventually(lambda: is_stopped(data_path))


async def test_processes_on_a_path_share_one_server_that_ends_with_the_last(path: Path) -> None:
    with client(path) as first, client(path) as second:
        dsn = first.dsn
        assert second.dsn == dsn
        await query(dsn, "CREATE TABLE shared AS SELECT 1 AS x")
        pid = server_pid(path)

        first.kill()
        assert await query(dsn, "SELECT count(*) FROM shared") == 1
        assert server_pid(path) == pid

        second.kill()
        await eventually(lambda: is_stopped(path))

    server = await acquire(path)
    assert await query(server.dsn, "SELECT count(*) FROM shared") == 1
    assert server_pid(path) != pid
    await server.release()


async def test_two_users_in_one_process_are_two_users(path: Path) -> None:
    first, second = await asyncio.gather(acquire(path), acquire(path))
    assert first.dsn == second.dsn
    await first.release()
    await first.release()
    with client(path) as other:  # whose coming and going must not end it either
        assert other.dsn == second.dsn
        other.kill()
    assert await query(second.dsn, "SELECT 1") == 1
    await second.release()


async def test_what_is_committed_is_on_disk(path: Path) -> None:
    server = await acquire(path)
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert await query(server.dsn, f"SHOW {setting}") == "on"
    assert await query(server.dsn, "SHOW listen_addresses") == ""
    await server.release()


async def test_a_killed_server_comes_back_with_its_data_while_it_is_used(path: Path) -> None:
    server = await acquire(path)
    await query(server.dsn, "CREATE TABLE survivor AS SELECT 1 AS x")
    killed = server_pid(path)
    os.kill(killed, signal.SIGKILL)
    await eventually(lambda: server_pid(path) not in (0, killed))
    await eventually(lambda: answers(server.dsn))
    assert await query(server.dsn, "SELECT count(*) FROM survivor") == 1
    await server.release()


@asynccontextmanager
async def stopped_and_unable_to_start(path: Path) -> AsyncIterator[None]:
    """The server on the path, which is used, has ended; within the block it cannot be started."""
    log, settings = path / "server.log", path / "data" / "postgresql.auto.conf"
    kept, so_far = settings.read_text(), log.read_text().count("no_such_setting")
    settings.write_text(f"{kept}no_such_setting = 1\n")
    try:
        os.kill(server_pid(path), signal.SIGINT)
        await eventually(lambda: log.read_text().count("no_such_setting") > so_far)
        yield
    finally:
        settings.write_text(kept)


async def test_a_server_that_could_not_be_started_again_is_tried_again(path: Path) -> None:
    server = await acquire(path)
    supervisor = parent_of(server_pid(path))
    async with stopped_and_unable_to_start(path):
        assert not await answers(server.dsn)
    await eventually(lambda: answers(server.dsn))
    assert parent_of(server_pid(path)) == supervisor
    await server.release()


async def test_but_not_when_nobody_uses_it_any_more(path: Path) -> None:
    server = await acquire(path)
    async with stopped_and_unable_to_start(path):
        await server.release()
        await eventually(lambda: is_stopped(path))


async def test_no_server_starts_beside_processes_of_a_killed_one(path: Path) -> None:
    server = await acquire(path)
    connection = await asyncpg.connect(server.dsn)
    survivor = connection.get_server_pid()
    os.kill(survivor, signal.SIGSTOP)
    try:
        os.kill(server_pid(path), signal.SIGKILL)
        log = path / "server.log"
        await eventually(lambda: "pre-existing shared memory block" in log.read_text())
        assert not await answers(server.dsn)
    finally:
        os.kill(survivor, signal.SIGCONT)
    await eventually(lambda: answers(server.dsn))
    connection.terminate()
    await server.release()


async def test_after_the_supervisor_was_killed_the_next_user_finds_the_data(path: Path) -> None:
    first = await acquire(path)
    await query(first.dsn, "CREATE TABLE orphan AS SELECT 1 AS x")
    orphan = server_pid(path)
    os.kill(parent_of(orphan), signal.SIGKILL)
    await eventually(lambda: is_free(path / "supervisor.lock"))

    second = await acquire(path)
    assert server_pid(path) != orphan
    assert await query(second.dsn, "SELECT count(*) FROM orphan") == 1
    assert await query(first.dsn, "SELECT count(*) FROM orphan") == 1
    await first.release()
    await second.release()


async def test_everything_killed_at_once_loses_nothing(path: Path) -> None:
    with client(path) as user:
        await query(user.dsn, "CREATE TABLE crashed AS SELECT 1 AS x")
        pid = server_pid(path)
        os.kill(pid, signal.SIGSTOP)  # or it would hear of its parent's end, and stop in order
        for victim in (parent_of(pid), pid):
            os.kill(victim, signal.SIGKILL)
        user.kill()
    await eventually(lambda: is_free(path / "supervisor.lock"))
    server = await acquire(path)
    assert await query(server.dsn, "SELECT count(*) FROM crashed") == 1
    await server.release()


@pytest.mark.skipif(sys.platform != "linux", reason="looks a process up in /proc")
async def test_a_pid_file_that_names_a_stranger_does_not_stop_the_start(path: Path) -> None:
    await (await acquire(path)).release()
    await eventually(lambda: is_stopped(path))
    data = path / "data"
    owner = data.stat()
    other = os.geteuid() == 0
    with subprocess.Popen(
        ["sleep", "1000"],
        user=owner.st_uid if other else None,
        group=owner.st_gid if other else None,
        extra_groups=[] if other else None,
    ) as stranger:
        try:
            for file in ("postmaster.pid", ".s.PGSQL.5432.lock"):
                (data / file).write_text(f"{stranger.pid}\n{data}\n1\n5432\n.\n\n1 1\nready\n")
            server = await acquire(path)
            assert await query(server.dsn, "SELECT 1") == 1
            assert stranger.poll() is None
            await server.release()
        finally:
            stranger.kill()


SPOILT = [b"\0\0\0", b"what?\n", b"9" * 30 + b"\n", b"1\n/\xff\n1\n5432\n.\n\n1 1\nready\n"]


@pytest.mark.parametrize(
    "content", [b"", *(pytest.param(c, marks=pytest.mark.exhaustive) for c in SPOILT)]
)
async def test_a_pid_file_that_a_crash_has_spoilt_does_not_stop_the_start(
    path: Path, content: bytes
) -> None:
    await (await acquire(path)).release()
    await eventually(lambda: is_stopped(path))
    (path / "data" / "postmaster.pid").write_bytes(content)
    server = await acquire(path)
    assert await query(server.dsn, "SELECT 1") == 1
    await server.release()


@pytest.mark.exhaustive
async def test_whoever_ignores_the_end_of_children_has_a_server_and_hears_of_failures(
    tmp_path: Path,
) -> None:
    ignore = "signal.signal(signal.SIGCHLD, signal.SIG_IGN)"
    path = tmp_path / "path"
    with client(path, before=ignore) as user:
        assert await query(user.dsn, "SELECT 1") == 1
        user.kill()
    await eventually(lambda: is_stopped(path))
    (tmp_path / "data").mkdir()
    with client(tmp_path, before=ignore) as user:
        _, errors = user.process.communicate(timeout=LIMIT)
    assert f"did not start on {tmp_path}" in errors


async def test_whoever_blocks_signals_has_a_server_that_comes_back(path: Path) -> None:
    block = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD, signal.SIGTERM])"
    with client(path, before=block) as user:
        dsn = user.dsn
        killed = server_pid(path)
        os.kill(killed, signal.SIGKILL)
        await eventually(lambda: server_pid(path) not in (0, killed))
        await eventually(lambda: answers(dsn))
        user.kill()


@pytest.mark.exhaustive
async def test_what_was_removed_and_made_anew_is_not_taken_for_the_old(tmp_path: Path) -> None:
    path = tmp_path / "path"
    first = await acquire(path)
    old = server_pid(path)
    supervisor = parent_of(old)
    path.rename(tmp_path / "removed")
    second = await acquire(path)
    new = server_pid(path)
    os.kill(old, signal.SIGKILL)
    await eventually(lambda: not is_alive(supervisor))
    assert server_pid(path) == new
    assert await query(second.dsn, "SELECT 1") == 1
    await first.release()
    await second.release()
    await eventually(lambda: is_stopped(path))


@pytest.mark.skipif(sys.platform != "linux", reason="finds the supervisor in /proc")
@pytest.mark.exhaustive
async def test_an_initdb_that_was_killed_leaves_nothing_in_the_end(tmp_path: Path) -> None:
    with client(tmp_path) as user:
        await eventually(lambda: any(tmp_path.glob("data.*/PG_VERSION")))
        [supervisor] = holders_of(tmp_path / "supervisor.lock")
        os.kill(supervisor, signal.SIGKILL)
        user.kill()
    await eventually(lambda: is_free(tmp_path / "supervisor.lock"))
    server = await acquire(tmp_path)
    assert not list(tmp_path.glob("data.*"))
    await server.release()
    await eventually(lambda: is_stopped(tmp_path))


async def test_a_cancelled_acquire_leaves_nothing_running(path: Path) -> None:
    log = path / "server.log"
    lines = log.read_text().count("starting PostgreSQL") if log.exists() else 0
    attempt = asyncio.create_task(acquire(path))
    await eventually(lambda: log.exists() and log.read_text().count("starting PostgreSQL") > lines)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    await eventually(lambda: is_stopped(path))


async def test_an_acquire_cancelled_at_once_leaves_nothing_running(path: Path) -> None:
    attempt = asyncio.create_task(acquire(path))
    await asyncio.sleep(0)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    await eventually(lambda: is_stopped(path))


async def test_many_first_users_at_once_create_one_database(tmp_path: Path) -> None:
    servers = await asyncio.gather(*(acquire(tmp_path / "new" / "path") for _ in range(5)))
    assert len({server.dsn for server in servers}) == 1
    identity = "SELECT system_identifier FROM pg_control_system()"
    assert len({await query(server.dsn, identity) for server in servers}) == 1
    assert (tmp_path / "new" / "path").stat().st_mode & 0o777 == 0o700
    for server in servers:
        await server.release()
    await eventually(lambda: is_stopped(tmp_path / "new" / "path"))


@pytest.mark.exhaustive
async def test_a_path_may_be_long_and_strange(tmp_path: Path, temporary_folder: Path) -> None:
    path = tmp_path / ("deep " * 20) / "a,b%20c?d=e&f#g" / "é"
    with client(path) as user:
        dsn = user.dsn
        server = await acquire(path)
        assert server.dsn == dsn
        assert quote(str(temporary_folder), safe="") in dsn
        assert await query(dsn, "SELECT 1") == 1
        await server.release()
        user.kill()
    await eventually(lambda: is_stopped(path))


@pytest.mark.exhaustive
async def test_a_path_may_be_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\xfe")
    server = await acquire(path)
    assert await query(server.dsn, "SELECT 1") == 1
    await server.release()
    await eventually(lambda: is_stopped(path))
    with pytest.raises(EmbeddedPostgresError, match="no_such_setting"):
        await asyncio.to_thread(attach, path, settings={"no_such_setting": "1"})


async def test_settings_for_other_servers_do_not_matter(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "standby")
    monkeypatch.setenv("PGHOST", "nowhere")
    server = await acquire(path)
    assert await query(server.dsn, "SELECT 1") == 1
    await server.release()


async def test_a_throwaway_server_goes_with_its_data_when_its_user_is_killed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "throwaway"
    with client(path, throwaway=True) as user:
        connection = await asyncpg.connect(user.dsn)
        user.kill()
    await eventually(lambda: not path.exists())
    connection.terminate()


async def test_a_server_that_cannot_start_says_why(path: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="no_such_setting"):
        await asyncio.to_thread(attach, path, settings={"no_such_setting": "1"})


async def test_waiting_for_the_start_has_a_limit(path: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="not ready within"):
        await asyncio.to_thread(attach, path, timeout=0.0)


async def test_what_is_not_a_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "precious").touch()
    with pytest.raises(EmbeddedPostgresError, match=str(tmp_path)):
        await acquire(tmp_path)
    assert (tmp_path / "data" / "precious").exists()


async def test_a_path_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedPostgresError, match="file/below"):
        await acquire(tmp_path / "file" / "below")


@pytest.mark.parametrize("path", ["~nobody-of-this-name/path", "a\0b"])
async def test_a_path_that_cannot_be_is_refused(path: str) -> None:
    with pytest.raises(EmbeddedPostgresError, match="cannot run PostgreSQL in"):
        await acquire(Path(path))


def test_the_default_path_follows_the_desktop_standard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data/home")
    assert default_path() == Path("/data/home/journey_async/postgres")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert default_path() == Path.home() / ".local/share/journey_async/postgres"
