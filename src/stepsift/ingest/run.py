"""Raw trace files to the tables prompts, traces and rejected, and to exact counts.

`ingest` is the stage; `survey` answers `stepsift check` from the same rows without verifying answers or writing tables.
Both read through a spool on disk (ingest/database.py): memory does not grow with the sources. Nothing depends on the
order of files or lines but the source and line that a trace is said to come from.

What was read = what was kept + what was rejected, in all, by file and by teacher; that is checked at every run.
"""

import json
import logging
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stepsift import params
from stepsift.core import disk, table_files, tables, text
from stepsift.core.errors import SourceError
from stepsift.core.finding import Finding
from stepsift.ingest.advice import warnings_of
from stepsift.ingest.answers import SAMPLED, Gold, TeacherAnswers, check_answers, doubts, sampled_answers, solutions
from stepsift.ingest.candidate import Candidate
from stepsift.ingest.columns import column_lines
from stepsift.ingest.conflicts import conflict_lines, resolve
from stepsift.ingest.counts import PoolCounts, pool_of, require, useless_files
from stepsift.ingest.database import Spool
from stepsift.ingest.files.find import RULE_SUFFIX
from stepsift.ingest.fill import UNKNOWN, ReadCounts, Sample, TeacherSamples, fill_database
from stepsift.ingest.record import Message
from stepsift.ingest.verifiers import VerdictsAhead, Verifiers

log = logging.getLogger(__name__)

SAMPLE_TRACES = 64
EXAMPLES = 8
FEWEST_PROMPTS = 10
"""With fewer prompts that have two candidates, and one for the median prompt, there is nothing to choose from."""
SOURCES = "sources.json"
_BATCH_ROWS = 2_000
_BATCH_IDS = 500
_BATCH_CHARS = 8_000_000


@dataclass
class Labels:
    """Our verdicts against the sources' own labels; an answer that was not found or read counts as not correct."""

    agree: int = 0
    disagree: int = 0
    correct_but_labelled_false: int = 0
    wrong_but_labelled_true: int = 0
    undecided: int = 0
    """Labelled, but our verdict is timeout or unchecked."""


@dataclass
class IngestCounts(PoolCounts):
    """The metrics of the stage."""

    verdicts: dict[str, dict[str, int]]
    """Teacher to verdict to kept traces."""
    labels: Labels
    labels_by_file: dict[str, Labels]
    gold: dict[str, Gold]
    """Answer kind to how its verifier takes the gold answers."""
    gold_by_file: dict[str, dict[str, Gold]]
    """Source file to the same."""
    gold_conflicts: int
    """Prompts whose gold answers really differ."""
    answers: dict[str, dict[str, TeacherAnswers]]
    """Teacher to source file to how its answers were judged."""
    code: dict[str, int]
    """Why traces with programs got their verdicts (verify.code.REASONS) to kept traces."""

    def as_dict(self) -> dict[str, Any]:
        """The counts as what JSON can hold; what was read as what is told by `check`."""
        shown_by_check = ("columns", "unmapped", "left_out_files")
        return {name: value for name, value in asdict(self).items() if name not in shown_by_check}


@dataclass
class SampleTrace:
    """A trace with its prompt, to estimate tokens by."""

    trace_id: str
    prompt: list[Message]
    response: str
    teacher: str = ""


@dataclass
class Survey(PoolCounts):
    """What `stepsift check` prints of the sources."""

    problems: list[str]
    """One sentence for each thing that `ingest` would stop at, or that makes its outcome useless."""
    warnings: list[str]
    """One sentence for each thing that a run takes as it is, and its user may not have meant."""
    sample: list[SampleTrace]
    """At most SAMPLE_TRACES kept traces, those with the smallest ids."""
    examples: list[SampleTrace]
    """At most EXAMPLES kept traces of every teacher, and its longest of at most EXAMPLE_CHARS characters."""


