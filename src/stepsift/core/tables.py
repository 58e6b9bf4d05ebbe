"""The tables: the one place that defines what each holds, and the only way to read and write them.

A table is one Parquet file. It is rewritten whole, sorted by its key, atomically (temporary file, fsync, rename), and
holds no time stamp, commit id or path of a machine: the same rows give the same bytes, in whatever batches they were
handed over. Row groups are cut by rows and bytes of the rows themselves, so a reader or a writer needs memory for one
row group and not for the table.

Rows are Polars frames everywhere; only the file itself is written through pyarrow, because Polars cannot append a
row group to an open file.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from stepsift.core import disk
from stepsift.core.errors import TableError
from stepsift.core.text import count, error_line

ROW_GROUP_ROWS = 50_000
"""A row group is closed after this many rows ..."""
ROW_GROUP_BYTES = 32 * 2**20
"""... or after the row with which it holds this many bytes in memory, whatever comes first."""

VERDICTS = ("correct", "wrong", "timeout", "unparsed", "unchecked")
ANSWER_KINDS = ("math", "choice", "exact", "code", "none")
UNKNOWN_LICENCE = "unknown"
PASSES = ("local", "full")
SUMS = ("logprob", "rank", "entropy", "brier", "first_logprob", "first_two_logprob")
"""What step_scores holds a step and pass: sums over the step's tokens (nats for log-probabilities and entropy), or over
its first one or two tokens that hold a character that is not white space (`n_first` of them, at most 2)."""
FIRST_TOKENS = 100
"""Tokens of a trace's beginning that have a sum of their own."""
PICKED = ("first_100_logprob", "top_entropy")
"""Sums of a step and pass over those of its tokens that are picked in the whole trace: log-probabilities of the trace's
first 100 tokens, and entropies of the .5 % of its tokens that have the most. Null also where only sums are known."""

OF_REFERENCE = ("n_tokens", "local_logprob", "full_logprob")
"""Columns of step_scores under a reference that stand beside those of the student, as `reference_` and their name: the
scores of two models meet by trace and step, never in one column."""
REFERENCES = "references.json"
"""Beside the folders of the references: their names, paths, fingerprints and numerics, in the order of params.yaml."""

MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))


@dataclass(frozen=True)
class Table:
    """Name, version, columns and invariants of a table.

    `key` sorts the rows and, where `unique`, names one. `nullable` columns may hold nulls; no other may.
    `allowed` gives the values that a column may take; `checks` are named expressions that hold on every row.
    `open_columns`: further Float64 columns are allowed (one per metric, or weights), nulls included.
    """

    name: str
    version: int
    schema: dict[str, pl.DataType]
    key: tuple[str, ...]
    unique: bool = True
    nullable: frozenset[str] = frozenset()
    allowed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    checks: dict[str, pl.Expr] = field(default_factory=dict)
    open_columns: bool = False
    older: tuple[int, ...] = ()
    """Versions that can be read too: what they lack is null."""

    @property
    def file(self) -> str:
        """Name of the table's file, in whatever folder."""
        return f"{self.name}.parquet"


PROMPTS = Table(
    "prompts",
    1,
    {
        "prompt_id": pl.String(),
        "prompt": MESSAGES,
        "domain": pl.String(),
        "answer": pl.String(),
        "answer_kind": pl.String(),
        "tests": pl.String(),
    },
    key=("prompt_id",),
    nullable=frozenset({"domain", "answer", "tests"}),
    allowed={"answer_kind": ANSWER_KINDS},
    checks={"a prompt has at least one message": pl.col("prompt").list.len() > 0},
)

TRACES = Table(
    "traces",
    2,
    {
        "trace_id": pl.String(),
        "content_hash": pl.String(),
        "prompt_id": pl.String(),
        "teacher": pl.String(),
        "response": pl.String(),
        "verdict": pl.String(),
        "label": pl.Boolean(),
        "licence": pl.String(),
        "source": pl.String(),
        "source_line": pl.Int64(),
    },
    key=("trace_id",),
    nullable=frozenset({"label", "licence"}),
    allowed={"verdict": VERDICTS},
    checks={
        "a response is not empty": pl.col("response").str.len_bytes() > 0,
        "source_line starts at 1": pl.col("source_line") >= 1,
    },
)

TRACE_COLUMNS = [column for column in TRACES.schema if column != "response"]
"""Those of table traces that are short."""

