"""Stage ingest: raw trace files to prompts, traces and rejected rows, with answers verified."""

import argparse
import logging
from pathlib import Path

from stepsift import console, params, tables, tracking
from stepsift.ingest import ingest

log = logging.getLogger("stepsift.stages.ingest")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", type=Path, help="folder with trace files")
    parser.add_argument("out", type=Path, help="folder for prompts.parquet, traces.parquet and rejected.parquet")
    parser.add_argument("metrics", type=Path, help="JSON file for the counts")
    args = parser.parse_args()
    settings = params.load()

    with tracking.stage("ingest", settings) as run, tables.fresh_folder(args.out) as out:
        counts = ingest(args.sources, out, settings.ingest)
        tables.write_json(counts.as_dict(), args.metrics)
        run.log_metrics(counts.as_dict())
    total = counts.total
    log.info(
        "%d traces of %d prompts kept, %d of %d rows rejected", total.kept, counts.prompts, total.rejected, total.read
    )


if __name__ == "__main__":
    console.run(main)