def ingest(sources: Path, out: Path, settings: params.Ingest, if_useless: Path | None = None) -> IngestCounts:
    """Read all files below `sources`; write prompts, traces and rejected as Parquet into the folder `out`.

    Beside them `sources.json` says of each source file, by its path below `sources`, its `md5` and `bytes`, the `rows`
    (responses) that were read, how many were `kept` and `rejected`, `licences`: name, or "unknown", to kept traces; and
    `repository` and `revision` where its rule says them.

    Raises SourceError where there is no file to read, or one of which every row was rejected; `out` is then not made,
    and the rejected rows stand in the folder `if_useless`, where one is given.
    """
    # The spool stands beside `out` and not in it, where DVC would take it for an output.
    with Spool(out.resolve().parent) as spool, Verifiers(settings) as verifiers:
        ahead = VerdictsAhead(spool, verifiers)
        read = fill_database(spool, sources, settings, ahead)
        ahead.finish()
        conflicts = resolve(spool, settings)
        pool = pool_of(spool, read)
        problems = [*useless_files(spool, pool), *pool.unmapped]
        if problems:
            raise SourceError("\n".join([*problems, *_left_behind(spool, if_useless)]))
        answers = check_answers(spool, settings, verifiers)
        kept, rejected = _write(spool, out)
        _write_table(tables.GOLD_CONFLICTS, map(astuple, conflicts), out)
        for line in [*conflict_lines(conflicts, settings), *solutions(spool), *doubts(answers.teachers)]:
            log.warning("%s", line)
        disk.write_json(_sources(spool, pool, read), out / SOURCES)
        require((kept, rejected) == (pool.total.kept, pool.total.rejected), "rows of the tables and the counts")
        verdicts: dict[str, Counter[str]] = defaultdict(Counter)
        labels: dict[str, Labels] = {name: Labels() for name in pool.by_file}
        total = Labels()
        for source, teacher, verdict, ours, label, count in spool.judged():
            verdicts[teacher][verdict] += count
            if label is not None:
                _compare(labels[source], ours, bool(label), count)
                _compare(total, ours, bool(label), count)
        return IngestCounts(
            **vars(pool),
            verdicts={t: {v: verdicts[t][v] for v in tables.VERDICTS} for t in sorted(verdicts)},
            labels=total,
            labels_by_file=labels,
            gold=answers.gold,
            gold_by_file=answers.gold_by_file,
            gold_conflicts=len({c.prompt_id for c in conflicts}),
            answers=answers.teachers,
            code=answers.code,
        )


def survey(sources: Path, settings: params.Ingest) -> Survey:
    """Read all files below `sources`, verify a sample of each teacher's answers and write nothing.

    Raises SourceError where there is no file to read; every other trouble is one of the problems.
    """
    sample, examples, answered = Sample(SAMPLE_TRACES), TeacherSamples(EXAMPLES), TeacherSamples(SAMPLED)
    with Spool(Path(tempfile.gettempdir()), bodies=False) as spool:
        read = fill_database(spool, sources, settings, sample, examples, answered)
        conflicts = resolve(spool, settings)
        pool = pool_of(spool, read)
        sampled, exemplary = (_traces(spool, s.candidates()) for s in (sample, examples))
        problems = useless_files(spool, pool)
        warnings = [*warnings_of(spool, pool), *conflict_lines(conflicts, settings), *solutions(spool)]
        warnings += doubts(sampled_answers(spool, answered.candidates(), settings))
    problems += [_unused(rule, sources) for rule in pool.unused_rules]
    problems += pool.unmapped
    warnings += read.markup.warnings()
    if lonely := _one_candidate(pool):
        (problems if _several(pool) < FEWEST_PROMPTS else warnings).append(lonely)
    return Survey(**vars(pool), problems=problems, warnings=warnings, sample=sampled, examples=exemplary)


def _traces(spool: Spool, sample: list[Candidate]) -> list[SampleTrace]:
    """Those of some candidates that were kept, under their final ids and with the prompts that the stage gives them."""
    by_id = {c.trace_id: c for c in sample}
    ids = list(by_id)
    traces = []
    for start in range(0, len(ids), _BATCH_IDS):
        for first_id, (trace_id, messages) in spool.kept(ids[start : start + _BATCH_IDS]).items():
            c = by_id[first_id]
            traces.append(SampleTrace(trace_id, json.loads(messages), c.response, c.teacher))
    return sorted(traces, key=lambda t: t.trace_id)


def _several(pool: PoolCounts) -> int:
    """Prompts with two candidates or more."""
    return sum(prompts for size, prompts in pool.candidates.histogram.items() if size > 1)


def _one_candidate(pool: PoolCounts) -> str | None:
    """A sentence where the median prompt has one candidate."""
    if not pool.prompts or pool.candidates.median > 1:
        return None
    several = _several(pool)
    have = "has" if several == 1 else "have"
    few = f", fewer than the {FEWEST_PROMPTS} that a choice needs" if several < FEWEST_PROMPTS else ""
    return (
        f"the median prompt has one candidate: {several:,} of {text.count(pool.prompts, 'prompt')} {have} two "
        f"or more{few} ({text.count(pool.total.kept, 'trace')} in all). If teachers answered the same prompts, map "
        "fields.prompt_id, or list the texts in which prompts differ by teacher in ingest.strip_suffixes"
    )


def _unused(rule: str, sources: Path) -> str:
    if rule.endswith(RULE_SUFFIX):
        name = sources / rule.removesuffix(RULE_SUFFIX)
        return f"{sources / rule} stands beside no file {name}; run 'dvc pull {name}' to get it, or delete the rule"
    return f"no file is read by the rule '{rule}' of ingest.files"


