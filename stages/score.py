"""Stage score: the student's log-probability of every step, in its window and in its whole context."""

import argparse
from pathlib import Path

from stepsift import console, params, student, tables, tracking
from stepsift.scoring.engine import Engine
from stepsift.scoring.run import Progress, Scorer, sample_prompts, score_to_tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompts", type=Path, help="table prompts")
    parser.add_argument("traces", type=Path, help="table traces")
    parser.add_argument("steps", type=Path, help="table steps")
    parser.add_argument("out", type=Path, help="folder for step_scores.parquet and rejected.parquet")
    parser.add_argument("metrics", type=Path, help="JSON file for the counts")
    args = parser.parse_args()
    settings = params.load()

    with tracking.stage("score", settings) as run, tables.fresh_folder(args.out) as out:
        files = student.locate(settings.student)
        renderer = student.load_renderer(files, settings.student)
        model = student.load_model(files, settings.score.dtype, student.pick_device(settings.score.device))
        context = student.context_tokens(model.config, settings.student)
        scorer = Scorer(renderer, Engine(model, settings.score.batch_tokens), settings.score, context)
        prompts = tables.read(tables.PROMPTS, args.prompts)
        chosen = sample_prompts(prompts["prompt_id"], settings.score.prompts, settings.score.seed)
        progress = Progress()
        score_to_tables(
            scorer,
            {row["prompt_id"]: row["prompt"] for row in prompts.iter_rows(named=True) if row["prompt_id"] in chosen},
            args.traces,
            args.steps,
            out,
            progress,
        )
        tables.write_json(progress.metrics(), args.metrics)
        run.log_metrics(progress.metrics())
        run.log_metrics(progress.speed())


if __name__ == "__main__":
    console.run(main)