REJECTED = Table(
    "rejected",
    1,
    {
        "source": pl.String(),
        "source_line": pl.Int64(),
        "trace_id": pl.String(),
        "teacher": pl.String(),
        "reason": pl.String(),
        "detail": pl.String(),
    },
    key=("source", "source_line", "trace_id", "reason", "detail", "teacher"),
    unique=False,
    nullable=frozenset({"trace_id", "teacher"}),
)

GOLD_CONFLICTS = Table(
    "gold_conflicts",
    1,
    {
        "prompt_id": pl.String(),
        "answer": pl.String(),
        "source": pl.String(),
        "source_line": pl.Int64(),
        "traces": pl.Int64(),
    },
    key=("prompt_id", "source", "source_line", "answer"),
)
"""Gold answers of prompts whose rows do not agree: the first row that gives each, and how many traces do."""

STEPS = Table(
    "steps",
    1,
    {
        "trace_id": pl.String(),
        "step": pl.Int32(),
        "start": pl.Int32(),
        "end": pl.Int32(),
        "kind": pl.String(),
        "capped": pl.Boolean(),
    },
    key=("trace_id", "step"),
    checks={
        "a step is not empty": pl.col("end") > pl.col("start"),
        "steps are numbered from 1 and start at offset 0": (pl.col("step") > 1)
        | ((pl.col("step") == 1) & (pl.col("start") == 0)),
        "a step begins where the one before it ends, and has the next number": (pl.col("step") == 1)
        | ((pl.col("start") == pl.col("end").shift(1)) & (pl.col("step") == pl.col("step").shift(1) + 1)).fill_null(
            True
        ),
    },
)

FALLBACK_REASONS = (
    "unreachable",
    "timeout",
    "rate_limited",
    "server_error",
    "refused",
    "too_long",
    "no_completion",
    "cut_off",
    "no_groups",
    "not_a_partition",
    "budget",
)
"""No connection, or a broken one; no answer in time; HTTP 429; 5xx; another status that a different text might not get;
a body larger than is read; a body that is no chat completion; an answer cut at its longest; one without groups; groups
that are not the sentences in order; no request left."""

FALLBACKS = Table(
    "fallbacks",
    1,
    {"trace_id": pl.String(), "reason": pl.String()},
    key=("trace_id",),
    allowed={"reason": FALLBACK_REASONS},
)
"""Traces that the model of `segment.llm` did not group, which are cut by rules, and why."""

STEP_SCORES = Table(
    "step_scores",
    3,
    {"trace_id": pl.String(), "step": pl.Int32(), "n_tokens": pl.Int32(), "n_first": pl.Int32()}
    | {f"{p}_{s}": pl.Float64() for p in PASSES for s in SUMS}
    | {"opens_branch": pl.Boolean()}
    | {f"{p}_{s}": pl.Float64() for p in PASSES for s in PICKED},
    key=("trace_id", "step"),
    nullable=frozenset({"opens_branch"} | {f"{p}_{s}" for p in PASSES for s in (*SUMS, *PICKED)}),
    checks={
        "n_tokens is not negative": pl.col("n_tokens") >= 0,
        "n_first counts at most two of the tokens": pl.col("n_first").is_between(0, 2)
        & (pl.col("n_first") <= pl.col("n_tokens")),
        "a log-probability is at most 0": (pl.col("local_logprob").fill_null(0) <= 0)
        & (pl.col("full_logprob").fill_null(0) <= 0),
    },
    older=(2,),
)

TRACE_SCORES = Table(
    "trace_scores",
    1,
    {
        "trace_id": pl.String(),
        "prompt_id": pl.String(),
        "teacher": pl.String(),
        "n_steps": pl.Int32(),
        "n_tokens": pl.Int32(),
    },
    key=("trace_id",),
    open_columns=True,
)

