"""Stage segment: cut every trace into steps, as character offsets into its response."""

import argparse
import logging
from pathlib import Path

from stepsift import params, segment, sidecache, tracking
from stepsift.core import console, disk, table_files, tables
from stepsift.core.text import count

log = logging.getLogger("stepsift.segment")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("traces", type=Path, help="table traces")
    parser.add_argument("out", type=Path, help="folder for steps.parquet")
    parser.add_argument("metrics", type=Path, help="JSON file for the counts")
    args = parser.parse_args()
    settings = params.load()

    with (
        console.announced("segment", _intent(settings.segment), args.out) as end,
        tracking.stage("segment", settings) as run,
    ):
        with disk.fresh_folder(args.out) as out:
            counts = segment.Counts()
            with segment.open_grouping(settings.segment, sidecache.root()) as grouping:
                if grouping is not None:
                    _tell_cost(args.traces, settings.segment)
                with table_files.Writer(tables.STEPS, out / tables.STEPS.file) as writer:
                    # What is not read here is not sent to the workers.
                    traces = table_files.scan(tables.TRACES, args.traces, ["trace_id", "content_hash", "response"])
                    for steps in segment.segment_tables(traces, settings.segment, grouping):
                        counts.add(steps)
                        writer.write(steps)
                metrics = counts.metrics()
                if grouping is not None:
                    log.info("segment: %s", grouping.finish())
                    table_files.write(tables.FALLBACKS, grouping.table(), out / tables.FALLBACKS.file)
                    metrics["llm"] = grouping.metrics()
            disk.write_json(metrics, args.metrics)
        run.log_metrics(metrics)
        end.did = f"{count(counts.steps, 'step')} of {count(counts.traces, 'trace')}"


def _intent(settings: params.Segment) -> str:
    if settings.unit == "llm" and settings.llm is not None:
        return f"cuts every trace into steps, as {settings.llm.model} groups its sentences"
    what = f"as {settings.offsets} says" if settings.offsets is not None else f"a step being a {settings.unit}"
    return f"cuts every trace into steps, {what}"


def _tell_cost(traces: Path, settings: params.Segment) -> None:
    """Say who will be asked how much, before the first request."""
    responses = (r for frame in table_files.scan(tables.TRACES, traces, ["response"]) for r in frame["response"])
    if settings.llm is not None:
        expected = segment.forecast(responses, settings, sidecache.root())
        log.info("segment: asks %s", expected.sentence(settings.llm))


if __name__ == "__main__":
    console.run(main)
