"""Outputs of the stages for tests of the report: a few rows or many, of any text, written as the stages write them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stepsift.core import table_files, tables
from stepsift.report import Places

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
SELECTORS = {"lalp": "lalp", "galp": "galp", "draw": "random"}
Text = Callable[[int, int], list[str]]
"""Prompt number and teacher number to the steps of the response."""


@dataclass(frozen=True)
class World:
    """`score` gives the mean log-probability of a teacher's steps on a prompt; galp ranks the other way round."""

    n_prompts: int = 4
    teachers: tuple[str, ...] = ("ann", "bob", HOSTILE)
    domains: tuple[str | None, ...] = ("algebra", None)
    prompt: str = "How many?"
    text: Text = lambda p, t: [f"Step {p} {t}.\n", "So it is 7."]

    def score(self, prompt: int, teacher: int) -> float:
        """Nats per token; the teachers in turn are the best of a prompt."""
        return -0.5 - ((prompt + teacher) % len(self.teachers)) - 0.001 * prompt


def write(root: Path, world: World) -> Places:
    """Write all that the report reads below `root`."""
    rows = [_trace(world, p, t) for p in range(world.n_prompts) for t in range(len(world.teachers))]
    prompts = [
        {
            "prompt_id": _prompt(p),
            "prompt": [{"role": "user", "content": world.prompt}],
            "domain": world.domains[p % len(world.domains)],
            "answer": "7",
            "answer_kind": "math",
            "tests": None,
        }
        for p in range(world.n_prompts)
    ]
    _table(tables.PROMPTS, prompts, root / "ingest/prompts.parquet")
    _table(tables.TRACES, [r["trace"] for r in rows], root / "ingest/traces.parquet")
    _table(tables.STEPS, [s for r in rows for s in r["steps"]], root / "steps.parquet")
    _table(tables.STEP_SCORES, [s for r in rows for s in r["step_scores"]], root / "score/step_scores.parquet")
    _table(
        tables.TRACE_SCORES,
        [r["scores"] for r in rows],
        root / "select/trace_scores.parquet",
        ("lalp", "galp", "random"),
    )
    lost = {
        "source": "a.jsonl",
        "source_line": 99,
        "trace_id": None,
        "teacher": None,
        "reason": "broken_json",
        "detail": "x",
    }
    _table(tables.REJECTED, [lost], root / "ingest/rejected.parquet")
    _table(tables.REJECTED, [], root / "score/rejected.parquet")
    _table(tables.REJECTED, [], root / "select/rejected.parquet")
    _table(tables.REJECTED, [], root / "train_rejected.parquet")
    n = len(rows)
    source = {"rows": n + 1, "kept": n, "rejected": 1, "md5": "0" * 32, "bytes": 9, "licences": {}}
    _json({"a.jsonl": source}, root / "ingest/sources.json")
    _json({"student": "f" * 64, "numerics": {"device": "cpu", "dtype": "float32"}}, root / "score/numerics.json")
    by_teacher = {name: {"kept": world.n_prompts} for name in world.teachers}
    counts = {"total": {"read": n + 1, "kept": n}, "prompts": world.n_prompts, "by_teacher": by_teacher}
    _json(counts, root / "ingest.json")
    share = {"steps": len(rows), "share": 1.0, "share_whole": 1.0}
    by_name = {name: share | {"steps": world.n_prompts} for name in world.teachers}
    seen = share | {"close_to_step_mean": True, "teachers": by_name}
    _json({"scored": len(rows), "window_share": seen}, root / "score.json")
    for name, by in SELECTORS.items():
        _curated(root / "select" / name, name, by, world, rows)
    _table(tables.TEACHERS, _teachers(world), root / "select/teachers.parquet")
    evaluations = [
        {"task": "quiz", "model": m, "selector": s, "seed": None if s is None else 0, "n": 8, "samples": 1}
        | {"accuracy": a, "stderr": 0.1, "ended": 1.0}
        for m, s, a in (("untrained", None, 0.125), ("lalp/seed-0", "lalp", 0.625), ("draw/seed-0", "draw", 0.25))
    ]
    _table(tables.EVALUATIONS, evaluations, root / "evaluations.parquet")
    _table(tables.LEARNED, learned_of(rows), root / "learned.parquet")
    points = [
        {"of": "quiz", "student": e["model"], "accuracy": e["accuracy"], "low": 0.1, "high": 0.7} for e in evaluations
    ]
    _json(points, root / "accuracies.json")
    _json([{"student": "lalp/seed-0", "update": u, "loss": 1 / u} for u in range(1, 4)], root / "curves.json")
    return Places(
        ingest=root / "ingest",
        steps=root / "steps.parquet",
        score=root / "score",
        select=root / "select",
        train_rejected=root / "train_rejected.parquet",
        curves=root / "curves.json",
        accuracies=root / "accuracies.json",
        evaluations=root / "evaluations.parquet",
        learned=root / "learned.parquet",
        counts=root / "ingest.json",
        scored=root / "score.json",
    )