def check_sources(pool: Survey) -> Finding:
    """For `stepsift check`: what the sources hold, and what is wrong with them. New lines on the sources go here."""
    total, candidates = pool.total, pool.candidates
    teachers = {name: tally.kept for name, tally in pool.by_teacher.items() if tally.kept}
    without = [name for name in pool.by_teacher if name not in teachers and name != UNKNOWN]
    files, rows = text.count(len(pool.by_file), "file"), text.count(total.read, "row")
    histogram = [
        f"{size} for {text.count(prompts, 'prompt')}" for size, prompts in sorted(candidates.histogram.items())
    ]
    lines = [
        f"sources     {files}, {rows} read, {total.kept:,} kept, {total.rejected:,} rejected"
        + (f" ({', '.join(f'{reason} {n:,}' for reason, n in total.reasons.items())})" if total.rejected else ""),
        f"prompts     {pool.prompts:,}",
        f"candidates  {candidates.min} to {candidates.max} per prompt, median {candidates.median:g} "
        f"({', '.join(histogram)})",
        f"teachers    {len(teachers)}: {', '.join(f'{name} {kept:,}' for name, kept in teachers.items())}"
        + (f"; nothing kept of {', '.join(without)}" if without else ""),
        f"traces      {total.kept:,}, {text.count(pool.response_chars, 'character')}",
    ]
    if pool.ignored_files:
        lines.append(f"ignored     {', '.join(pool.ignored_files)}")
    if pool.left_out_files:
        lines.append(f"left out    {', '.join(pool.left_out_files)} (by their rules)")
    lines += column_lines(pool.columns)
    return Finding(lines, pool.problems, pool.warnings, _as_data(pool))


def _as_data(pool: Survey) -> dict[str, Any]:
    """The lines of `check_sources` for programs: all counts, and of each file what was read as what."""
    return {
        "files": {name: {**asdict(tally), **pool.columns[name].as_dict()} for name, tally in pool.by_file.items()},
        "total": asdict(pool.total),
        "teachers": {name: asdict(tally) for name, tally in pool.by_teacher.items()},
        "prompts": pool.prompts,
        "candidates": asdict(pool.candidates),
        "response_chars": pool.response_chars,
        "ignored_files": pool.ignored_files,
        "left_out_files": pool.left_out_files,
    }


def _compare(labels: Labels, verdict: str, label: bool, count: int) -> None:
    if verdict in ("timeout", "unchecked"):
        labels.undecided += count
    elif (verdict == "correct") == label:
        labels.agree += count
    else:
        labels.disagree += count
        if label:
            labels.wrong_but_labelled_true += count
        else:
            labels.correct_but_labelled_false += count


def _left_behind(spool: Spool, folder: Path | None) -> list[str]:
    """Write the rejected rows into `folder`; a sentence that says where, if there are any and a folder for them."""
    if folder is None or next(iter(spool.rejected()), None) is None:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    rows = _write_table(tables.REJECTED, spool.rejected(), folder)
    return [f"the reason of every rejected row ({rows:,} in all) stands in {folder / tables.REJECTED.file}"]


def _write(spool: Spool, out: Path) -> tuple[int, int]:
    """Write the three tables; return how many traces and rejected rows they hold."""
    prompts = ((i, json.loads(messages), *rest) for i, messages, *rest in spool.prompts())
    traces = ((*row[:6], None if row[6] is None else bool(row[6]), *row[7:]) for row in spool.traces())
    _write_table(tables.PROMPTS, prompts, out)
    return _write_table(tables.TRACES, traces, out), _write_table(tables.REJECTED, spool.rejected(), out)


def _sources(spool: Spool, pool: PoolCounts, read: ReadCounts) -> dict[str, dict[str, Any]]:
    """What the data set is made of, file by file."""
    licences: dict[str, Counter[str]] = defaultdict(Counter)
    for source, licence, count in spool.licences():
        # Sources say "unknown" themselves, too.
        licences[source][licence or tables.UNKNOWN_LICENCE] += count
    return {
        name: {
            "md5": disk.file_md5(read.paths[name]),
            "bytes": read.paths[name].stat().st_size,
            "rows": tally.read,
            "kept": tally.kept,
            "rejected": tally.rejected,
            "licences": licences[name],
            **read.rules[name].model_dump(include={"repository", "revision"}, exclude_none=True),
        }
        for name, tally in pool.by_file.items()
    }


def _write_table(table: tables.Table, rows: Iterable[tuple[Any, ...]], out: Path) -> int:
    with table_files.Writer(table, out / f"{table.name}.parquet") as writer:
        for batch in _batches(rows):
            writer.write(pl.DataFrame(batch, schema=table.schema, orient="row"))
        return writer.rows


def _batches(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Rows in lists that are small in number and in text."""
    batch, chars = [], 0
    for row in rows:
        batch.append(row)
        chars += sum(len(value) for value in row if isinstance(value, str))
        if len(batch) >= _BATCH_ROWS or chars >= _BATCH_CHARS:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch
