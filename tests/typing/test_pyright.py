"""pyright understands the types as mypy does, which checks usage.py in `make check`."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

USAGE = Path(__file__).with_name("usage.py")
PROJECT = Path(__file__).parents[2]
FOLDER = Path(sys.executable).parent
PYRIGHT = next(
    (found for name in ("pyright", "basedpyright") if (found := shutil.which(name, path=FOLDER))),
    None,
)

pytestmark = [
    pytest.mark.exhaustive,  # mypy has looked at the same
    pytest.mark.skipif(PYRIGHT is None, reason="no pyright: pip install basedpyright"),
]


def test_pyright_finds_the_expected_errors_and_no_others(tmp_path: Path) -> None:
    assert PYRIGHT is not None
    settings = {
        "include": [str(USAGE)],
        "extraPaths": [str(PROJECT)],
        "typeCheckingMode": "standard",
        "enableTypeIgnoreComments": False,
    }
    project = tmp_path / "pyrightconfig.json"
    project.write_text(json.dumps(settings), encoding="utf-8")
    command = [PYRIGHT, "--outputjson", "--pythonpath", sys.executable, "--project", str(project)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    told = json.loads(ran.stdout)
    assert told["summary"]["filesAnalyzed"] == 1
    lines = USAGE.read_text(encoding="utf-8").splitlines()
    expected = {number for number, line in enumerate(lines) if re.search(r"# type: ignore", line)}
    found = {d["range"]["start"]["line"]: d["message"] for d in told["generalDiagnostics"]}
    assert expected, "nothing is expected"
    assert {n: m for n, m in found.items() if n not in expected} == {}
    assert expected - found.keys() == set()
