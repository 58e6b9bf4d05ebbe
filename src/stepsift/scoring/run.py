"""Score a pool: traces and their steps in, step scores and rejected rows out, one trace at a time.

Knows tables and the student, but neither files' places nor DVC, and never which teacher wrote a trace.
"""

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stepsift import params, tables
from stepsift.errors import ScoringError, StudentError, TableError
from stepsift.render import Messages, Rendered, Renderer
from stepsift.scoring.engine import Engine
from stepsift.scoring.sums import step_sums
from stepsift.scoring.values import Request, TokenValues
from stepsift.scoring.windows import Pass, local_passes, token_bounds

log = logging.getLogger(__name__)

LOG_EVERY_S = 10.0
WRITE_EVERY_TRACES = 500

_NO_STEPS = pl.DataFrame(schema=tables.STEPS.schema)


@dataclass
class Progress:
    """What a run has done so far."""

    traces: int = 0
    scored: int = 0
    tokens: int = 0
    steps_without_tokens: int = 0
    full_not_possible: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)

    def speed(self) -> dict[str, float]:
        """Seconds so far, and tokens of responses scored a second: true of one machine and one run."""
        seconds = time.monotonic() - self.started
        return {"seconds": seconds, "response_tokens_per_s": self.tokens / seconds if seconds else 0.0}

    def metrics(self) -> dict[str, Any]:
        """Counts that depend on the input alone, never on the machine or the time."""
        return {
            "traces": self.traces,
            "scored": self.scored,
            "response_tokens": self.tokens,
            "steps_without_tokens": self.steps_without_tokens,
            "full_pass_not_possible": self.full_not_possible,
            "rejected": dict(sorted(self.rejected.items())),
        }


@dataclass(frozen=True)
class Planned:
    """A trace, ready for the engine: its ids, the first token of each step, and its passes."""

    rendered: Rendered
    bounds: np.ndarray
    local: list[Pass]
    full: bool


@dataclass(frozen=True)
class Refused:
    """Why a trace cannot be scored."""

    reason: str
    detail: str


def sample_prompts(prompt_ids: Iterable[str], n: int | None, seed: int) -> set[str]:
    """A seeded sample of prompts that does not depend on their order; a smaller sample is part of a larger one."""
    ids = set(prompt_ids)
    if n is None or n >= len(ids):
        return ids
    return set(sorted(ids, key=lambda i: hashlib.sha256(f"{seed}\0{i}".encode()).digest())[:n])


def plan(rendered: Rendered, ends: np.ndarray, settings: params.Score, context: int) -> Planned | Refused:
    """Passes of one trace; Refused if prompt plus one window does not fit the student, or a step is too long.

    `ends` [steps] are the steps' end offsets in characters; `context` is the student's limit in tokens.
    """
    if not rendered.response_ids:
        return Refused("no_tokens", "the response gives no token under this student")
    bounds = token_bounds(rendered.last_char, ends)
    longest = int(np.diff(bounds).max())
    if longest > settings.max_step_tokens:
        return Refused(
            "step_too_long", f"a step has {longest} tokens, score.max_step_tokens is {settings.max_step_tokens}"
        )
    passes = local_passes(bounds, settings.window)
    widest = max(p.length for p in passes)
    prompt_tokens = len(rendered.prompt_ids)
    if prompt_tokens + widest > context:
        return Refused(
            "window_too_long", f"prompt {prompt_tokens} + window {widest} tokens, the student's context is {context}"
        )
    fits = prompt_tokens + len(rendered.response_ids) <= context
    return Planned(rendered, bounds, passes if "local" in settings.passes else [], "full" in settings.passes and fits)


class Scorer:
    """Scores single traces: renders, plans, runs the engine and checks what comes out."""

    def __init__(self, renderer: Renderer, engine: Engine, settings: params.Score, context: int):
        self.renderer, self.engine, self.settings, self.context = renderer, engine, settings, context

    def score(
        self, messages: Messages, response: str, ends: np.ndarray
    ) -> tuple[Planned, TokenValues | None, TokenValues | None] | Refused:
        """The plan with local and full values of one trace, or why there are none."""
        try:
            rendered = self.renderer.render(messages, response)
        except StudentError as e:
            return Refused("not_renderable", str(e)[:200])
        highest = max(rendered.prompt_ids + rendered.response_ids)
        if highest >= self.engine.vocabulary:
            return Refused(
                "token_unknown_to_model",
                f"the tokenizer gives token {highest}, the model has tokens 0 to {self.engine.vocabulary - 1}",
            )
        planned = plan(rendered, ends, self.settings, self.context)
        if isinstance(planned, Refused):
            return planned
        request = Request(rendered.prompt_ids, rendered.response_ids, planned.local, planned.full)
        scores = self.engine.score(request)
        local, full = scores.local, scores.full
        for name, values in (("local", local), ("full", full)):
            if values is not None and not values.finite():
                return Refused("not_finite", f"the {name} pass gave logits that are not finite")
        return planned, local, full


