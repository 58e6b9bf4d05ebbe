"""Stage score: the student's log-probability of every step, in its window and in its whole context."""

import argparse
from pathlib import Path

from stepsift import params, sidecache, tracking
from stepsift.core import console, disk, tables
from stepsift.core.text import count
from stepsift.score import perturb, setup, window_share
from stepsift.score.plan import sample_prompts
from stepsift.score.pool import Pool, PoolTables, Prompts
from stepsift.score.rendering import in_words
from stepsift.score.run import score_to_tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompts", type=Path, help="table prompts")
    parser.add_argument("traces", type=Path, help="table traces")
    parser.add_argument("steps", type=Path, help="table steps")
    parser.add_argument(
        "out", type=Path, help="folder for step_scores, rejected and perturbed scores, and numerics.json"
    )
    parser.add_argument("metrics", type=Path, help="JSON file for the counts")
    args = parser.parse_args()
    settings = params.load()

    passes = " and in its whole context" if "full" in settings.score.passes else ""
    intent = f"scores every step under {settings.student.path}, in a window of {settings.score.window:g}{passes}"
    with console.told("score", intent, args.out) as end, tracking.stage("score", settings) as run:
        with disk.fresh_folder(args.out) as out:
            ids = [i for f in tables.scan(tables.PROMPTS, args.prompts, ["prompt_id"]) for i in f["prompt_id"]]
            prompts = Prompts(args.prompts, sample_prompts(ids, settings.score.prompts, settings.score.seed))
            with setup.load(settings.student, settings.score, sidecache.root()) as scoring:
                score_to_tables(scoring, Pool(prompts, args.traces, args.steps), out, run.log_metrics)
            if settings.select.stability == "full":
                pool = PoolTables(args.prompts, args.traces, args.steps)
                perturb.score_variants(settings, pool, out / "perturbed", sidecache.root(), run.log_metrics)
            about = scoring.identity.as_json() | {"rendering": in_words(scoring.planner.renderer)}
            disk.write_json(about, out / "numerics.json")
            scores = out / tables.STEP_SCORES.file
            seen, by_teacher = window_share.of_tables(scores, args.traces, settings.score.window)
            counts = scoring.progress.metrics() | {"window_share": window_share.metrics(seen, by_teacher)}
            disk.write_json(counts, args.metrics)
        done = scoring.progress
        # At the step of the last trace: MLflow shows the value of the highest step.
        run.log_metrics(counts | done.speed(), step=done.traces)
        windowed = f"; {seen.sentence()}" if "local" in settings.score.passes else ""
        scored = f"{done.scored:,} of {count(done.total, 'trace')} scored"
        end.did = f"{scored}, {done.from_cache:,} of them from the cache{windowed}"


if __name__ == "__main__":
    console.run(main)
