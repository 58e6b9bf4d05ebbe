"""Stage report: one page that says what was curated, from what, and what it gave; and its charts as pictures."""

import argparse
from pathlib import Path

from stepsift import params, report, tracking
from stepsift.core import console, disk
from stepsift.core.text import count

SECTIONS = ("student", "ingest", "segment", "score", "select", "train", "evaluate")
"""Sections of params.yaml that the page shows."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ingest", type=Path, help="folder of stage ingest")
    parser.add_argument("steps", type=Path, help="table steps")
    parser.add_argument("score", type=Path, help="folder of stage score")
    parser.add_argument("select", type=Path, help="folder of stage select")
    parser.add_argument("train_rejected", type=Path, help="table rejected of stage train")
    parser.add_argument("curves", type=Path, help="JSON file with the points of the training curves")
    parser.add_argument("accuracies", type=Path, help="JSON file with the points of the chart of accuracies")
    parser.add_argument("evaluations", type=Path, help="table evaluations")
    parser.add_argument("metrics", type=Path, help="folder with the counts of all stages")
    parser.add_argument("out", type=Path, help="HTML file")
    parser.add_argument("charts", type=Path, help="folder for PNG files")
    parser.add_argument("summary", type=Path, help="JSON file for the numbers by which runs are compared")
    parser.add_argument("learned", type=Path, help="table learned")
    args = parser.parse_args()
    settings = params.load()

    with console.announced("report", "writes the page", args.out) as end, tracking.stage("report", settings) as run:
        places = report.Places(
            ingest=args.ingest,
            counts=args.metrics / "ingest.json",
            scored=args.metrics / "score.json",
            steps=args.steps,
            score=args.score,
            select=args.select,
            train_rejected=args.train_rejected,
            curves=args.curves,
            accuracies=args.accuracies,
            evaluations=args.evaluations,
            learned=args.learned,
        )
        shown = settings.model_dump(mode="json", include=set(SECTIONS))
        page = report.render(settings.report.title, shown, report.read(places, settings.report.prompts))
        with disk.fresh_folder(args.charts) as folder:
            for name, png in page.pngs.items():
                (folder / f"{name}.png").write_bytes(png)
        disk.write_text(page.html, args.out)
        summary = tracking.summarise_metrics(args.metrics)
        disk.write_json(summary, args.summary)
        run.log_summary(summary)
        for file in (args.out, *sorted(args.charts.iterdir())):
            run.log_file(file)
        end.did = f"{len(page.html.encode()) / 2**20:.1f} MB, {count(len(page.pngs), 'chart')}"


if __name__ == "__main__":
    console.run(main)
