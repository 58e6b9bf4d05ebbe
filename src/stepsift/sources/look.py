"""What ingest would make of one more file: read with its own readers, alone and beside the pool, nothing written."""

import contextlib
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from stepsift import params, verify
from stepsift.core import tables
from stepsift.core.errors import SourceError
from stepsift.ingest.counts import Candidates, Pool, Tally, pool_of, useless_files
from stepsift.ingest.database import Spool
from stepsift.ingest.files import find as files
from stepsift.ingest.fill import Sample, fill

SAMPLE_TRACES = 64
"""Traces whose answers are verified: enough to see a wrong layout or answer field, and a matter of seconds."""


@dataclass(frozen=True)
class Alone:
    """A file read by itself. `licences` and `teachers` count kept traces; a licence is None where the row has none."""

    prompts: frozenset[str]
    """Ids."""
    teachers: dict[str, int]
    licences: dict[str | None, int]
    verdicts: dict[str, int]
    """Of at most SAMPLE_TRACES traces, those with the smallest ids."""


@dataclass(frozen=True)
class Look:
    """A file as a part of the pool."""

    alone: Alone
    tally: Tally
    """Its rows, after what contradicts or repeats other files' rows was rejected."""
    first_rejected: dict[str, tuple[int, str]]
    """Reason to (row, detail) of the first row rejected for it."""
    new_prompts: int
    before: Candidates
    after: Candidates
    lost: dict[str, int]
    """Other file to how many of its traces ingest would no longer keep."""

    def lines(self) -> list[str]:
        """What a person wants to know before the file is added."""
        tally, alone, after = self.tally, self.alone, self.after
        lines = [f"rows        {tally.read} read, {tally.kept} kept, {tally.rejected} rejected"]
        for reason, (row, detail) in self.first_rejected.items():
            lines.append(f"            {reason} {tally.reasons[reason]}; first row {row}: {detail}")
        lines += [
            f"teachers    {_counts(alone.teachers)}",
            f"licences    {_counts({name or tables.UNKNOWN_LICENCE: n for name, n in alone.licences.items()})}",
            f"prompts     {len(alone.prompts)}, {self.new_prompts} of them new to the pool",
            f"candidates  {after.min} to {after.max} a prompt with this file, median {after.median:g}"
            + (
                f" (before: {self.before.min} to {self.before.max}, median {self.before.median:g})"
                if self.before.max
                else ""
            ),
            f"verdicts    of {sum(alone.verdicts.values())} sampled traces: {_counts(alone.verdicts)}",
        ]
        lines += [
            f"            {name} loses {n} traces, which contradict or repeat rows of this file"
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
        }


def read_alone(file: files.SourceFile, settings: params.Ingest) -> Alone:
    """Read a file under the name that it will have; raise SourceError where no row can be used."""
    sample = Sample(SAMPLE_TRACES)
    with _read([file], settings, sample) as (spool, pool):
        problems = useless_files(spool, pool)
        if problems:
            raise SourceError("\n".join(problems))
        return Alone(
            prompts=_prompt_ids(spool),
            teachers={name: tally.kept for name, tally in pool.by_teacher.items() if tally.kept},
            licences={licence: count for _, licence, count in spool.licences()},
            verdicts=_verdicts(sample, settings),
        )


def read_in_pool(file: files.SourceFile, alone: Alone, others: list[files.SourceFile], settings: params.Ingest) -> Look:
    """Read a file beside all `others` of the pool, which are read twice: without it and with it."""
    kept: dict[str, int] = {}
    known: frozenset[str] = frozenset()
    before = Candidates()
    if others:
        with _read(others, settings) as (spool, pool):
            kept = {name: tally.kept for name, tally in pool.by_file.items()}
            known, before = _prompt_ids(spool), pool.candidates
    with _read([*others, file], settings) as (spool, pool):
        tally = pool.by_file[file.name]
        return Look(
            alone=alone,
            tally=tally,
            first_rejected={reason: spool.first_rejected(file.name, reason) for reason in tally.reasons},
            new_prompts=len(alone.prompts - known),
            before=before,
            after=pool.candidates,
            lost={name: n - pool.by_file[name].kept for name, n in kept.items() if n > pool.by_file[name].kept},
        )


@contextlib.contextmanager
def _read(
    found: list[files.SourceFile], settings: params.Ingest, sample: Sample | None = None
) -> Iterator[tuple[Spool, Pool]]:
    """A spool of these files under their names, and its counts."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for file in found:
            link = folder / file.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.path.resolve())
        with Spool(folder, bodies=False) as spool:
            read = fill(spool, folder, settings, sample)
            spool.resolve(settings.duplicates)
            yield spool, pool_of(spool, read)


def _prompt_ids(spool: Spool) -> frozenset[str]:
    return frozenset(row[0] for row in spool.golds())


def _verdicts(sample: Sample, settings: params.Ingest) -> dict[str, int]:
    """Verdicts on texts alone: programs are left to ingest, which runs them."""
    verdicts: Counter[str] = Counter()
    with verify.Verifier(settings.verify_timeout_s) as verifier:
        for c in sample.candidates():
            kind = verify.kind_of(c.answer or "") if c.answer_kind == "auto" else c.answer_kind
            verdicts[verifier.verdict(kind, c.response, c.answer)] += 1
    return {name: verdicts[name] for name in tables.VERDICTS if verdicts[name]}


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.items())
