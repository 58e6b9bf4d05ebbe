"""What adding files would do to the pool: read with ingest's own readers, alone and beside the others."""

from collections import Counter
from dataclasses import asdict, dataclass

from stepsift import params, verify
from stepsift.core import tables
from stepsift.core.errors import SourceError
from stepsift.core.text import count
from stepsift.ingest.columns import FileColumns, column_lines, column_warnings
from stepsift.ingest.counts import Candidates, Tally, useless_files
from stepsift.ingest.database import Spool
from stepsift.ingest.files.find import SourceFile
from stepsift.ingest.fill import Sample
from stepsift.ingest.gold import alternatives, verdict
from stepsift.sources import scratch
from stepsift.sources.scratch import RulesByName

SAMPLE_TRACES = 64
"""Traces whose answers are verified: enough to see a wrong layout or answer field, and a matter of seconds."""


@dataclass(frozen=True)
class Alone:
    """Files read by themselves. `licences` and `teachers` count kept traces; a licence is None where the row has
    none."""

    prompts: frozenset[str]
    """Ids."""
    teachers: dict[str, int]
    licences: dict[str | None, int]
    verdicts: dict[str, int]
    """Of at most SAMPLE_TRACES traces, those with the smallest ids."""


@dataclass(frozen=True)
class Effect:
    """New files as a part of the pool."""

    alone: Alone
    tally: Tally
    """Their rows, after what contradicts or repeats rows of the pool was rejected."""
    first_rejected: dict[str, tuple[str, int, str]]
    """Reason to (file, row, detail) of the first row rejected for it."""
    new_prompts: int
    before: Candidates
    after: Candidates
    lost: dict[str, int]
    """Another file to how many of its traces ingest would no longer keep."""
    columns: dict[str, FileColumns]
    """New file to which of its columns is read as what."""

    def lines(self) -> list[str]:
        """What a person wants to know before files are added."""
        tally, alone, after = self.tally, self.alone, self.after
        rows = f"{tally.read:,} read, {tally.kept:,} kept, {tally.rejected:,} rejected"
        lines = [*column_lines(self.columns), f"rows        {rows}"]
        for reason, (file, row, detail) in self.first_rejected.items():
            lines.append(f"            {reason} {tally.reasons[reason]:,}; first {file}:{row}: {detail}")
        lines += [
            f"teachers    {_counts(alone.teachers)}",
            f"licences    {_counts({name or tables.UNKNOWN_LICENCE: n for name, n in alone.licences.items()})}",
            f"prompts     {len(alone.prompts):,}, {self.new_prompts:,} of them new to the pool",
            f"candidates  {after.min} to {after.max} per prompt with it, median {after.median:g}"
            + (
                f" (before: {self.before.min} to {self.before.max}, median {self.before.median:g})"
                if self.before.max
                else ""
            ),
            f"verdicts    of {count(sum(alone.verdicts.values()), 'sampled trace')}: {_counts(alone.verdicts)}",
        ]
        lines += [f"warning     {sentence}" for sentence in column_warnings(self.columns)]
        lines += [
            f"            {name} loses {count(n, 'trace')}, contradicted or repeated by new rows"
            for name, n in self.lost.items()
        ]
        return lines

    def as_json(self) -> dict[str, object]:
        """The same for programs; prompts as their number."""
        return {
            "rows": asdict(self.tally),
            "first_rejected": self.first_rejected,
            "teachers": self.alone.teachers,
            "licences": {name or tables.UNKNOWN_LICENCE: n for name, n in self.alone.licences.items()},
            "prompts": len(self.alone.prompts),
            "new_prompts": self.new_prompts,
            "candidates": {"before": asdict(self.before), "after": asdict(self.after)},
            "sampled_verdicts": self.alone.verdicts,
            "lost": self.lost,
            "columns": {name: columns.as_dict() for name, columns in self.columns.items()},
        }


def read_alone(files: list[SourceFile], rules: RulesByName, settings: params.Ingest) -> Alone:
    """Read files under the names that they will have; raise SourceError where no row of one can be used."""
    sample = Sample(SAMPLE_TRACES)
    with scratch.read(files, rules, settings, sample) as (spool, pool):
        problems = [*useless_files(spool, pool), *pool.unmapped]
        if problems:
            raise SourceError("\n".join(problems))
        return Alone(
            prompts=_prompt_ids(spool),
            teachers={name: tally.kept for name, tally in pool.by_teacher.items() if tally.kept},
            licences=_licences(spool),
            verdicts=_verdicts(sample, settings),
        )


@dataclass(frozen=True)
class PoolBeside:
    """What lies in the sources folder already: files and what their rule files say."""

    files: list[SourceFile]
    rules: RulesByName


def read_in_pool(
    files: list[SourceFile], alone: Alone, pool: PoolBeside, rules: RulesByName, settings: params.Ingest
) -> Effect:
    """Read new files beside the pool, which is read twice: without them and with them. `rules` are the new files'."""
    kept: dict[str, int] = {}
    prompts: frozenset[str] = frozenset()
    before = Candidates()
    if pool.files:
        with scratch.read(pool.files, pool.rules, settings) as (spool, counts):
            kept = {name: tally.kept for name, tally in counts.by_file.items()}
            prompts, before = _prompt_ids(spool), counts.candidates
    with scratch.read([*pool.files, *files], {**pool.rules, **rules}, settings) as (spool, counts):
        tally = Tally()
        first: dict[str, tuple[str, int, str]] = {}
        for file in files:
            # A rule may leave a file out.
            if file.name not in counts.by_file:
                continue
            of_file = counts.by_file[file.name]
            tally.read += of_file.read
            tally.kept += of_file.kept
            tally.rejected += of_file.rejected
            for reason, n in of_file.reasons.items():
                tally.reasons[reason] = tally.reasons.get(reason, 0) + n
                if reason not in first:
                    first[reason] = (file.name, *spool.first_rejected(file.name, reason))
        return Effect(
            alone=alone,
            tally=tally,
            first_rejected=dict(sorted(first.items())),
            new_prompts=len(alone.prompts - prompts),
            before=before,
            after=counts.candidates,
            columns={file.name: counts.columns[file.name] for file in files if file.name in counts.columns},
            lost={name: n - counts.by_file[name].kept for name, n in kept.items() if n > counts.by_file[name].kept},
        )


def _prompt_ids(spool: Spool) -> frozenset[str]:
    return frozenset(row[0] for row in spool.golds())


def _licences(spool: Spool) -> dict[str | None, int]:
    licences: Counter[str | None] = Counter()
    for _, licence, n in spool.licences():
        licences[licence] += n
    return dict(licences)


def _verdicts(sample: Sample, settings: params.Ingest) -> dict[str, int]:
    """Verdicts on texts alone: programs are left to ingest, which runs them."""
    verdicts: Counter[str] = Counter()
    with verify.Verifier(settings.verify_timeout_s) as verifier:
        for c in sample.candidates():
            kind = verifier.kind_of(alternatives(c.answer or "")[0]) if c.answer_kind == "auto" else c.answer_kind
            verdicts[verdict(verifier, kind, c.response, c.answer)] += 1
    return {name: verdicts[name] for name in tables.VERDICTS if verdicts[name]}


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items())
