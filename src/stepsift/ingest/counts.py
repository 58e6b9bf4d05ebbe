"""The sources after everything that is rejected, in numbers: by file, by teacher, and candidates per prompt."""

from dataclasses import dataclass, field

from stepsift.ingest.columns import FileColumns
from stepsift.ingest.database import Spool
from stepsift.ingest.fill import UNKNOWN, ReadCounts
from stepsift.ingest.rows import UNREADABLE


@dataclass
class Tally:
    """read = kept + rejected, of a file, a teacher or everything."""

    read: int = 0
    kept: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    """Rejected, by reason."""


@dataclass
class Candidates:
    """How many candidates prompts have."""

    min: int = 0
    median: float = 0
    max: int = 0
    histogram: dict[int, int] = field(default_factory=dict)
    """Number of candidates to number of prompts."""


@dataclass
class PoolCounts:
    """What the sources hold, by file and by teacher, after everything that is rejected."""

    total: Tally
    by_file: dict[str, Tally]
    by_teacher: dict[str, Tally]
    prompts: int
    candidates: Candidates
    response_chars: int
    """Characters of all kept responses."""
    ignored_files: list[str]
    left_out_files: list[str]
    columns: dict[str, FileColumns]
    unmapped: list[str]
    torn_ids: int
    unused_rules: list[str]


def pool_of(spool: Spool, read: ReadCounts) -> PoolCounts:
    """Count a resolved spool; what was read is compared with what it holds."""
    total = Tally()
    by_file = {name: Tally() for name in sorted(read.by_file)}
    by_teacher = {name: Tally() for name in sorted(read.by_teacher)}
    chars = 0
    for source, teacher, reason, count, n_chars in spool.tally():
        chars += n_chars
        for tally in (total, by_file[source], by_teacher[teacher or UNKNOWN]):
            tally.read += count
            tally.kept += count if reason is None else 0
            if reason is not None:
                tally.rejected += count
                tally.reasons[reason] = tally.reasons.get(reason, 0) + count
    for tally in (total, *by_file.values(), *by_teacher.values()):
        tally.reasons = dict(sorted(tally.reasons.items()))
    require({f: t.read for f, t in by_file.items()} == dict(read.by_file), "rows read and stored, by file")
    require({t: n.read for t, n in by_teacher.items()} == dict(read.by_teacher), "rows read and stored, by teacher")
    histogram = dict(spool.candidates())
    return PoolCounts(
        total=total,
        by_file=by_file,
        by_teacher=by_teacher,
        prompts=sum(histogram.values()),
        candidates=_candidates(histogram),
        response_chars=chars,
        ignored_files=read.ignored_files,
        left_out_files=read.left_out_files,
        columns=read.columns,
        unmapped=read.unmapped,
        torn_ids=spool.torn_ids,
        unused_rules=read.unused_rules,
    )


def _candidates(histogram: dict[int, int]) -> Candidates:
    if not histogram:
        return Candidates()
    count = sum(histogram.values())

    def at(place: int) -> int:
        for size, prompts in histogram.items():
            place -= prompts
            if place < 0:
                return size
        return max(histogram)

    median = (at((count - 1) // 2) + at(count // 2)) / 2
    return Candidates(min(histogram), median, max(histogram), histogram)


def useless_files(spool: Spool, pool: PoolCounts) -> list[str]:
    """A sentence for each file that gave no trace, but for those whose traces stand in other files or are filtered."""
    sentences = []
    for name, tally in pool.by_file.items():
        if tally.kept:
            continue
        if not tally.read:
            sentences.append(f"source file {name} holds no row; take it away or fill it")
            continue
        # Sets hold the same traces in two forms, and parts that a rule leaves out row by row.
        if set(tally.reasons) <= {"duplicate_trace", "filtered"} and pool.total.kept:
            continue
        reason = max(sorted(tally.reasons), key=lambda r: tally.reasons[r])
        line, detail = spool.first_rejected(name, reason)
        rejected = (
            f"its only row was rejected as {reason}"
            if tally.read == 1
            else f"every one of its {tally.read:,} rows was rejected, {tally.reasons[reason]:,} of them as {reason}"
        )
        mend = (
            "Mend the file, or write or copy it anew: no rule helps"
            if reason in UNREADABLE
            else "Mend the file, or read it by a rule: 'stepsift preview' proposes one where it finds one"
        )
        # What other libraries say may end with a full stop of its own.
        sentences.append(f"source file {name}: {rejected}; row {line}: {detail.rstrip('.')}. {mend}")
    return sentences


def require(holds: bool, what: str) -> None:
    """Raise RuntimeError where two counts of one thing disagree."""
    if not holds:
        raise RuntimeError(f"a defect of stepsift: {what} disagree; please report it")
