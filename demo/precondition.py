"""Does context make late tokens probable, and does a window take that away? A table from a pool's step scores.

    python demo/precondition.py data/ingest/traces.parquet data/score/step_scores.parquet

What a windowed score corrects for must be there before the two can differ: the mean log-probability a token rises along
a trace when all of it is in the context, and rises less within a window.
"""

import argparse
import sys
from pathlib import Path

import polars as pl

PARTS = 10
SHOWN = (1, 2, 4, 6, 8, 10)
"""Parts of which the table has a column."""


def by_position(steps: pl.DataFrame, traces: pl.DataFrame, parts: int = PARTS) -> pl.DataFrame:
    """Mean log-probability a token (nats) of each teacher in each part of its traces.

    `steps` has the columns of tables.STEP_SCORES, `traces` has trace_id and teacher. A step counts where its middle
    token lies, with as much weight as it has tokens; traces without a full score are left out. Columns: teacher, part
    (1 to `parts`), n_tokens, full, windowed.
    """
    ahead = pl.col("n_tokens").cum_sum().over("trace_id", order_by="step") - pl.col("n_tokens") / 2
    share = ahead / pl.col("n_tokens").sum().over("trace_id")
    return (
        steps.drop_nulls(["full_logprob", "local_logprob"])
        .filter(pl.col("n_tokens") > 0)
        .with_columns(part=(share * parts).floor().cast(pl.Int32) + 1)
        .join(traces.select("trace_id", "teacher"), on="trace_id")
        .group_by("teacher", "part")
        .agg(
            pl.col("n_tokens").sum(),
            full=pl.col("full_logprob").sum() / pl.col("n_tokens").sum(),
            windowed=pl.col("local_logprob").sum() / pl.col("n_tokens").sum(),
        )
        .sort("teacher", "part")
    )


def table(positions: pl.DataFrame, lengths: dict[str, float], shown: tuple[int, ...] = SHOWN) -> str:
    """A Markdown table, shortest teacher first; `lengths` has the mean tokens of each teacher's traces."""
    lines = [
        "| teacher (tokens) | context | " + " | ".join(f"part {part}" for part in shown) + " |",
        "|---" * (len(shown) + 2) + "|",
    ]
    for teacher in sorted(lengths, key=lambda name: (lengths[name], name)):
        of_teacher = positions.filter(pl.col("teacher") == teacher)
        for name in ("full", "windowed"):
            values = dict(zip(of_teacher["part"], of_teacher[name], strict=True))
            cells = [f"{values[part]:.2f}" if part in values else "" for part in shown]
            lines.append(f"| {teacher} ({lengths[teacher]:.0f}) | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Prints the table; returns the exit code."""
    parser = argparse.ArgumentParser(description="Mean log-probability by position, in full context and windowed.")
    parser.add_argument("traces", type=Path, help="data/ingest/traces.parquet")
    parser.add_argument("step_scores", type=Path, help="data/score/step_scores.parquet")
    arguments = parser.parse_args()
    traces, steps = pl.read_parquet(arguments.traces), pl.read_parquet(arguments.step_scores)
    of_trace = steps.group_by("trace_id").agg(pl.col("n_tokens").sum()).join(traces, on="trace_id")
    lengths = dict(of_trace.group_by("teacher").agg(pl.col("n_tokens").mean()).iter_rows())
    print(table(by_position(steps, traces), lengths))
    return 0


if __name__ == "__main__":
    sys.exit(main())