def step_rows(trace_id: str, planned: Planned, local: TokenValues | None, full: TokenValues | None) -> pl.DataFrame:
    """Rows of step_scores of one trace."""
    counts = np.diff(planned.bounds)
    columns: dict[str, Any] = {
        "trace_id": [trace_id] * len(counts),
        "step": np.arange(1, len(counts) + 1, dtype=np.int32),
        "n_tokens": counts.astype(np.int32),
    }
    for name, values in (("local", local), ("full", full)):
        columns |= {f"{name}_{k}": v for k, v in step_sums(values, planned.bounds).items()}
    frame = pl.DataFrame(columns, schema=tables.STEP_SCORES.schema)
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None))


def score_pool(
    scorer: Scorer,
    prompts: dict[str, Messages],
    traces: Iterator[pl.DataFrame],
    steps: Iterator[pl.DataFrame],
    progress: Progress,
    total: int,
) -> Iterator[tuple[pl.DataFrame | None, dict[str, Any] | None]]:
    """Yield (step_scores rows, None) or (None, a rejected row) for each trace whose prompt is in `prompts`.

    `traces` and `steps` come by row group, both sorted by trace_id; `total` is only for the progress lines.
    """
    cut: Iterator[tuple[str | None, pl.DataFrame]] = tables.groups(steps, "trace_id")
    said = time.monotonic()
    for frame in traces:
        for row in frame.iter_rows(named=True):
            trace_id, its_steps = next(cut, (None, _NO_STEPS))
            if trace_id != row["trace_id"] or its_steps["end"][-1] != len(row["response"]):
                raise TableError(
                    f"traces and steps differ: trace {row['trace_id']} has {len(row['response'])} characters, the next "
                    f"steps are those of trace {trace_id}, to character {its_steps['end'].max()!r}; run 'dvc repro'"
                )
            if row["prompt_id"] not in prompts:
                continue
            progress.traces += 1
            result = scorer.score(prompts[row["prompt_id"]], row["response"], its_steps["end"].to_numpy())
            if isinstance(result, Refused):
                progress.rejected[result.reason] += 1
                kept = {k: row[k] for k in ("source", "source_line", "trace_id", "teacher")}
                yield None, kept | {"reason": result.reason, "detail": result.detail}
            else:
                planned, local, full = result
                _count(progress, planned, full is None and "full" in scorer.settings.passes)
                yield step_rows(row["trace_id"], planned, local, full), None
            if time.monotonic() - said > LOG_EVERY_S:
                said = time.monotonic()
                rate = progress.speed()["response_tokens_per_s"]
                log.info("scored %d of %d traces, %.0f response tokens/s", progress.traces, total, rate)
    if (more := next(cut, None)) is not None:
        raise TableError(
            f"traces and steps differ: there are steps of trace {more[0]} and no such trace; run 'dvc repro'"
        )


def score_to_tables(
    scorer: Scorer, prompts: dict[str, Messages], traces: Path, steps: Path, out: Path, progress: Progress
) -> None:
    """Score the traces of `prompts` and write step_scores.parquet and rejected.parquet into the folder `out`.

    Raises ScoringError if not one trace could be scored.
    """
    total = sum(
        int(f["prompt_id"].is_in(prompts.keys()).sum()) for f in tables.scan(tables.TRACES, traces, ["prompt_id"])
    )
    log.info("scoring %d traces of %d prompts on %s", total, len(prompts), scorer.engine.device)
    rejected: list[dict[str, Any]] = []
    scored: list[pl.DataFrame] = []
    with tables.Writer(tables.STEP_SCORES, out / "step_scores.parquet") as writer:
        for rows, refused in score_pool(
            scorer, prompts, tables.scan(tables.TRACES, traces), tables.scan(tables.STEPS, steps), progress, total
        ):
            if rows is not None:
                scored.append(rows)
            if refused is not None:
                rejected.append(refused)
            if len(scored) >= WRITE_EVERY_TRACES:
                writer.write(pl.concat(scored))
                scored.clear()
        if scored:
            writer.write(pl.concat(scored))
        if not progress.scored:
            reasons = ", ".join(f"{n} {reason}" for reason, n in progress.rejected.most_common())
            raise ScoringError(
                f"not one of {total} traces could be scored ({reasons}); check student.max_context_tokens, "
                "score.window and segment.max_step_chars"
            )
    tables.write(tables.REJECTED, pl.DataFrame(rejected, schema=tables.REJECTED.schema), out / "rejected.parquet")
    speed = progress.speed()
    log.info(
        "scored %d of %d traces, %d response tokens in %.1f s (%.0f tokens/s), rejected %d",
        progress.scored,
        total,
        progress.tokens,
        speed["seconds"],
        speed["response_tokens_per_s"],
        len(rejected),
    )


def _count(progress: Progress, planned: Planned, full_missing: bool) -> None:
    progress.scored += 1
    progress.tokens += len(planned.rendered.response_ids)
    progress.steps_without_tokens += int((np.diff(planned.bounds) == 0).sum())
    progress.full_not_possible += full_missing
