"""Stage ingest: raw trace files to prompts, traces and rejected rows, with answers verified."""

import argparse
from pathlib import Path

from stepsift import params, tracking
from stepsift.core import console, disk
from stepsift.core.text import count
from stepsift.ingest.files.find import require_own_files
from stepsift.ingest.run import ingest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", type=Path, help="folder with trace files")
    parser.add_argument("out", type=Path, help="folder for prompts.parquet, traces.parquet and rejected.parquet")
    parser.add_argument("metrics", type=Path, help="JSON file for the counts")
    args = parser.parse_args()
    settings = params.load()

    intent = f"reads the trace files below {args.sources} and checks their answers"
    with console.announced("ingest", intent, args.out) as end, tracking.stage("ingest", settings) as run:
        require_own_files(args.sources)
        with disk.fresh_folder(args.out) as out:
            counts = ingest(args.sources, out, settings.ingest, args.out.parent / ".stepsift")
            disk.write_json(counts.as_dict(), args.metrics)
        run.log_metrics(counts.as_dict())
        n = counts.total
        end.did = (
            f"{count(n.kept, 'trace')} of {count(counts.prompts, 'prompt')} kept, {n.rejected:,} of "
            f"{count(n.read, 'row')} rejected"
        )


if __name__ == "__main__":
    console.run(main)
