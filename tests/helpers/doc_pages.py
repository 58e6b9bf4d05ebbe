"""The commands of README.md and docs/: what a page's `sh` blocks say, and whether this machine's tests run them.

The words after `sh` on the line that opens a block: nothing, then the block is run, in the order of the page; `tested:
FILE`, then another test runs it; `elsewhere: REASON`, then nothing here can.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    "README.md",
    *sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "docs").rglob("*.md") if p.name != "LOG.md"),
    *sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "recipes").glob("*/README.md")),
]
"""The log tells what was; its commands are history."""


@dataclass(frozen=True)
class Block:
    """A block of commands: its page and line, what is said of it, and its text."""

    page: str
    line: int
    said: str
    text: str

    @property
    def is_run(self) -> bool:
        """Whether the block itself is run."""
        return not self.said

    def commands(self) -> list[str]:
        """Its lines without comments, continued ones joined, without what a here-document holds."""
        text = re.sub(r"<<'?(\w+)'?.*?\n.*?\n\1\n", "\n", self.text + "\n", flags=re.S)
        lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in text.replace("\\\n", " ").splitlines()]
        return [part.strip() for line in lines for part in re.split(r"&&|;|\|", line) if part.strip()]


def blocks(page: str) -> list[Block]:
    """The `sh` blocks of a page, in its order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, m.start()) + 1, m[1].strip(), m[2])
        for m in re.finditer(r"^```sh(.*?)\n(.*?)^```$", text, flags=re.M | re.S)
    ]


def inline(page: str) -> list[str]:
    """What stands between single backticks, outside of blocks, on one line."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.M | re.S)
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
