"""Chosen traces as exports take them."""

import polars as pl

from stepsift.core import tables

SYSTEM = "s\r\n"
TEXT = '<think>\n½ \u2028 \u2029 \x85 \t"\\ 数学 🙂</think>\r\nanswer: 4 \n'


def chosen_rows(n: int, responses: list[str] | None = None) -> pl.DataFrame:
    """`n` rows, a prompt each; all of their responses are TEXT where none are given."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "q?"}]
    return pl.DataFrame(
        {
            "prompt_id": [f"p{i}" for i in range(n)],
            "trace_id": [f"t{i}" for i in range(n)],
            "teacher": ["a"] * n,
            "selector": ["lalp"] * n,
            "score": [-1.0] * n,
            "licence": ["MIT"] * n,
            "source": ["a.jsonl"] * n,
            "source_line": range(1, n + 1),
            "verdict": ["correct"] * n,
            "prompt": [messages] * n,
            "domain": [None] * n,
            "response": responses or [TEXT] * n,
        },
        schema_overrides={"prompt": tables.MESSAGES, "domain": pl.String, "source_line": pl.Int64},
    )
