"""The samples of a run, as a table, as data, and as a section of docs/performance.md."""

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.benchmarks import svg

NAMES = {
    "journey": "journey_async",
    "journey-uvloop": "journey_async on uvloop",
    "bare": "bare asyncpg",
    "bare-claims": "bare asyncpg with claims",
    "dbos": "DBOS",
    "langgraph": "LangGraph",
    "absurd": "absurd, polling each 5 ms",
    "pgqueuer": "PgQueuer, queue only",
    "procrastinate": "Procrastinate, queue only",
    "PostgreSQL": "PostgreSQL",
}
# measure: (what it says, more is better)
SHARED = {
    "latency": ("latency p50, ms", False),
    "apart": ("latency p50 in three processes, ms", False),
    "throughput": ("basic executions/s", True),
    "single": ("single-node executions/s", True),
    "chain": ("chain of 100, ms", False),
    "fan_out": ("fan-out of 100, ms", False),
}
ALONE = {
    "cold": "latency p50 of an execution that is in no cache, ms",
    "tick": "lateness of a tick, p50, ms",
    "recovery": "kill -9 until another process runs it, p50, s",
    "parked_commits": "10,000 parked waits: transactions/s",
    "parked_cpu": "10,000 parked waits: CPU of the process, %",
    "parked_bytes": "10,000 parked waits: bytes each, the caller's task included",
    "cached_mb": "memory of a process with 10,000 cached executions, MB",
}
BEGIN, END = "<!-- figures of make bench: begin -->", "<!-- figures of make bench: end -->"
Samples = dict[str, list[float]]


@dataclass
class Report:
    """Samples by contestant and measure: one list for each turn."""

    about: dict[str, str]
    turns: dict[str, dict[str, list[list[float]]]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    minutes: float = 0.0

    def add(self, name: str, samples: Mapping[str, Sequence[float]]) -> None:
        """What one turn gave."""
        for measure, values in samples.items():
            self.turns.setdefault(name, {}).setdefault(measure, []).append(list(values))

    # --- figures ------------------------------------------------------------------------------

    def median(self, name: str, measure: str) -> float | None:
        """The median of the turns' medians."""
        turns = self.turns.get(name, {}).get(measure)
        return statistics.median(map(statistics.median, turns)) if turns else None

    def spread(self, name: str, measure: str) -> tuple[float, float]:
        """The lowest and the highest of the turns' medians."""
        medians = [statistics.median(turn) for turn in self.turns[name][measure]]
        return min(medians), max(medians)

    def percentile(self, name: str, measure: str, share: float) -> float | None:
        """Of all samples of all turns."""
        turns = self.turns.get(name, {}).get(measure, [])
        ordered = sorted(value for turn in turns for value in turn)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None

    def ratio(self, name: str, measure: str) -> float | None:
        """How many times better this library is than another contestant."""
        ours, theirs = self.median("journey", measure), self.median(name, measure)
        if not ours or not theirs:
            return None
        return ours / theirs if SHARED[measure][1] else theirs / ours

    # --- output -------------------------------------------------------------------------------

    def table(self) -> str:
        """Everything, in Markdown."""
        titles = [title for title, _ in SHARED.values()]
        lines = [
            f"| | {' | '.join(titles)} |",
            f"|---|{'---|' * len(titles)}",
            *(self._row(name) for name in NAMES if name in self.turns and name != "PostgreSQL"),
            "",
            "In brackets: the lowest and the highest of the rounds' medians; × says how many times "
            "journey_async is better (below 1: worse).",
            "",
        ]
        if (p99 := self.percentile("journey", "latency", 0.99)) is not None:
            lines += ["| journey_async alone | |", "|---|---|"]
            lines.append(f"| latency p99, ms | {_number(p99)} |")
            if (p99 := self.percentile("journey", "apart", 0.99)) is not None:
                lines.append(f"| latency p99 in three processes, ms | {_number(p99)} |")
            for measure, title in ALONE.items():
                if (figure := self.median("journey", measure)) is not None:
                    lines.append(f"| {title} | {_number(figure)}{self._tail(measure)} |")
            lines.append("")
        if pgbench := self.turns.get("PostgreSQL"):
            figures = (
                f"{_number(self.median('PostgreSQL', m) or 0)}/s with {m.partition('_')[2]} clients"
                for m in pgbench
            )
            lines += [f"pgbench, one UPDATE a transaction: {', '.join(figures)}.", ""]
        lines += [f"Left out: {NAMES.get(n, n)} ({why})." for n, why in self.failed.items()]
        described = ", ".join(f"{name} {value}" for name, value in self.about.items())
        return "\n".join([*lines, f"Of one run of {self.minutes:.0f} minutes: {described}."])

    def _row(self, name: str) -> str:
        cells = []
        for measure in SHARED:
            figure = self.median(name, measure)
            if figure is None:
                cells.append("–")
                continue
            low, high = self.spread(name, measure)
            ratio = None if name == "journey" else self.ratio(name, measure)
            against = "" if ratio is None else f" ×{_number(ratio)}"
            cells.append(f"{_number(figure)} ({_number(low)}–{_number(high)}){against}")
        return f"| {NAMES[name]} | {' | '.join(cells)} |"

    def _tail(self, measure: str) -> str:
        p99 = self.percentile("journey", measure, 0.99)
        many = len(self.turns["journey"][measure][0]) > 1
        return f" (p99 {_number(p99)})" if many and p99 is not None else ""

    def data(self) -> dict[str, Any]:
        """Everything but single samples, for programs."""
        return {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "about": self.about,
            "minutes": round(self.minutes, 1),
            "failed": self.failed,
            "figures": {
                name: {
                    measure: {
                        "median": round(self.median(name, measure) or 0, 3),
                        "spread": [round(end, 3) for end in self.spread(name, measure)],
                        "p99": round(self.percentile(name, measure, 0.99) or 0, 3),
                    }
                    for measure in measures
                }
                for name, measures in self.turns.items()
            },
        }

    def write(self, docs: Path) -> None:
        """Put the table between its marks in docs/performance.md, the plots into docs/plots/."""
        page = docs / "performance.md"
        plots = [f"![{title}](plots/{measure}.svg)" for measure, (title, _) in SHARED.items()]
        section = "\n\n".join([BEGIN, self.table(), *plots, END])
        text = page.read_text(encoding="utf-8")
        pattern = f"{re.escape(BEGIN)}.*{re.escape(END)}"
        page.write_text(re.sub(pattern, lambda _: section, text, flags=re.DOTALL), encoding="utf-8")
        (docs / "plots").mkdir(exist_ok=True)
        for measure, (title, _) in SHARED.items():
            bars = {
                NAMES[name]: figure
                for name in NAMES
                if (figure := self.median(name, measure)) is not None
            }
            if bars:
                picture = svg.bars(title, bars, highlighted=NAMES["journey"])
                (docs / "plots" / f"{measure}.svg").write_text(picture, encoding="utf-8")


def _number(figure: float) -> str:
    """Three significant figures."""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
