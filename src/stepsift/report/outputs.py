"""What the stages left, read once and reduced; the one module of the report that opens files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stepsift.core import disk, table_files, tables
from stepsift.metrics import all_metrics
from stepsift.report import choice
from stepsift.report.explorer import ShownPool
from stepsift.report.numbers import AlongTraces, StepLengths, most_learned, rejections
from stepsift.select.manifest import OF_ONE_SELECTOR, Manifest, read_manifests


@dataclass(frozen=True)
class Places:
    """Where the outputs lie: folders of ingest, score and select; single tables and charts of the others."""

    ingest: Path
    steps: Path
    score: Path
    select: Path
    train_rejected: Path
    """What training could not use, a table rejected."""
    curves: Path
    accuracies: Path
    evaluations: Path
    learned: Path
    """Steps before and after training, a table learned."""
    counts: Path
    """The metrics file of ingest."""
    scored: Path
    """The metrics file of score."""


@dataclass(frozen=True)
class Outputs:
    """The stages' outputs as the page needs them: tables with at most one row per trace, never all steps or texts."""

    ingest: dict[str, Any]
    window_share: dict[str, Any]
    """How much of the response before it a step saw (`window_share` of stage score's metrics)."""
    sources: dict[str, Any]
    numerics: dict[str, Any]
    manifests: dict[str, Manifest]
    teachers: pl.DataFrame
    scores: pl.DataFrame
    dropped: pl.DataFrame
    """Rows of select's table rejected: traces that no selector could choose."""
    domains: pl.DataFrame
    curated: dict[str, pl.DataFrame]
    rejected: pl.DataFrame
    verdicts: dict[str, int]
    evaluations: pl.DataFrame
    accuracies: list[dict[str, Any]]
    curves: list[dict[str, Any]]
    learned: pl.DataFrame
    learned_most: pl.DataFrame
    """See `most_learned`, with the step's text and teacher."""
    step_lengths: StepLengths
    along: AlongTraces
    chosen: dict[str, list[str]]
    pool: ShownPool

    @property
    def by(self) -> dict[str, str]:
        """Selector to its metric, in the order of the parameters."""
        return {name: str(m["selector"]["by"]) for name, m in self.manifests.items()}


def read(places: Places, prompts: int) -> Outputs:
    """Read everything; texts and steps only of at most `prompts` prompts.

    Raises TableError where a table is missing or a file broken, OSError where another file is missing.
    """
    sets = read_manifests(places.select)
    by = {name: str(m["selector"]["by"]) for name, m in sets.items()}
    curated = {name: table_files.read(tables.CURATED, places.select / name / tables.CURATED.file) for name in sets}
    scores = table_files.read(tables.TRACE_SCORES, places.select / tables.TRACE_SCORES.file)
    rejected = table_files.read(tables.REJECTED, places.select / tables.REJECTED.file)
    dropped = rejected.filter(~pl.col("reason").is_in(list(OF_ONE_SELECTOR)))
    drawn = [name for name, metric in by.items() if all_metrics()[metric].draw is not None]
    chosen = choice.choose(curated, drawn, prompts)
    own = pl.col("prompt_id").is_in(list(chosen))
    texts, domains = _split(tables.PROMPTS, places.ingest / tables.PROMPTS.file, own, ["prompt_id", "domain"])
    traces, verdicts = _split(tables.TRACES, places.ingest / tables.TRACES.file, own, ["verdict"])
    ids = pl.col("trace_id").is_in(traces["trace_id"].to_list())
    lengths = StepLengths()
    step_scores = []
    along = AlongTraces(scores)
    scanned = table_files.scan(tables.STEP_SCORES, places.score / tables.STEP_SCORES.file, _STEP_COLUMNS)
    for part in table_files.regroup(scanned, "trace_id"):
        lengths.add(part)
        along.add(part)
        step_scores.append(part.filter(ids))
    steps = [part.filter(ids) for part in table_files.scan(tables.STEPS, places.steps)]
    learned = table_files.read(tables.LEARNED, places.learned)
    return Outputs(
        ingest=disk.read_json(places.counts),
        window_share=disk.read_json(places.scored)["window_share"],
        sources=disk.read_json(places.ingest / "sources.json"),
        numerics=disk.read_json(places.score / "numerics.json"),
        manifests=sets,
        teachers=table_files.read(tables.TEACHERS, places.select / tables.TEACHERS.file),
        scores=scores,
        dropped=dropped,
        domains=domains,
        curated=curated,
        rejected=rejections(
            {
                "ingest": table_files.scan(tables.REJECTED, places.ingest / tables.REJECTED.file),
                "score": table_files.scan(tables.REJECTED, places.score / tables.REJECTED.file),
                "select": [rejected],
                "train": table_files.scan(tables.REJECTED, places.train_rejected),
            }
        ),
        verdicts=dict(sorted(verdicts["verdict"].value_counts().iter_rows())),
        evaluations=table_files.read(tables.EVALUATIONS, places.evaluations),
        accuracies=disk.read_json(places.accuracies),
        curves=disk.read_json(places.curves),
        learned=learned,
        learned_most=_with_texts(most_learned(learned), places),
        step_lengths=lengths,
        along=along,
        chosen=chosen,
        pool=ShownPool(
            prompts=texts,
            traces=traces,
            steps=pl.concat([pl.DataFrame(schema=tables.STEPS.schema), *steps]),
            step_scores=pl.concat([pl.DataFrame(schema=_STEP_SCHEMA), *step_scores]),
            scores=scores.filter(own),
            curated={name: f.filter(own) for name, f in curated.items()},
            by=by,
            dropped={r["trace_id"]: r["reason"] for r in dropped.filter(ids).iter_rows(named=True)},
        ),
    )


_SHOWN_CHARS = 300
"""Most characters of a step's text that the page shows of what was learned."""


def _with_texts(steps: pl.DataFrame, places: Places) -> pl.DataFrame:
    """Columns teacher and text beside steps of the pool."""
    own = pl.col("trace_id").is_in(steps["trace_id"].implode())
    columns = ["trace_id", "teacher", "response"]
    traces = table_files.read_part(tables.TRACES, places.ingest / tables.TRACES.file, columns, own)
    spans = table_files.read_part(tables.STEPS, places.steps, ["trace_id", "step", "start", "end"], own)
    length = (pl.col("end") - pl.col("start")).clip(upper_bound=_SHOWN_CHARS)
    text = pl.col("response").str.slice(pl.col("start"), length).alias("text")
    named = spans.join(traces, on="trace_id").select("trace_id", "step", "teacher", text)
    return steps.join(named, on=["trace_id", "step"], how="left", maintain_order="left")


_STEP_COLUMNS = ["trace_id", "step", "n_tokens", "local_logprob", "full_logprob"]
_STEP_SCHEMA = {c: tables.STEP_SCORES.schema[c] for c in _STEP_COLUMNS}


def _split(table: tables.Table, path: Path, own: pl.Expr, columns: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that `own` holds for, whole, and some columns of all rows; nothing else is kept in memory."""
    rows = [pl.DataFrame(schema=table.schema)]
    narrow = [rows[0].select(columns)]
    for part in table_files.scan(table, path):
        rows.append(part.filter(own))
        narrow.append(part.select(columns))
    return pl.concat(rows), pl.concat(narrow)