TEACHERS = Table(
    "teachers",
    3,
    {
        "teacher": pl.String(),
        "metric": pl.String(),
        "domain": pl.String(),
        "n_traces": pl.Int32(),
        "share_kept": pl.Float64(),
        "n_prompts": pl.Int32(),
        "n_met": pl.Int32(),
        "component": pl.Int32(),
        "n_compared": pl.Int32(),
        "mean": pl.Float64(),
        "ci_low": pl.Float64(),
        "ci_high": pl.Float64(),
        "rank": pl.Int32(),
        "rank_low": pl.Int32(),
        "rank_high": pl.Int32(),
        "p_above_next": pl.Float64(),
        "n_with_next": pl.Int32(),
        "worth_next": pl.Float64(),
        "settled_after": pl.Int32(),
    },
    key=("metric", "domain", "teacher"),
    nullable=frozenset(
        {"component", "mean", "ci_low", "ci_high", "rank", "rank_low", "rank_high", "p_above_next", "n_with_next"}
        | {"worth_next", "settled_after"}
    ),
    checks={
        "an interval is not upside down": (pl.col("ci_low") <= pl.col("ci_high")).fill_null(True),
        "a rank lies within its bounds": pl.col("rank").is_between("rank_low", "rank_high").fill_null(True),
        "p_above_next is a share": pl.col("p_above_next").is_between(0, 1).fill_null(True),
        "share_kept is a share": pl.col("share_kept").is_between(0, 1),
        "only teachers of component 1 are ranked": (pl.col("component") == 1) | pl.col("mean").is_null(),
    },
)

CURATED = Table(
    "curated",
    1,
    {
        "prompt_id": pl.String(),
        "trace_id": pl.String(),
        "teacher": pl.String(),
        "selector": pl.String(),
        "score": pl.Float64(),
        "runner_up": pl.String(),
        "margin": pl.Float64(),
        "stability": pl.Float64(),
        "reason": pl.String(),
    },
    key=("prompt_id", "trace_id"),
    nullable=frozenset({"runner_up", "margin", "stability"}),
    checks={
        "a margin is not negative": (pl.col("margin") >= 0).fill_null(True),
        "stability is a share": pl.col("stability").is_between(0, 1).fill_null(True),
    },
    open_columns=True,
)
"""With a column `weight` where `select.weights` asks for it, and `turn` where a selector has `each_epoch`."""

MASKED_STEPS = Table(
    "masked_steps",
    1,
    {"trace_id": pl.String(), "step": pl.Int32(), "start": pl.Int32(), "end": pl.Int32(), "n_tokens": pl.Int32()},
    key=("trace_id", "step"),
    checks={
        "a step is not empty": pl.col("end") > pl.col("start"),
        "a masked step has tokens": pl.col("n_tokens") > 0,
    },
)
"""Steps of chosen traces that `train.steps` leaves out of the loss: their characters, and tokens under the student."""

ANSWERS = Table(
    "answers",
    2,
    {
        "task": pl.String(),
        "question": pl.Int64(),
        "sample": pl.Int64(),
        "model": pl.String(),
        "prompt_hash": pl.String(),
        "generation": pl.String(),
        "ended": pl.Boolean(),
        "verdict": pl.String(),
        "correct": pl.Float64(),
    },
    key=("task", "question", "sample", "model"),
    nullable=frozenset({"ended", "verdict"}),
    allowed={"verdict": VERDICTS},
    checks={"correct is a share": pl.col("correct").is_between(0, 1)},
)

EVALUATIONS = Table(
    "evaluations",
    2,
    {
        "task": pl.String(),
        "model": pl.String(),
        "selector": pl.String(),
        "seed": pl.Int64(),
        "n": pl.Int64(),
        "samples": pl.Int64(),
        "accuracy": pl.Float64(),
        "stderr": pl.Float64(),
        "ended": pl.Float64(),
    },
    key=("task", "model"),
    nullable=frozenset({"selector", "seed", "stderr", "ended"}),
    open_columns=True,
)
"""With columns `pass_at_K` and `pass_at_K_stderr` for each K of `evaluate.pass_at`."""

LEARNED = Table(
    "learned",
    1,
    {"selector": pl.String(), "trace_id": pl.String(), "step": pl.Int32(), "n_tokens": pl.Int32()}
    | {"place": pl.Float64()}
    | {f"{p}_{when}": pl.Float64() for p in PASSES for when in ("before", "after")},
    key=("selector", "trace_id", "step"),
    nullable=frozenset(f"{p}_{when}" for p in PASSES for when in ("before", "after")),
    checks={"a place lies in its trace": pl.col("place").is_between(0, 1)},
)
"""Steps of curated traces, their mean log-probability per token under the student before it was trained, and after."""

ALL = {
    t.name: t
    for t in (
        *(PROMPTS, TRACES, REJECTED, GOLD_CONFLICTS, STEPS, FALLBACKS, STEP_SCORES, TRACE_SCORES, TEACHERS, CURATED),
        *(MASKED_STEPS, ANSWERS, EVALUATIONS, LEARNED),
    )
}


