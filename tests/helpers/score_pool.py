"""Small pools of traces as the tables that scoring reads."""

from pathlib import Path

import polars as pl

from helpers.score_cases import MESSAGES, RESPONSE, cut
from stepsift.core import table_files, tables
from stepsift.score.pool import Pool

SHORT = "So x = 4. Yes!\n\nThe answer is 7."
CYRILLIC = "Let x be 4. это 4."
"""Has a letter, "э", that no other trace of the pool has."""
POOL = {"a": RESPONSE, "b": SHORT, "c": CYRILLIC}
PROMPTS = {"p": MESSAGES}


def frames(pool: dict[str, str], prompt_id: str = "p") -> tuple[list[pl.DataFrame], list[pl.DataFrame]]:
    """Traces and steps as the tables have them, in two row groups each, not cut at the same trace."""
    traces, steps = [], []
    for line, (trace_id, response) in enumerate(pool.items(), start=1):
        row = {"trace_id": trace_id, "content_hash": "", "prompt_id": prompt_id, "teacher": "t", "response": response}
        traces.append(row | {"verdict": "unchecked", "label": None, "source": "s.jsonl", "source_line": line})
        spans = cut(response) if response == RESPONSE else [(0, 9), (9, len(response))]
        for number, (start, end) in enumerate(spans, start=1):
            steps.append(
                {"trace_id": trace_id, "step": number, "start": start, "end": end, "kind": "sentence", "capped": False}
            )
    both = pl.DataFrame(traces, schema=tables.TRACES.schema), pl.DataFrame(steps, schema=tables.STEPS.schema)
    return tuple([f[:2], f[2:]] if f.height > 2 else [f] for f in both)


def write_pool(folder: Path, pool: dict[str, str], prompts: dict = PROMPTS) -> Pool:
    traces, steps = (pl.concat(f) for f in frames(pool))
    table_files.write(tables.TRACES, traces, folder / "traces.parquet")
    table_files.write(tables.STEPS, steps, folder / "steps.parquet")
    return Pool(prompts, folder / "traces.parquet", folder / "steps.parquet")
