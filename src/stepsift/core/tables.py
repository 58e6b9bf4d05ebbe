"""The tables: the one place that says which there are and what each holds.

`table_files` reads and writes them.
"""

from dataclasses import dataclass, field

import polars as pl

VERDICTS = ("correct", "wrong", "timeout", "unparsed", "unchecked")
ANSWER_KINDS = ("math", "choice", "exact", "code", "none")
UNKNOWN_LICENCE = "unknown"
PASSES = ("local", "full")
SUMS = ("logprob", "rank", "entropy", "brier", "first_logprob", "first_two_logprob")
"""What step_scores holds per step and pass: sums over the step's tokens (nats for log-probabilities and entropy), or
over its first one or two tokens that hold a character that is not white space (`n_first` of them, at most 2)."""
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