def validate(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """Return `frame` with the table's columns in order; raise TableError if one of its invariants does not hold."""
    missing = [c for c in table.schema if c not in frame.columns]
    extra = [c for c in frame.columns if c not in table.schema]
    if missing or (extra and not table.open_columns):
        raise TableError(f"table {table.name}: columns missing {missing}, columns not in the schema {extra}")
    frame = frame.select(*table.schema, *sorted(extra))
    expected = table.schema | {c: pl.Float64() for c in extra}
    for column, dtype in expected.items():
        if frame.schema[column] != dtype:
            raise TableError(f"table {table.name}: column {column} is {frame.schema[column]}, it must be {dtype}")
    for column in table.schema:
        if column not in table.nullable and frame[column].null_count():
            nulls = count(frame[column].null_count(), "null")
            raise TableError(f"table {table.name}: column {column} holds {nulls}")
    for column, values in table.allowed.items():
        wrong = frame.filter(~pl.col(column).is_in(values))
        if wrong.height:
            raise TableError(f"table {table.name}: {column} is {wrong[column][0]!r}, it must be one of {values}")
    _check_order(table, frame)
    for rule, holds in table.checks.items():
        broken = frame.filter(~holds)
        if broken.height:
            raise TableError(f"table {table.name}: '{rule}' does not hold on {broken.row(0, named=True)}")
    return frame


def _check_order(table: Table, frame: pl.DataFrame) -> None:
    keys = frame.select(table.key)
    if not keys.equals(keys.sort(table.key, nulls_last=False)):
        raise TableError(f"table {table.name}: rows are not sorted by {', '.join(table.key)}")
    if table.unique and keys.is_duplicated().any():
        twice = keys.filter(keys.is_duplicated()).row(0, named=True)
        raise TableError(f"table {table.name}: the key {twice} stands more than once")


class Writer:
    """Writes a table row group by row group; use as a context manager.

    Frames must come sorted by the table's key, each after the one before. The file appears under its name when the
    block ends without an exception, and not at all otherwise.
    """

    def __init__(self, table: Table, path: Path):
        self.table, self.path = table, path
        self.rows = 0
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._pending: list[pl.DataFrame] = []
        self._pending_rows = self._pending_bytes = 0
        self._columns: list[str] | None = None
        self._last_key: pl.DataFrame | None = None
        self._parquet: pq.ParquetWriter | None = None

    def __enter__(self) -> "Writer":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self

    def write(self, frame: pl.DataFrame) -> None:
        """Append rows; raise TableError where they break an invariant, within or across frames."""
        if frame.is_empty():
            return
        frame = validate(self.table, frame)
        if self._columns not in (None, frame.columns):
            raise TableError(f"table {self.table.name}: columns {frame.columns} follow columns {self._columns}")
        self._columns = frame.columns
        first, last = frame.head(1).select(self.table.key), frame.tail(1).select(self.table.key)
        if self._last_key is not None:
            _check_order(self.table, pl.concat([self._last_key, first]))
        self._last_key = last
        self.rows += frame.height
        # Bytes are counted a row at a time, so that row groups do not depend on how rows came in batches.
        sizes = _row_bytes(frame)
        start = 0
        for i, size in enumerate(sizes):
            self._pending_rows += 1
            self._pending_bytes += size
            if self._pending_rows >= ROW_GROUP_ROWS or self._pending_bytes >= ROW_GROUP_BYTES:
                self._pending.append(frame[start : i + 1])
                self._flush()
                start = i + 1
        if start < frame.height:
            self._pending.append(frame[start:])

    def _flush(self) -> None:
        # In one piece: Parquet starts a page where a piece ends.
        frame = pl.concat(self._pending, rechunk=True) if self._pending else _empty(self.table)
        data = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._parquet is None:
            metadata = {"stepsift.table": self.table.name, "stepsift.version": str(self.table.version)}
            schema = data.schema.with_metadata(metadata)
            self._parquet = pq.ParquetWriter(self._temporary, schema, compression="zstd")
        self._parquet.write_table(data.cast(self._parquet.schema), row_group_size=ROW_GROUP_ROWS)
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None and (self._pending or self._parquet is None):
                self._flush()
            if self._parquet is not None:
                self._parquet.close()
            if kind is None:
                disk.replace_durably(self._temporary, self.path)
        finally:
            self._temporary.unlink(missing_ok=True)


def _empty(table: Table) -> pl.DataFrame:
    return pl.DataFrame(schema=table.schema)


def _row_bytes(frame: pl.DataFrame) -> list[int]:
    """Bytes of text in each row plus 8 for every other value: a rule of the rows alone."""
    texts = [pl.col(c).str.len_bytes().fill_null(0) for c, t in frame.schema.items() if t == pl.String()]
    others = 8 * (len(frame.columns) - len(texts))
    messages = [
        pl.col(c).list.eval(pl.element().struct.field("content").str.len_bytes()).list.sum().fill_null(0)
        for c, t in frame.schema.items()
        if t == MESSAGES
    ]
    return frame.select(pl.sum_horizontal(*texts, *messages, pl.lit(others)).cast(pl.Int64).alias("n"))["n"].to_list()


def write(table: Table, frame: pl.DataFrame, path: Path) -> None:
    """Sort, check and write a whole table; raise TableError where an invariant does not hold."""
    key = [c for c in table.key if c in frame.columns]  # a missing column is for validate() to name
    with Writer(table, path) as writer:
        writer.write(frame.sort(key, nulls_last=False) if key else frame)


def read(table: Table, path: Path) -> pl.DataFrame:
    """Read and check a whole table; raise TableError if it is missing, of another version or broken."""
    parts = list(scan(table, path))
    return validate(table, pl.concat(parts)) if parts else _empty(table)


def scan(table: Table, path: Path, columns: list[str] | None = None) -> Iterator[pl.DataFrame]:
    """Yield a table one row group at a time; raise TableError if it is missing or of another kind or version."""
    if not path.is_file():
        raise TableError(f"table {table.name}: no file {path}; run the stage that writes it ('dvc repro')")
    try:
        parquet = pq.ParquetFile(path)
        metadata = parquet.schema_arrow.metadata or {}
        seen = (metadata.get(b"stepsift.table", b"?").decode(), metadata.get(b"stepsift.version", b"?").decode())
        if seen not in [(table.name, str(version)) for version in (table.version, *table.older)]:
            raise TableError(
                f"{path} holds table {seen[0]} version {seen[1]}, needed is {table.name} version {table.version}; "
                "run 'dvc repro' to rebuild it"
            )
        absent = {c: t for c, t in table.schema.items() if c not in parquet.schema_arrow.names}
        absent = absent if seen[1] != str(table.version) else {}
        for i in range(parquet.num_row_groups):
            frame = pl.DataFrame(pl.from_arrow(parquet.read_row_group(i, columns=columns)))
            if frame.height:
                nulls = (pl.lit(None, t).alias(c) for c, t in absent.items() if columns is None or c in columns)
                yield frame.with_columns(nulls)
    except (pa.ArrowException, OSError) as e:
        reason = error_line(e)
        raise TableError(f"table {table.name}: {path} is not a readable Parquet file ({reason})") from None


def regroup(frames: Iterator[pl.DataFrame], by: str) -> Iterator[pl.DataFrame]:
    """Yield the same rows, cut so that rows with one value of `by` (the first sort column) never span two frames."""
    held: pl.DataFrame | None = None
    for frame in frames:
        held = frame if held is None else pl.concat([held, frame])
        last = held[by][-1]
        complete = held.filter(pl.col(by) != last)
        if complete.height:
            yield complete
            held = held.filter(pl.col(by) == last)
    if held is not None and held.height:
        yield held


def groups(frames: Iterator[pl.DataFrame], by: str) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield (value, its rows) in order, for a table whose first sort column is `by`, one row group in memory."""
    for frame in regroup(frames, by):
        for part in frame.partition_by(by, maintain_order=True):
            yield part[by][0], part


def read_part(table: Table, path: Path, columns: list[str] | None = None, where: pl.Expr | None = None) -> pl.DataFrame:
    """These columns of the rows for which `where` holds, one row group in memory at a time; raises as `scan` does."""
    frames = [f if where is None else f.filter(where) for f in scan(table, path, columns)]
    schema = {c: t for c, t in table.schema.items() if columns is None or c in columns}
    return pl.concat(frames) if frames else pl.DataFrame(schema=schema)


def read_rejected(folders: Mapping[str, Path], where: pl.Expr) -> pl.DataFrame:
    """Rows of every stage's table rejected, the column `stage` before them, in the order of `folders`."""
    paths = {stage: folder / REJECTED.file for stage, folder in folders.items()}
    parts = [
        read_part(REJECTED, path, where=where).select(pl.lit(stage).alias("stage"), pl.all())
        for stage, path in paths.items()
        if path.is_file()
    ]
    return pl.concat(parts) if parts else pl.DataFrame(schema={"stage": pl.String(), **REJECTED.schema})
