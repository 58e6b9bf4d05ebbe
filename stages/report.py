"""Stage report: one page that says what was curated, from what, and what it gave."""

import argparse
import json
from pathlib import Path

from stepsift import console, params, tables, tracking
from stepsift.report import render_page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("teachers", type=Path, help="table teachers")
    parser.add_argument("evaluations", type=Path, help="table evaluations")
    parser.add_argument("ingest", type=Path, help="JSON file with the counts of ingest")
    parser.add_argument("select", type=Path, help="JSON file with the counts of select")
    parser.add_argument("out", type=Path, help="HTML file")
    args = parser.parse_args()
    settings = params.load()

    with console.told("report", "writes the page", args.out) as end, tracking.stage("report", settings) as run:
        page = render_page(
            settings.report.title,
            json.loads(args.ingest.read_text(encoding="utf-8")),
            json.loads(args.select.read_text(encoding="utf-8")),
            tables.read(tables.TEACHERS, args.teachers),
            tables.read(tables.EVALUATIONS, args.evaluations),
        )
        tables.write_text(page, args.out)
        run.log_file(args.out)
        end.did = f"{len(page):,} characters"


if __name__ == "__main__":
    console.run(main)
