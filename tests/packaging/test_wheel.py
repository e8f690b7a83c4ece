import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from journey_async.store.sql import statement

CHECKOUT = Path(__file__).parents[2]
SQL = {
    path.relative_to(CHECKOUT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted((CHECKOUT / "sql").rglob("*.sql"))
}

# Runs in a fresh interpreter that sees the wheel's content before the checkout. Arguments: where
# that content is, then the names of the statements. Prints what was loaded.
LOAD = """
import json
import sys
from pathlib import Path

import journey_async
from journey_async.store.sql import statement

content, *names = sys.argv[1:]
assert Path(journey_async.__file__).is_relative_to(content), journey_async.__file__
json.dump({name: statement(name) for name in names}, sys.stdout)
"""


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel made as an installer makes it: from the sdist. Needs no network."""
    folder = tmp_path_factory.mktemp("wheel")
    run("-m", "build", "--no-isolation", "--outdir", folder, cwd=CHECKOUT)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_sql_file_and_the_marker_of_types(wheel: Path) -> None:
    assert SQL
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        packed = {
            name.removeprefix("journey_async/"): archive.read(name).decode()
            for name in names
            if name.startswith("journey_async/sql/")
        }
    assert packed == SQL
    assert "journey_async/py.typed" in names
    assert [name for name in names if not name.startswith(("journey_async", "journey-async"))] == []


def test_every_statement_loads_where_there_is_no_checkout(wheel: Path, tmp_path: Path) -> None:
    content, elsewhere = tmp_path / "content", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(content)
    names = [Path(name).stem for name in SQL if name.startswith("sql/queries/")]
    assert names
    loaded = run("-c", LOAD, content, *names, cwd=elsewhere, PYTHONPATH=str(content))
    assert json.loads(loaded) == {name: statement(name) for name in names}
