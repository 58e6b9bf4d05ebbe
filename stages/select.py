"""Stage select: rank the teachers and choose traces, once for each selector."""

import argparse
from pathlib import Path

from stepsift import params, tracking
from stepsift.core import console, disk, table_files, tables
from stepsift.core.text import count
from stepsift.select import Inputs, pool, questions, ranking, select, write_selection

TABLES = (tables.PROMPTS.file, tables.TRACES.file, tables.STEP_SCORES.file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ingested", type=Path, help="folder with prompts, traces and sources.json")
    parser.add_argument(
        "scored", type=Path, help="folder with step_scores, numerics.json, perturbed and references' scores"
    )
    parser.add_argument("steps", type=Path, help="table of steps")
    parser.add_argument("tasks", type=Path, help="folder with local evaluation tasks")
    parser.add_argument("out", type=Path, help="folder for trace scores, teacher ranking and one folder per selector")
    parser.add_argument("chart", type=Path, help="JSON file for the points of a chart of the ranking")
    parser.add_argument("metrics", type=Path, help="JSON file for the counts")
    args = parser.parse_args()
    settings = params.load()

    paths = (args.ingested / TABLES[0], args.ingested / TABLES[1], args.scored / TABLES[2])
    intent = f"ranks the teachers and chooses traces by {', '.join(settings.select.names)}"
    with console.announced("select", intent, args.out) as end, tracking.stage("select", settings) as run:
        with disk.fresh_folder(args.out) as out:
            reference = pool.find_reference(args.scored, settings.select.reference)
            inputs = Inputs(
                sources=disk.read_json(args.ingested / "sources.json"),
                tables={path.name: disk.file_md5(path) for path in paths},
                student={"path": settings.student.path, **disk.read_json(args.scored / "numerics.json")},
                reference=None if reference is None else reference.about,
            )
            unfiltered = settings.select.filters.decontaminate is None
            evaluate = settings.evaluate
            test_questions = questions.load_questions(
                evaluate.tasks, args.tasks, evaluate.trusted_tasks, skip_missing=unfiltered
            )
            traces = pool.read(paths[0], paths[1], paths[2], args.steps, reference.step_scores if reference else None)
            perturbed = [
                table_files.scan(tables.STEP_SCORES, p) for p in sorted(args.scored.glob("perturbed/*.parquet"))
            ]
            selection = select(
                traces,
                settings.select,
                test_questions,
                [table_files.regroup(frames, "trace_id") for frames in perturbed],
            )
            steps = None if settings.train.steps == "all" else settings.train.steps
            write_selection(selection, traces, settings.select, test_questions, inputs, out, steps)
            disk.write_json(ranking.chart(selection.teachers, settings.select.selectors), args.chart)
            disk.write_json(selection.metrics, args.metrics)
        run.log_metrics(selection.metrics)
        sizes = ", ".join(f"{name} {rows.height:,}" for name, rows in selection.curated.items())
        end.did = f"chosen of {count(selection.candidates.height, 'candidate')}: {sizes}"


if __name__ == "__main__":
    console.run(main)
