"""Small pools for the tests of curation: traces with known step scores."""

from dataclasses import dataclass

import polars as pl

from stepsift import tables
from stepsift.metrics import trace_scores


@dataclass(frozen=True)
class Pool:
    """The three tables that select reads."""

    prompts: pl.DataFrame
    traces: pl.DataFrame
    step_scores: pl.DataFrame

    def scores(self, seed: int = 0) -> pl.DataFrame:
        """Its trace_scores."""
        return trace_scores(self.step_scores, self.traces, seed)


def make_pool(rows: list[dict], domains: dict[str, str] | None = None) -> Pool:
    """One trace for each row; keys (defaults): prompt_id, teacher, trace_id (teacher-prompt), hash (trace_id), verdict
    (correct), lalp (-1), galp (-1; None: no full pass), n_tokens (1), scored (True).

    A trace has one step, so that its lalp is its lalp_token and its galp its step_mean.
    """
    traces, steps = [], []
    for line, row in enumerate(rows, start=1):
        trace_id = row.get("trace_id", f"{row['teacher']}-{row['prompt_id']}")
        traces.append(
            {
                "trace_id": trace_id,
                "content_hash": row.get("hash", trace_id),
                "prompt_id": row["prompt_id"],
                "teacher": row["teacher"],
                "response": f"response of {trace_id}",
                "verdict": row.get("verdict", "correct"),
                "label": None,
                "source": "pool.jsonl",
                "source_line": line,
            }
        )
        n, galp = row.get("n_tokens", 1), row.get("galp", -1.0)
        if row.get("scored", True):
            step = {"trace_id": trace_id, "step": 1, "n_tokens": n, "local_logprob": row.get("lalp", -1.0) * n}
            steps.append(step | {"full_logprob": None if galp is None else galp * n})
    prompts = [
        {
            "prompt_id": prompt_id,
            "prompt": [{"role": "user", "content": f"question {prompt_id}"}],
            "domain": (domains or {}).get(prompt_id),
            "answer": None,
            "answer_kind": "none",
            "tests": None,
        }
        for prompt_id in sorted({row["prompt_id"] for row in rows})
    ]
    return Pool(
        pl.DataFrame(prompts, schema=tables.PROMPTS.schema).sort("prompt_id"),
        pl.DataFrame(traces, schema=tables.TRACES.schema).sort("trace_id"),
        pl.DataFrame(steps, schema=tables.STEP_SCORES.schema).sort("trace_id"),
    )
