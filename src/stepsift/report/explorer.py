"""The trace explorer's content: prompts, their candidates step by step with scores, and why the winner won.

Steps are cut here, where offsets count code points; a browser counts UTF-16 and never sees an offset.
"""

from dataclasses import dataclass
from typing import Any

import polars as pl

from stepsift.core.text import script_json, visible
from stepsift.metrics import all_metrics

MOST_CANDIDATES = 12
"""Candidates of a prompt that are shown: what selectors chose and their runners-up first, then the best scores."""
MOST_RESPONSE_CHARS = 20_000
"""Characters of a response that are shown; the page says how many more there are."""
MOST_PROMPT_CHARS = 8_000
MOST_BYTES = 5 * 2**20
"""Of all prompts together, as JSON; the prompts beyond are left out, and the page says so."""
_DIGITS = 5


@dataclass(frozen=True)
class ShownPool:
    """The rows of the chosen prompts: tables prompts, traces, steps and step_scores, trace_scores, and what was chosen.

    `curated` maps a selector to its table, `by` a selector to its metric, `dropped` a trace to the reason for which no
    selector could choose it.
    """

    prompts: pl.DataFrame
    traces: pl.DataFrame
    steps: pl.DataFrame
    step_scores: pl.DataFrame
    scores: pl.DataFrame
    curated: dict[str, pl.DataFrame]
    by: dict[str, str]
    dropped: dict[str, str]


def explore(chosen: dict[str, list[str]], pool: ShownPool) -> dict[str, Any]:
    """What the page's script reads, ready for JSON: names of `selectors`, `prompts`, and `left_out`.

    `chosen` maps prompt ids to why they are shown. Texts are visible ones; scores are in nats per token, to _DIGITS
    digits.
    """
    prompts: list[dict[str, Any]] = []
    size = left_out = 0
    text_of = {r["prompt_id"]: r for r in pool.prompts.to_dicts()}
    traces_of = {p: f.to_dicts() for (p,), f in pool.traces.group_by("prompt_id")}
    scores_of = {r["trace_id"]: r for r in pool.scores.to_dicts()}
    steps = pool.steps.join(pool.step_scores, on=["trace_id", "step"], how="left").sort("trace_id", "step")
    steps_of = {t: f.to_dicts() for (t,), f in steps.group_by("trace_id", maintain_order=True)}
    rows = {name: {r["trace_id"]: r for r in frame.to_dicts()} for name, frame in pool.curated.items()}
    margins = _margins(pool.curated)
    for prompt_id, kinds in chosen.items():
        shown, more = _candidates(traces_of.get(prompt_id, []), rows, scores_of, next(iter(pool.by.values()), ""))
        own = text_of[prompt_id]
        entry = {
            "id": prompt_id,
            "domain": visible(own["domain"]) if own["domain"] is not None else None,
            "answer": visible(own["answer"])[:500] if own["answer"] is not None else None,
            "kinds": kinds,
            "messages": [_message(m) for m in own["prompt"]],
            "more": more,
            "margins": {n: _rounded(of.get(prompt_id)) for n, of in margins.items()},
            "traces": [_trace(t, scores_of, steps_of, rows, pool) for t in shown],
        }
        size += len(script_json(entry).encode())
        if size > MOST_BYTES:
            left_out = len(chosen) - len(prompts)
            break
        prompts.append(entry)
    return {"selectors": list(pool.by), "prompts": prompts, "left_out": left_out}


def _better(by: str) -> str:
    return all_metrics()[by].better or "draw"


def _message(message: dict[str, str]) -> dict[str, Any]:
    text = message["content"]
    cut = max(0, len(text) - MOST_PROMPT_CHARS)
    return {"role": visible(message["role"]), "text": visible(text[:MOST_PROMPT_CHARS]), "cut": cut}


def _margins(curated: dict[str, pl.DataFrame]) -> dict[str, dict[str, float | None]]:
    """Selector to prompt to the smallest margin of what it chose there."""
    return {n: dict(f.group_by("prompt_id").agg(pl.col("margin").min()).iter_rows()) for n, f in curated.items()}


def _candidates(
    traces: list[dict[str, Any]],
    rows: dict[str, dict[str, dict[str, Any]]],
    scores: dict[str, dict[str, Any]],
    by: str,
) -> tuple[list[dict[str, Any]], int]:
    """The traces to show, what the first selector chose first, then other winners, and how many more there are."""
    first: dict[str, Any] = next(iter(rows.values()), {})
    n_sets = {t["trace_id"]: sum(t["trace_id"] in own for own in rows.values()) for t in traces}
    seconds = {row["runner_up"] for own in rows.values() for t, row in own.items() if t in n_sets}
    sign = -1 if _better(by) == "high" else 1

    def place(trace: dict[str, Any]) -> tuple[Any, ...]:
        name = trace["trace_id"]
        score = scores.get(name, {}).get(by)
        return (name not in first, -n_sets[name], name not in seconds, score is None, sign * (score or 0.0), name)

    ordered = sorted(traces, key=place)
    return ordered[:MOST_CANDIDATES], max(0, len(ordered) - MOST_CANDIDATES)


def _trace(
    trace: dict[str, Any],
    scores_of: dict[str, dict[str, Any]],
    steps_of: dict[str, list[dict[str, Any]]],
    rows: dict[str, dict[str, dict[str, Any]]],
    pool: ShownPool,
) -> dict[str, Any]:
    name, text = trace["trace_id"], trace["response"]
    scores = scores_of.get(name, {})
    selectors = []
    for selector, own in rows.items():
        if (row := own.get(name)) is not None:
            other = scores_of.get(row["runner_up"], {})
            selectors.append(
                {
                    "selector": selector,
                    "reason": visible(row["reason"]),
                    "score": _rounded(row["score"]),
                    "runner_up": row["runner_up"],
                    "runner_up_teacher": visible(other["teacher"]) if other else None,
                    "runner_up_score": _rounded(other.get(pool.by[selector])),
                    "margin": _rounded(row["margin"]),
                    "stability": _rounded(row["stability"]),
                }
            )
    return {
        "id": name,
        "teacher": visible(trace["teacher"]),
        "verdict": trace["verdict"],
        "source": visible(f"{trace['source']}:{trace['source_line']}"),
        "licence": visible(trace["licence"]) if trace["licence"] is not None else None,
        "tokens": scores.get("n_tokens"),
        "n_steps": scores.get("n_steps"),
        "scores": {s: _rounded(scores.get(by)) for s, by in pool.by.items()},
        "chosen": selectors,
        "dropped": pool.dropped.get(name),
        "cut": max(0, len(text) - MOST_RESPONSE_CHARS),
        "steps": [_step(s, text) for s in steps_of.get(name, []) if s["start"] < MOST_RESPONSE_CHARS],
    }


def _step(step: dict[str, Any], text: str) -> list[Any]:
    """Text, kind, tokens, and mean log-probability in the window and in the whole context, null where there is none."""
    cut = text[step["start"] : min(step["end"], MOST_RESPONSE_CHARS)]
    n = step["n_tokens"]
    means = [_rounded(step[c] / n) if n and step[c] is not None else None for c in ("local_logprob", "full_logprob")]
    return [visible(cut), step["kind"], n, *means]


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")
