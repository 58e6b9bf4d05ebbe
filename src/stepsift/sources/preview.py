"""`stepsift preview`: what would be read of a file or folder, three rows of it, and the rule that would mend it."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from stepsift import params, verify
from stepsift.core.text import count, one_line
from stepsift.ingest import thinking
from stepsift.ingest.candidate import Candidate
from stepsift.ingest.columns import column_lines, column_warnings
from stepsift.ingest.gold import alternatives, verdict
from stepsift.ingest.rows import UNREADABLE
from stepsift.sources.mend import doubtful_answers, propose, why_none
from stepsift.sources.origin import Origin
from stepsift.sources.part import Part, part_of, rules_of
from stepsift.sources.place import rule_file_of
from stepsift.sources.reading import FIRST_ROWS, Reading, first_rows, read_first
from stepsift.sources.rules import as_keys, as_yaml, over
from stepsift.verify.gold import short_gold

_SHOWN_CHARS = 200
_NO_RULE = (
    "no column looks like a prompt, or none like a response, and a trace needs both: name them in a rule "
    "(docs/OWN_TRACES.md has all names), or join the file with the one that holds what lacks"
)
_UNREADABLE = "no row can be read, so no rule helps: mend the file, or write or copy it anew"


@dataclass(frozen=True)
class Example:
    """A row as it would stand in the tables; None where it has no such thing."""

    source: str
    row: int
    teacher: str
    prompt: str
    """Of several turns, the last."""
    thinking: str | None
    answer: str
    gold: str | None
    """What a response is compared with: of a whole solution its answer."""
    verdict: str

    def lines(self, how: str = "") -> list[str]:
        """In short, with everything hidden made visible; `how` says how it was read, where not as the file lies."""
        shown = {k: getattr(self, k) for k in ("prompt", "thinking", "answer", "gold", "verdict")}
        lines = [f"row         {self.source}:{self.row} by {one_line(self.teacher, 80)}{how}"]
        return [
            *lines,
            *(f"  {k:10}{one_line(v, _SHOWN_CHARS) if v is not None else '(none)'}" for k, v in shown.items()),
        ]


@dataclass(frozen=True)
class Preview:
    """What would be read of a file or folder."""

    part: Part
    beside: Path
    """Where its rule file would lie."""
    reading: Reading
    examples: list[Example]
    """Read with the rule that would mend the file, where there is one."""
    mended: tuple[params.Rule, Reading] | None
    """That rule, and what would be read with it."""
    why_none: str | None
    """Why there is none, where the columns tell."""
    doubtful: list[str]
    """Columns with short answers of which no name says whose they are, where no gold answer is read."""

    def lines(self) -> list[str]:
        """All of it, to read."""
        reading = self.reading
        of = f" (of the first {FIRST_ROWS:,} rows per file)" if reading.cut else ""
        lines = [f"left out    {', '.join(self.part.left_out)}"] if self.part.left_out else []
        if reading.layouts:
            lines.append(f"layout      {', '.join(reading.layouts)}")
        lines += [*column_lines(reading.columns), f"rows        {reading.read:,} read, {reading.kept:,} kept{of}"]
        for reason, n in reading.rejected.most_common():
            file, row, detail = reading.first[reason]
            lines.append(f"            {reason} {n:,}; first {file}:{row}: {detail}")
        lines.append(f"teachers    {_counts(reading.teachers)}")
        warnings = [*column_warnings(reading.columns), *reading.markup.warnings()]
        if self.doubtful:
            warnings.append(
                f"{', '.join(self.doubtful)} may be gold answers, or what the model answered, against which all would "
                "be right: map fields.answer to it by hand if it is the former"
            )
        lines += [f"warning     {sentence}" for sentence in warnings]
        how = ", with the rule below" if self.mended else ""
        lines += [line for example in self.examples for line in example.lines(how)]
        if self.mended is not None:
            rule, after = self.mended
            teachers = f", by {_counts(after.teachers)}" if after.teachers else ""
            gold = f", {after.with_gold:,} with a gold answer" if after.with_gold > reading.with_gold else ""
            kept = f"{after.kept:,} of {after.read:,} are kept{teachers}{gold}"
            lines.append(f"mend        with this in {self.beside}, {kept}:")
            lines += ["", *as_yaml(rule).splitlines()]
        elif reading.read and not reading.kept:
            lines.append(f"mend        {_no_rule(reading, self.why_none)}")
        return lines

    def as_json(self) -> dict[str, object]:
        """The same for programs."""
        reading = self.reading
        return {
            "files": [file.name for file in self.part.files],
            "left_out": self.part.left_out,
            "layouts": dict(reading.layouts),
            "columns": {name: columns.as_dict() for name, columns in reading.columns.items()},
            "rows": {"read": reading.read, "kept": reading.kept, "rejected": dict(reading.rejected)},
            "first_rejected": reading.first,
            "teachers": dict(reading.teachers),
            "examples": [asdict(example) for example in self.examples],
            "mend": None if self.mended is None else {"file": self.beside, "rule": as_keys(self.mended[0])},
        }


def preview_of(origin: Origin, sources: Path, settings: params.Ingest) -> Preview:
    """Read the first rows of a file or folder; raises SourceError and ParamsError where that cannot be done."""
    part = part_of(origin, sources, one=True)
    rule = over(part.rule, origin.about)

    def read(tried: params.Rule) -> Reading:
        return read_first(part.files, rules_of(part, sources, tried), settings)

    reading = read(rule)
    rows = first_rows(part.files, settings)
    mended = propose(rows, rule, reading, read)
    best = reading if mended is None else mended[1]
    beside = rule_file_of(part.target if origin.path.resolve() == part.target.resolve() else origin.path)
    return Preview(
        part,
        beside,
        reading,
        examples=_examples(best, settings),
        mended=mended,
        why_none=why_none(rows),
        doubtful=doubtful_answers(rows, best) if best.kept and not best.with_gold else [],
    )


def _examples(reading: Reading, settings: params.Ingest) -> list[Example]:
    shown = reading.shown()
    with verify.Verifier(settings.verify_timeout_s) as verifier:
        return [_example(file, row, candidate, verifier) for file, row, candidate in shown]


def _example(file: str, row: int, candidate: Candidate, verifier: verify.Verifier) -> Example:
    parts = thinking.take_apart(candidate.response)
    kind = candidate.answer_kind
    if kind == "auto":
        kind = verifier.kind_of(alternatives(candidate.answer or "")[0])
    # Programs are left to ingest, which runs them.
    judged = candidate.tests is None and kind != "code"
    return Example(
        source=file,
        row=row,
        teacher=candidate.teacher,
        prompt=json.loads(candidate.prompt)[-1]["content"],
        thinking=parts.reasoning or None,
        answer=parts.answer if parts.finished else "(none: the reasoning never ends)",
        gold=None if candidate.answer is None else " or ".join(map(short_gold, alternatives(candidate.answer))),
        verdict=verdict(verifier, kind, candidate.response, candidate.answer) if judged else "unchecked",
    )


def _no_rule(reading: Reading, why: str | None) -> str:
    """Why no rule is proposed for rows of which none is kept."""
    if set(reading.rejected) == {"filtered"}:
        return "none is proposed: the rule's where leaves out all of these rows"
    if reading.rejected.keys() <= UNREADABLE:
        return _UNREADABLE
    if why is not None:
        return why
    if reading.rejected["unknown_layout"] + reading.rejected["missing_field"] == 0:
        return "no rule that was tried reads these rows; what is wrong with them stands above"
    return _NO_RULE


def _counts(teachers: Counter[str]) -> str:
    names = [f"{one_line(name, 60)} {n:,}" for name, n in teachers.most_common(8)]
    more = len(teachers) - len(names)
    return ", ".join(names) + (f" and {count(more, 'more teacher')}" if more > 0 else "") or "none"
