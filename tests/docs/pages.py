"""The README and the pages of docs/, and the fenced blocks in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").rglob("*.md"))

FENCE = re.compile(r"^(?P<fence>`{3,})(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=fence) *$", re.M | re.S)
RUN = {"python", "sql", "console", "console eventually", "console server"}


@dataclass(frozen=True)
class Block:
    """A fenced block, with the line on which its text begins, and what it is said to print."""

    info: str
    text: str
    line: int
    prints: str | None

    @property
    def language(self) -> str:
        return self.info.partition(" ")[0]

    @property
    def is_run(self) -> bool:
        return self.info in RUN

    @property
    def file(self) -> str | None:
        """The name of the file that the reader is to make of it."""
        return self.info.partition(" file: ")[2] or None

    @property
    def commands(self) -> list[tuple[str, str]]:
        """The commands of a console, each with what it is said to print."""
        found = re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", self.text, re.M)
        return [(command, output) for command, output in found]


def blocks_of(page: Path) -> Iterator[Block]:
    content = page.read_text(encoding="utf-8")
    found = list(FENCE.finditer(content))
    for match, following in zip_longest(found, found[1:]):
        said = following is not None and following["info"].strip() == "text"
        yield Block(
            info=match["info"].strip(),
            text=match["text"],
            line=content.count("\n", 0, match.start("text")),
            prints=following["text"] if said and following else None,
        )


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))
