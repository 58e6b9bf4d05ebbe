"""Small pools of texts for the tests of filters."""

import random

import polars as pl

from stepsift import params
from stepsift.core import table_files, tables
from stepsift.select.filters import apply_filters
from stepsift.select.pool import ScoredPool
from stepsift.select.questions import Questions, collect

OFF = params.Filters(unfinished_thinking=False, loops=False, near_duplicates=None, decontaminate=None)
NOTHING_ASKED = collect({})


def make_pool(rows: list[dict], prompts: dict[str, str] | None = None, rows_a_frame: int = 3) -> ScoredPool:
    """One trace for each row; keys (defaults): response, trace_id (t and its number), prompt_id (p), teacher (A), hash
    (trace_id). `prompts` is the text of each prompt (its id)."""
    traces = [
        {
            "trace_id": row.get("trace_id", f"t{i}"),
            "content_hash": row.get("hash", row.get("trace_id", f"t{i}")),
            "prompt_id": row.get("prompt_id", "p"),
            "teacher": row.get("teacher", "A"),
            "response": row["response"],
            "verdict": "correct",
            "source": "pool.jsonl",
            "source_line": i + 1,
        }
        for i, row in enumerate(rows)
    ]
    table = pl.DataFrame(traces, schema=tables.TRACES.schema).sort("trace_id")
    texts = {p: (prompts or {}).get(p, p) for p in sorted(set(table["prompt_id"]) | set(prompts or {}))}
    asked = [
        {"prompt_id": p, "prompt": [{"role": "user", "content": text}], "answer_kind": "none"}
        for p, text in texts.items()
    ]
    texts_only = table.select("trace_id", "response")
    return ScoredPool(
        pl.DataFrame(asked, schema=tables.PROMPTS.schema),
        table.drop("response"),
        lambda: texts_only.iter_slices(rows_a_frame),
        lambda: iter(()),
    )


def rejected(
    pool: ScoredPool, settings: params.Filters, questions: Questions = NOTHING_ASKED, **n_tokens: int
) -> pl.DataFrame:
    """What `apply` drops; every trace is scored and has 100 tokens where `n_tokens` says nothing else."""
    counts = pool.traces.select("trace_id").with_columns(
        n_tokens=pl.Series([n_tokens.get(t, 100) for t in pool.traces["trace_id"]], dtype=pl.Int32)
    )
    return table_files.validate(tables.REJECTED, apply_filters(pool, counts, settings, questions))


def reasons(pool: ScoredPool, settings: params.Filters, questions: Questions = NOTHING_ASKED, **n_tokens: int) -> dict:
    """Trace to reason."""
    return dict(rejected(pool, settings, questions, **n_tokens).select("trace_id", "reason").rows())


def prose(n_words: int, seed: int = 0, vocabulary: int = 5_000) -> list[str]:
    """Words that hardly any other seed has in the same order."""
    draw = random.Random(f"prose {seed}")
    return [f"w{draw.randrange(vocabulary)}" for _ in range(n_words)]
