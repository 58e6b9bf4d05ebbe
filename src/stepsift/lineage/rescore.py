"""The fourth link: does the student still give the scores that the table holds?"""

import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from stepsift import params
from stepsift.core import table_files, tables
from stepsift.core.errors import StepsiftError
from stepsift.core.text import count
from stepsift.lineage.check_result import CheckResult
from stepsift.score.pool import PoolTables
from stepsift.scratch import score_steps

TOLERANCE_NATS = 1e-3
"""How far log-probabilities and entropies of two numerics may lie apart, as a mean over a step's tokens."""
NATS = [f"{p}_{s}" for p in tables.PASSES for s in ("logprob", "entropy")]


def chance(scored: int, sample: int, forged: int) -> float:
    """Probability that at least one of `forged` traces is in a sample of `sample` of `scored` traces."""
    return 1 - math.comb(scored - forged, sample) / math.comb(scored, sample)


def _chances(scored: int, sample: int) -> str:
    """In words, for one forged trace, one in a hundred, and one in ten."""
    numbers = dict.fromkeys(n for n in (1, scored // 100, scored // 10) if n)
    return ", ".join(f"{n:,} with probability {chance(scored, sample, n):.2f}" for n in numbers)


def check_scores(folders: Mapping[str, Path], settings: params.Params, sample: int | None, seed: int) -> CheckResult:
    """Score a seeded sample of the scored traces anew (None: all), with an empty cache, and compare with step_scores.

    Equal to the last bit where student and numerics are those of the table and a batch holds one trace; else within
    TOLERANCE_NATS. `folders` maps a stage to its output.
    """
    from stepsift.score.identity import identify
    from stepsift.score.plan import sample_prompts

    path = folders["score"] / tables.STEP_SCORES.file
    scored = table_files.read_part(tables.STEP_SCORES, path, ["trace_id"])["trace_id"].unique()
    drawn = set(scored) if sample is None else sample_prompts(scored, sample, seed)
    of_sample = pl.col("trace_id").is_in(list(drawn))
    recorded = json.loads((folders["score"] / "numerics.json").read_bytes())
    pool = PoolTables(
        folders["ingest"] / tables.PROMPTS.file,
        folders["ingest"] / tables.TRACES.file,
        folders["segment"] / tables.STEPS.file,
    )
    try:
        if identify(settings.student, settings.score).student != recorded["student"]:
            return CheckResult("scores", "", (f"student.path {settings.student.path} is not the student that scored",))
        with tempfile.TemporaryDirectory() as folder:
            again = score_steps(pool, drawn, settings, Path(folder) / "cache", Path(folder))
    except StepsiftError as e:
        return CheckResult("scores", "", (f"{count(len(drawn), 'trace')} cannot be scored again: {e}",))
    current, new = again.identity.as_json(), again.step_scores
    old = table_files.read_part(tables.STEP_SCORES, path, where=of_sample)
    exact = is_exact(current, recorded)
    how = "tolerance 0" if exact else f"tolerance {TOLERANCE_NATS:g} nats per token, {_why(current, recorded)}"
    broken = differences(old, new, None if exact else TOLERANCE_NATS)
    n_left = len(scored) - len(drawn)
    odds = f", which finds forged scores of {_chances(len(scored), len(drawn))}" if n_left else ""
    return CheckResult(
        "scores",
        f"{count(len(drawn), 'trace')} scored again: the same, {how}{odds}",
        tuple(f"{b} ({how})" for b in broken),
        f"the scores of {count(n_left, 'trace')}" if n_left else "",
    )


def is_exact(current: Mapping[str, Any], recorded: Mapping[str, Any]) -> bool:
    """Whether scores come out to the last bit: recorded is all that is said of them now, and a batch held one trace.

    What else is recorded, such as how the student is given traces, moves no score by itself.
    """
    one_trace = current.get("numerics", {}).get("batching", "trace") == "trace"
    return one_trace and all(k in recorded and recorded[k] == value for k, value in current.items())


def _why(current: Mapping[str, Any], recorded: Mapping[str, Any]) -> str:
    one, other = current["numerics"], recorded["numerics"]
    names = [k for k in sorted({*one, *other}) if one.get(k) != other.get(k)]
    return f"for this machine differs in {', '.join(names)}" if names else "for batches hold many traces"


def same_values(tolerance: float | None) -> dict[str, pl.Expr]:
    """Column of table step_scores to whether it is the same as its twin with `_new` behind its name.

    `tolerance` in nats, as a mean over a step's tokens of log-probability and entropy; None: all columns are equal.
    """
    if tolerance is None:
        here = [c for c in tables.STEP_SCORES.schema if c not in tables.STEP_SCORES.key]
        return {c: pl.col(c).eq_missing(pl.col(f"{c}_new")) for c in here}
    room = tolerance * pl.col("n_tokens").clip(lower_bound=1)
    same = {"n_tokens": pl.col("n_tokens").eq_missing(pl.col("n_tokens_new"))}
    for c in NATS:
        a, b = pl.col(c), pl.col(f"{c}_new")
        same[c] = ((a - b).abs() <= room).fill_null(False) | (a.is_null() & b.is_null())
    return same


def differences(old: pl.DataFrame, new: pl.DataFrame, tolerance: float | None) -> list[str]:
    """A sentence for each trace whose steps differ; two frames of table step_scores.

    `tolerance` in nats, as a mean over a step's tokens of log-probability and entropy; None: all columns are equal.
    """
    both = old.join(new, on=["trace_id", "step"], how="full", coalesce=True, suffix="_new")
    same = same_values(tolerance).values()
    wrong = both.filter(~pl.all_horizontal(same)).sort("trace_id", "step")
    steps = wrong.group_by("trace_id", maintain_order=True).agg(pl.len().alias("n"), pl.col("step").first())
    return [f"trace {t} has other scores in {count(n, 'step')}, from step {step} on" for t, n, step in steps.rows()]
