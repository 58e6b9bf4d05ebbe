"""Stage evaluate: accuracy of every trained student, and of the untrained one beside them."""

import argparse
from pathlib import Path

from stepsift import params, sidecache, student, tracking
from stepsift.core import console, disk, table_files, tables
from stepsift.evaluate import Evaluation, evaluate_all
from stepsift.evaluate.learned import LearnedPlaces, learned_steps
from stepsift.score.pool import PoolTables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, help="folder with <selector>/seed-<seed>/")
    parser.add_argument("tasks", type=Path, help="folder with local tasks, YAML and JSONL")
    parser.add_argument("out", type=Path, help="folder for evaluations.parquet, answers.parquet and learned.parquet")
    parser.add_argument("chart", type=Path, help="JSON file for the points of a chart of accuracies")
    parser.add_argument("metrics", type=Path, help="JSON file for the accuracies")
    parser.add_argument("selections", type=Path, help="folder with <selector>/curated.parquet")
    parser.add_argument("ingested", type=Path, help="folder with prompts and traces")
    parser.add_argument("steps", type=Path, help="table steps")
    parser.add_argument("scored", type=Path, help="folder with step_scores of the untrained student")
    args = parser.parse_args()
    settings = params.load()

    intent = f"has every student answer {', '.join(settings.evaluate.tasks)}"
    with console.announced("evaluate", intent, args.out) as end, tracking.stage("evaluate", settings) as run:
        evaluation = Evaluation(student.find(settings.student), settings.evaluate, sidecache.root() / "evaluations")
        evaluated = evaluate_all(evaluation, args.models, args.tasks, args.out)
        pool = PoolTables(args.ingested / tables.PROMPTS.file, args.ingested / tables.TRACES.file, args.steps)
        places = LearnedPlaces(args.models, args.selections, args.scored, pool, sidecache.root())
        table_files.write(tables.LEARNED, learned_steps(settings, places), args.out / tables.LEARNED.file)
        disk.write_json(evaluated.chart(), args.chart)
        disk.write_json(evaluated.metrics(), args.metrics)
        run.log_metrics(evaluated.metrics())
        rescored = f"; scored after training: {', '.join(names)}" if (names := settings.evaluate.rescore) else ""
        end.did = f"{evaluated.evaluated} evaluated, {evaluated.reused} from the cache{rescored}"


if __name__ == "__main__":
    console.run(main)