def learned_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the student of lalp learned of each trace: one nat of its first step, nothing of the others."""
    learned = []
    for row in rows:
        for at, step in enumerate(row["step_scores"]):
            means = {f"{p}_{w}": -2.0 + (at == 0 and w == "after") for p in tables.PASSES for w in ("before", "after")}
            place = (at + 0.5) / len(row["step_scores"])
            about = {"selector": "lalp", "n_tokens": 3, "place": place} | means
            learned.append({k: step[k] for k in ("trace_id", "step")} | about)
    return learned


def _prompt(p: int) -> str:
    return f"p{p:06d}"


def _trace(world: World, p: int, t: int) -> dict[str, Any]:
    name, pieces, mean = f"t{p:06d}-{t:02d}", world.text(p, t), world.score(p, t)
    trace = {"trace_id": name, "content_hash": name, "prompt_id": _prompt(p), "teacher": world.teachers[t]}
    trace |= {"response": "".join(pieces), "verdict": "wrong" if t == 1 else "correct", "label": None}
    trace |= {"licence": "MIT", "source": "a.jsonl", "source_line": 1 + p * len(world.teachers) + t}
    steps, scores, start = [], [], 0
    for i, piece in enumerate(pieces, start=1):
        key = {"trace_id": name, "step": i}
        steps.append(key | {"start": start, "end": start + len(piece), "kind": "text", "capped": False})
        start += len(piece)
        sums = {c: -1.0 for c in tables.STEP_SCORES.schema if c.startswith(("local_", "full_"))}
        sums |= {"local_logprob": 4 * mean, "full_logprob": 4 * mean + 1 if mean < -1 else 4 * mean}
        scores.append(key | {"n_tokens": 4, "n_first": 2} | sums)
    own = {"trace_id": name, "prompt_id": _prompt(p), "teacher": world.teachers[t], "n_steps": len(pieces)}
    own |= {"n_tokens": 4 * len(pieces), "lalp": mean, "galp": -3 - mean, "random": ((p * 7 + t * 3) % 10) / 10}
    return {"trace": trace, "steps": steps, "step_scores": scores, "scores": own}


def _curated(folder: Path, name: str, by: str, world: World, rows: list[dict[str, Any]]) -> None:
    chosen = []
    for p in range(world.n_prompts):
        own = [r["scores"] for r in rows[p * len(world.teachers) : (p + 1) * len(world.teachers)]]
        best, second = sorted(own, key=lambda r: -r[by])[:2]
        lot = by == "random"
        row = {
            "prompt_id": best["prompt_id"],
            "trace_id": best["trace_id"],
            "teacher": best["teacher"],
            "selector": name,
        }
        row |= {"score": best[by], "runner_up": None if lot else second["trace_id"]}
        row |= {"margin": None if lot else best[by] - second[by], "stability": None if lot else 0.75}
        chosen.append(row | {"reason": f"best {by} of {len(own)} candidates"})
    _table(tables.CURATED, chosen, folder / "curated.parquet")
    n = len(rows)
    counts = {"traces": n, "scored": n, "candidates": n, "prompts": world.n_prompts, "chosen": len(chosen)}
    files = {"curated.parquet": {"md5": "1" * 32, "rows": 1}, "train.jsonl": {"md5": "2" * 32, "rows": len(chosen)}}
    manifest = {"selector": {"name": name, "by": by}, "counts": counts, "files": files, "code": "c" * 64}
    manifest["parameters"] = {"selectors": [{"name": s} for s in SELECTORS]}
    manifest |= {"student": {"path": "demo/student"}, "inputs": {"tables": {"traces.parquet": "3" * 32}}}
    _json(manifest | {"fingerprint": "a" * 64}, folder / "manifest.json")


def _teachers(world: World) -> list[dict[str, Any]]:
    rows = []
    for metric in ("lalp", "galp"):
        for t, name in enumerate(world.teachers):
            mean = -1.0 - t if metric == "lalp" else -1.0 + t / 8
            rank = t + 1 if metric == "lalp" else len(world.teachers) - t
            row = {"teacher": name, "metric": metric, "domain": "all", "n_traces": world.n_prompts, "share_kept": 1.0}
            row |= {"n_prompts": world.n_prompts, "n_met": world.n_prompts, "n_compared": world.n_prompts}
            row |= {"component": 1, "mean": mean, "rank": rank, "n_with_next": world.n_prompts, "worth_next": 25.0}
            row |= {"ci_low": mean - 0.25, "ci_high": mean + 0.25, "rank_low": rank, "rank_high": rank}
            rows.append(row | {"p_above_next": 0.75, "settled_after": 2})
    return rows


def _table(table: tables.Table, rows: list[dict[str, Any]], path: Path, more: tuple[str, ...] = ()) -> None:
    schema = table.schema | dict.fromkeys(more, pl.Float64())
    table_files.write(table, pl.DataFrame(rows, schema=schema), path)


def _json(content: object, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
