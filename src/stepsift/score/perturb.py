"""Scores under slightly other settings, for `select.stability: full`: other windows, and another unit of steps.

What the settings have in common costs nothing anew: the full pass, and windows that are the same.
"""

from pathlib import Path

from stepsift import params, segment
from stepsift.core import table_files, tables
from stepsift.score import setup
from stepsift.score.plan import sample_prompts
from stepsift.score.pool import Pool, PoolTables, Prompts
from stepsift.score.run import OnProgress, score_to_tables

_FRACTION = 1.5
"""A window that is a fraction is divided and multiplied by this."""

Variants = dict[str, tuple[params.Score, params.Segment]]


def variants(score: params.Score, segments: params.Segment) -> Variants:
    """Name to settings: windows of k - 1 and k + 1 steps (no smaller than 1), and steps of another unit.

    A fraction f becomes f / 1.5 and 1.5 f (below 1). The other unit is `paragraph` for sentences, else `sentence`.
    """
    k = score.window
    windows = [k / _FRACTION, k * _FRACTION] if k < 1 else [k - 1, k + 1]
    unit = "paragraph" if segments.unit == "sentence" else "sentence"
    other_windows: Variants = {
        f"window-{w:g}": (score.model_copy(update={"window": w}), segments)
        for w in windows
        if (0 < w < 1 if k < 1 else w >= 1)
    }
    return other_windows | {f"unit-{unit}": (score, segments.model_copy(update={"unit": unit, "offsets": None}))}


def score_variants(
    settings: params.Params, pool: PoolTables, out: Path, cache: Path, on_progress: OnProgress | None
) -> None:
    """Write `out/NAME.parquet`, table step_scores, for each of the `variants`: of a seeded sample of prompts, or all.

    Raises as scoring does. Traces that a variant rejects are not in its table.
    """
    ids = [i for f in table_files.scan(tables.PROMPTS, pool.prompts, ["prompt_id"]) for i in f["prompt_id"]]
    scored = sample_prompts(ids, settings.score.prompts, settings.score.seed)
    sampled = Prompts(pool.prompts, sample_prompts(scored, settings.select.stability_prompts, settings.select.seed))
    for name, (score, segments) in variants(settings.score, settings.segment).items():
        folder = out / name
        folder.mkdir(parents=True)
        steps = pool.steps
        if steps is None or segments != settings.segment:
            steps = folder / tables.STEPS.file
            with table_files.Writer(tables.STEPS, steps) as writer:
                traces = table_files.scan(tables.TRACES, pool.traces, ["trace_id", "response"])
                for frame in segment.segment_tables(traces, segments):
                    writer.write(frame)
        with setup.load(settings.student, score, cache) as scoring:
            score_to_tables(scoring, Pool(sampled, pool.traces, steps), folder, on_progress)
        (folder / tables.STEP_SCORES.file).rename(out / f"{name}.parquet")
        for leftover in folder.iterdir():
            leftover.unlink()
        folder.rmdir()
