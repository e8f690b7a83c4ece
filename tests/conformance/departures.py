"""Where we differ on purpose: `departures.toml`, scenario by scenario, step by step."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("departures.toml")
GRAPHS = "graphs"


@dataclass(frozen=True)
class Departures:
    """Reasons by scenario and step: the number of the step, or `graphs.REF`."""

    reasons: dict[str, dict[str, str]]

    def of(self, scenario: str) -> dict[str, str]:
        return self.reasons.get(scenario, {})


def load(path: Path = FILE) -> Departures:
    """Read the file: a table a scenario, `steps = [4, 7]` or `graphs = ["ref"]` with a `reason`."""
    reasons: dict[str, dict[str, str]] = {}
    for scenario, entries in tomllib.loads(path.read_text(encoding="utf-8")).items():
        for entry in entries:
            places = [*map(str, entry.get("steps", [])), *_graphs(entry)]
            for place in places:
                reasons.setdefault(scenario, {})[place] = entry["reason"]
    return Departures(reasons)


def _graphs(entry: dict[str, list[str]]) -> list[str]:
    return [f"{GRAPHS}.{ref}" for ref in entry.get(GRAPHS, [])]
