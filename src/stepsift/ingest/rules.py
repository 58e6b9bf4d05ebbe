"""The rule of each source file: its own rule file, those of its folders, and the patterns of params.yaml.

A rule file lies beside what it speaks of, as DVC's `.dvc` file does: `r1.jsonl.rule.yaml` beside `r1.jsonl`,
`openr1.rule.yaml` beside the folder `openr1`. A key that the nearest one leaves out is taken from the next: file,
folder, the folder's folder, the first pattern of `ingest.files` that matches, and `ingest.layout` and `ingest.fields`
where none does.
"""

import functools
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from stepsift import params
from stepsift.core.errors import ParamsError, SourceError
from stepsift.ingest.files.find import RULE_SUFFIX, rule_files


class Rules:
    """The rules of all files below a sources folder, and which of them were used."""

    def __init__(self, sources: Path, settings: params.Ingest):
        """Read all rule files; raise SourceError with one sentence for each problem, which names file and key."""
        self._sources = sources
        self._settings = settings
        self._own: dict[str, params.Rule] = {}
        problems = []
        for name, path in rule_files(sources).items():
            try:
                self._own[name] = params.load_rule(path)
            except ParamsError as e:
                problems += e.problems
        if problems:
            raise SourceError("\n".join(problems))
        self._used: set[int | str] = set()

    def of(self, name: str) -> params.Rule:
        """The rule of a file, by its path below the sources folder.

        Raises SourceError where a pattern is no glob, or where keys of its rules do not go together.
        """
        settings = self._settings
        raw: dict[str, object] = {"layout": settings.layout, "fields": settings.fields}
        for number, rule in enumerate(settings.files):
            if matches(name, rule.match):
                self._used.add(number)
                raw = _keys(rule)
                raw.pop("match")
                break
        nearest = ""
        for place in reversed((name, *(str(p) for p in PurePosixPath(name).parents))):
            if place in self._own:
                nearest = place
                self._used.add(place)
                raw |= _keys(self._own[place])
        try:
            return params.rule(raw, str(self._sources / f"{nearest}{RULE_SUFFIX}") if nearest else "ingest.files")
        except ParamsError as e:
            raise SourceError("\n".join(e.problems)) from None

    def origin(self, name: str) -> str:
        """What says how a file is read, in words: its nearest rule."""
        for place in (name, *(str(p) for p in PurePosixPath(name).parents)):
            if place in self._own:
                return f"the rule file {self._sources / place}{RULE_SUFFIX}"
        for number, rule in enumerate(self._settings.files):
            if matches(name, rule.match):
                return f"rule {number + 1} of ingest.files (match: {rule.match})"
        return "ingest.fields"

    def unused(self) -> list[str]:
        """Patterns, and names of rule files, that were the rule of no file so far."""
        patterns = [rule.match for number, rule in enumerate(self._settings.files) if number not in self._used]
        return patterns + [f"{name}{RULE_SUFFIX}" for name in self._own if name not in self._used]


def _keys(rule: params.Rule) -> dict[str, object]:
    """What a rule says, without defaults."""
    return rule.model_dump(exclude_unset=True)


def matches(name: str, pattern: str) -> bool:
    """Whether a path fits a glob: `*` and `?` stay within a folder, `**` does not, `**/` may be nothing.

    Raises SourceError where the pattern is no glob.
    """
    # All places in the name that the pattern's parts so far may end at: a regular expression would try every way in
    # which several stars share a name, one by one.
    ends = {0}
    for part in re.findall(r"\*\*/|\*\*|\*|\?|\[[^\]]+\]|.", pattern, re.DOTALL):
        first = min(ends, default=len(name) + 1)
        if part == "**/":
            ends |= {i + 1 for i in range(first, len(name)) if name[i] == "/"}
        elif part == "**":
            ends = set(range(first, len(name) + 1))
        elif part == "*":
            ends = set(_within_folders(name, ends))
        else:
            one = _one_character(part, pattern)
            ends = {i + 1 for i in ends if i < len(name) and one.fullmatch(name[i])}
    return len(name) in ends


def _within_folders(name: str, ends: set[int]) -> Iterator[int]:
    """The places that can be reached from these without passing a slash."""
    reached = False
    for i in range(len(name) + 1):
        reached = i in ends or (reached and name[i - 1] != "/")
        if reached:
            yield i


@functools.cache
def _one_character(part: str, pattern: str) -> re.Pattern[str]:
    """What a part of a glob that stands for one character fits; raises SourceError where it is none."""
    escaped = "[^/]" if part == "?" else part.replace("[!", "[^") if len(part) > 1 else re.escape(part)
    try:
        return re.compile(escaped, re.DOTALL)
    except re.error as e:
        raise SourceError(f"the rule '{pattern}' of ingest.files is no pattern for paths: {e.msg}") from None
