"""Small pools for the tests of curation: traces with known step scores."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from stepsift import select as curate
from stepsift.core import tables
from stepsift.metrics import fit_all, trace_scores, trace_sums, with_fits
from stepsift.select.candidates import find_candidates


@dataclass(frozen=True)
class Pool:
    """The three tables that select reads."""

    prompts: pl.DataFrame
    traces: pl.DataFrame
    step_scores: pl.DataFrame

    def scores(self, seed: int = 0) -> pl.DataFrame:
        """Its trace sums and scores, but for those that are fitted."""
        return trace_scores(trace_sums(self.step_scores), self.traces, seed)

    def candidates(self, correct: str = "ignore", seed: int = 0) -> pl.DataFrame:
        """Its candidates with all scores; a fit over all teachers, null where it is not determined."""
        found, _ = find_candidates(self.prompts, self.traces, self.scores(seed), correct)
        return with_fits(found, fit_all(found, "pool"))

    def in_frames(self) -> curate.ScoredPool:
        """The pool as select reads it: a frame for each trace."""

        def cut(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
            yield from frame.sort("trace_id").partition_by("trace_id", maintain_order=True)

        return curate.ScoredPool(
            prompts=self.prompts,
            traces=self.traces.drop("response"),
            responses=lambda: cut(self.traces.select("trace_id", "response")),
            step_scores=lambda: cut(self.step_scores),
        )


def make_pool(rows: list[dict], domains: dict[str, str] | None = None) -> Pool:
    """One trace for each row; keys (defaults): prompt_id, teacher, trace_id (teacher-prompt), hash (trace_id), verdict
    (correct), response (one of its own), scored (True), and those of a step, or `steps`, a list of these.

    A step's keys are means a token: lalp (-1), galp (-1; None: no full pass), rank (2), entropy (1), brier (0.25),
    n_tokens (1). None of its tokens is a first one. A trace of one step has its lalp for its lalp_token and its galp
    for its step_mean.
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
                "response": row.get("response", f"response of {trace_id}"),
                "verdict": row.get("verdict", "correct"),
                "source": "pool.jsonl",
                "source_line": line,
            }
        )
        if row.get("scored", True):
            own = enumerate(row.get("steps", [row]), start=1)
            steps += [{"trace_id": trace_id, "step": number} | _step(step) for number, step in own]
    prompts = [
        {
            "prompt_id": prompt_id,
            "prompt": [{"role": "user", "content": f"question {prompt_id}"}],
            "domain": (domains or {}).get(prompt_id),
            "answer_kind": "none",
        }
        for prompt_id in sorted({row["prompt_id"] for row in rows})
    ]
    return Pool(
        pl.DataFrame(prompts, schema=tables.PROMPTS.schema).sort("prompt_id"),
        pl.DataFrame(traces, schema=tables.TRACES.schema).sort("trace_id"),
        pl.DataFrame(steps, schema=tables.STEP_SCORES.schema).sort("trace_id", "step"),
    )


def pool_of_steps(*traces: list[tuple[int, float | None, float | None]]) -> curate.ScoredPool:
    """Traces t0, t1, ..: (tokens, local and full mean log-probability) of each step; a step has 10 characters."""
    rows = [
        {
            "prompt_id": f"p{i}",
            "teacher": "a",
            "trace_id": f"t{i}",
            "response": "x" * 10 * len(steps),
            "steps": [{"n_tokens": n, "lalp": local, "galp": full} for n, local, full in steps],
        }
        for i, steps in enumerate(traces)
    ]
    places = pl.DataFrame(
        [(f"t{i}", s, 10 * s - 10, 10 * s, "line", False) for i, t in enumerate(traces) for s in range(1, len(t) + 1)],
        schema=tables.STEPS.schema,
        orient="row",
    )
    made = make_pool(rows).in_frames()
    return curate.ScoredPool(made.prompts, made.traces, made.responses, made.step_scores, lambda: iter([places]))


def _step(row: dict) -> dict:
    n = row.get("n_tokens", 1)
    means = {"rank": row.get("rank", 2.0), "entropy": row.get("entropy", 1.0), "brier": row.get("brier", 0.25)}
    means |= {"first_logprob": 0.0, "first_two_logprob": 0.0, "top_entropy": row.get("top_entropy", 1.0)}
    step: dict[str, float | bool | None] = {"n_tokens": n, "n_first": 0, "opens_branch": row.get("opens_branch", False)}
    for scope, logprob in (("local", row.get("lalp", -1.0)), ("full", row.get("galp", -1.0))):
        values = means | {"logprob": logprob, "first_100_logprob": logprob}
        step |= {f"{scope}_{k}": None if logprob is None else v * n for k, v in values.items()}
    return step
