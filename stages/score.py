"""Stage score: the student's log-probability of every step, in its window and in its whole context."""

import argparse
from pathlib import Path

from stepsift import params, sidecache, tracking
from stepsift.core import console, disk, table_files, tables
from stepsift.core.text import count
from stepsift.score import perturb, references, setup, window_share
from stepsift.score.plan import sample_prompts
from stepsift.score.pool import Pool, PoolTables, Prompts
from stepsift.score.progress import Progress
from stepsift.score.rendering import in_words
from stepsift.score.run import score_to_tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompts", type=Path, help="table prompts")
    parser.add_argument("traces", type=Path, help="table traces")
    parser.add_argument("steps", type=Path, help="table steps")
    parser.add_argument(
        "out", type=Path, help="folder for step_scores, rejected, perturbed and references' scores, and numerics.json"
    )
    parser.add_argument("metrics", type=Path, help="JSON file for the counts")
    args = parser.parse_args()
    settings = params.load()

    passes = " and in its whole context" if "full" in settings.score.passes else ""
    intent = f"scores every step under {settings.student.path}, in a window of {settings.score.window:g}{passes}"
    with console.announced("score", intent, args.out) as end, tracking.stage("score", settings) as run:
        with disk.fresh_folder(args.out) as out:
            ids = [i for f in table_files.scan(tables.PROMPTS, args.prompts, ["prompt_id"]) for i in f["prompt_id"]]
            prompts = Prompts(args.prompts, sample_prompts(ids, settings.score.prompts, settings.score.seed))
            pool = Pool(prompts, args.traces, args.steps)
            about, done = _score_student(settings, pool, out, run)
            if settings.select.stability == "full":
                paths = PoolTables(args.prompts, args.traces, args.steps)
                perturb.score_variants(settings, paths, out / "perturbed", sidecache.root(), run.log_metrics)
            disk.write_json(about, out / "numerics.json")
            others = references.score_references(settings.score, pool, out / "references", sidecache.root(), None)
            scores = out / tables.STEP_SCORES.file
            seen, by_teacher = window_share.of_tables(scores, args.traces, settings.score.window)
            counts = done.metrics() | {"window_share": window_share.metrics(seen, by_teacher)}
            counts |= {"references": others} if others else {}
            disk.write_json(counts, args.metrics)
        # At the step of the last trace: MLflow shows the value of the highest step.
        run.log_metrics(counts | done.speed(), step=done.traces)
        windowed = f"; {seen.sentence()}" if "local" in settings.score.passes else ""
        scored = f"{done.scored:,} of {count(done.total, 'trace')} scored"
        compared = f"; also under {', '.join(others)}" if others else ""
        end.did = f"{scored}, {done.from_cache:,} of them from the cache{windowed}{compared}"


def _score_student(
    settings: params.Params, pool: Pool, out: Path, run: tracking.Run
) -> tuple[dict[str, object], Progress]:
    """Score with the student, which is let go at the end: what is said of its scores, and what was done."""
    with setup.load(settings.student, settings.score, sidecache.root()) as scoring:
        score_to_tables(scoring, pool, out, run.log_metrics)
    return scoring.identity.as_json() | {"rendering": in_words(scoring.planner.renderer)}, scoring.progress


if __name__ == "__main__":
    console.run(main)
