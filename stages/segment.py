"""Stage segment: cut every trace into steps, as character offsets into its response."""

import argparse
from pathlib import Path

from stepsift import params, segment, tracking
from stepsift.core import console, disk, tables
from stepsift.core.text import count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("traces", type=Path, help="table traces")
    parser.add_argument("out", type=Path, help="folder for steps.parquet")
    parser.add_argument("metrics", type=Path, help="JSON file for the counts")
    args = parser.parse_args()
    settings = params.load()

    source = settings.segment.offsets
    what = f"as {source} says" if source is not None else f"a step being a {settings.segment.unit}"
    intent = f"cuts every trace into steps, {what}"
    with console.told("segment", intent, args.out) as end, tracking.stage("segment", settings) as run:
        with disk.fresh_folder(args.out) as out:
            counts = segment.Counts()
            with tables.Writer(tables.STEPS, out / tables.STEPS.file) as writer:
                # What is not read here is not sent to the workers.
                traces = tables.scan(tables.TRACES, args.traces, ["trace_id", "content_hash", "response"])
                for steps in segment.segment_tables(traces, settings.segment):
                    counts.add(steps)
                    writer.write(steps)
            disk.write_json(counts.metrics(), args.metrics)
        run.log_metrics(counts.metrics())
        end.did = f"{count(counts.steps, 'step')} of {count(counts.traces, 'trace')}"


if __name__ == "__main__":
    console.run(main)
