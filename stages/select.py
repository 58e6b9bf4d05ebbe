"""Stage select: rank the teachers and pick the best trace of each prompt, once for each selector."""

import argparse
from pathlib import Path

from stepsift import console, curate, params, tables, tracking


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompts", type=Path, help="table prompts")
    parser.add_argument("traces", type=Path, help="table traces")
    parser.add_argument("step_scores", type=Path, help="table step_scores")
    parser.add_argument("out", type=Path, help="folder for trace scores, teacher ranking and one folder a selector")
    parser.add_argument("metrics", type=Path, help="JSON file for the counts")
    args = parser.parse_args()
    settings = params.load()

    with tracking.stage("select", settings) as run, tables.fresh_folder(args.out) as out:
        selection = curate.select(
            tables.read(tables.PROMPTS, args.prompts),
            tables.read(tables.TRACES, args.traces),
            tables.read(tables.STEP_SCORES, args.step_scores),
            settings.select,
        )
        curate.write(selection, out)
        tables.write_json(selection.metrics, args.metrics)
        run.log_metrics(selection.metrics)


if __name__ == "__main__":
    console.run(main)
