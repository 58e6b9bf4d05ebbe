"""Prompts of a file that may not be what was asked: all the same, without a part of the question, or in a template."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from stepsift.core.text import one_line
from stepsift.ingest.identity import folded
from stepsift.ingest.layouts import chat
from stepsift.ingest.record import Record
from stepsift.ingest.row import GUESSES, Row

_PARTS = (*GUESSES["prompt"], "options", "choices", "context", "passage", "background", "starter_code")
"""Columns that hold a question, or a part of one."""
_TEMPLATE = re.compile(
    r"\A\s*(?P<first><[|｜][^<>|｜\s]{1,40}[|｜]>|<start_of_turn>|<bos>|<s>|\[INST\])|(?P<last><think>)\s*\Z"
)
"""Tokens that chat templates begin with, and the one with which they open the reasoning."""
_FEWEST_ROWS = 5
"""Of which all may have the same prompt by chance."""
_MOST = 0.5
_SHOWN_CHARS = 60


@dataclass
class PromptDoubts:
    """What is seen of the prompts of a file, row by row."""

    rows: int = 0
    first: tuple[str, ...] = ()
    """What the first row's turns say."""
    differs: bool = False
    """Whether another row has another prompt."""
    templated: Counter[str] = field(default_factory=Counter)
    """How prompts begin or end with a token of a template, in words, to the rows whose prompts do so."""
    lacking: Counter[str] = field(default_factory=Counter)
    """Column to the rows whose prompts do not say what it says, and that nobody reads."""
    column: str = ""
    """That of the prompt."""

    def note(self, row: Row, record: Record) -> None:
        """Look at the prompt of a row."""
        turns = tuple(turn["content"] for turn in record.prompt if turn["role"] != "system")
        self.rows += 1
        self.first = self.first or turns
        self.differs = self.differs or turns != self.first
        if token := _TEMPLATE.search(turns[-1]):
            self.templated[f"begin with {token['first']}" if token["first"] else f"end with {token['last']}"] += 1
        self.column = row.used.get("prompt", "")
        if row.rule.prompt_template or self.column.lower() in chat.NAMES:
            return
        for name, value in row.data.items():
            if name.lower() in _PARTS and name not in row.read and _lacks(turns, value):
                self.lacking[name] += 1

    def sentences(self) -> Iterator[str]:
        """What its user should look at, without the file's name: shards say the same."""
        for words, n in self.templated.items():
            if n > _MOST * self.rows:
                yield (
                    f"{'all' if n == self.rows else 'most'} prompts {words}, a token of a chat template: a "
                    "student's own template is put around them once more, and the same question of another set is "
                    "another prompt; give the question as plain text or as turns"
                )
        lacking = sorted(name for name, n in self.lacking.items() if n > _MOST * self.rows)
        if lacking:
            # A line of a template whose column some rows lack is left out for them.
            parts = (f"{{{name}{'?' * (self.lacking[name] < self.rows)}}}" for name in lacking)
            example = "\\n".join([*(f"{{{name}}}" for name in self.column.split(" and ")), *parts])
            yield (
                f"prompts do not say what {', '.join(lacking)} {'says' if len(lacking) == 1 else 'say'}; "
                f"if it belongs to the question, put 'prompt_template: \"{example}\"' into the file's rule"
            )
        elif self.rows >= _FEWEST_ROWS and not self.differs:
            yield (
                f"all rows have the same prompt ('{one_line(self.first[-1], _SHOWN_CHARS)}'); if "
                "the question stands in another column, map fields.prompt to it or write a prompt_template"
            )


def _lacks(turns: tuple[str, ...], value: Any) -> bool:
    """Whether a prompt says less than half of the texts of a value."""
    texts = [folded(text) for text in _texts(value) if text.strip()]
    said = folded("\n".join(turns))
    return 2 * sum(text not in said for text in texts) > len(texts)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
