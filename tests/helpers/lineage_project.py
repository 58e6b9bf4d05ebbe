"""A small repository with git and DVC, whose tables are written by hand as the stages would write them."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from dvc.repo import Repo

from stepsift.core import disk, table_files, tables

LOCK = Path("dvc.lock")
STAGES = {
    "ingest": {
        "cmd": "python -P stages/ingest.py data/sources data/ingest metrics/ingest.json",
        "deps": ["data/sources", "stages/ingest.py"],
        "params": ["ingest"],
        "outs": ["data/ingest"],
        "metrics": [{"metrics/ingest.json": {"cache": False}}],
    },
    "segment": {
        "cmd": "python -P stages/segment.py data/ingest/traces.parquet data/segment",
        "deps": ["data/ingest/traces.parquet"],
        "params": ["segment"],
        "outs": ["data/segment"],
    },
    "score": {
        "cmd": "python -P stages/score.py data/ingest data/segment data/score",
        "deps": ["data/ingest", "data/segment"],
        "params": ["student", "score"],
        "outs": ["data/score"],
    },
    "select": {
        "cmd": "python -P stages/select.py data/ingest data/score data/select",
        "deps": ["data/ingest", "data/score"],
        "params": ["select"],
        "outs": ["data/select"],
    },
}
# Makes what was made before, under whatever name it is given for its output; it is run with -P.
STAGE_CODE = """
import shutil, sys
from pathlib import Path
import yaml
assert yaml.safe_load(Path("params.yaml").read_text())["tracking"]["enabled"] is False
out = Path(sys.argv[{out}])
shutil.copytree("made/{name}", out)
for metrics in sys.argv[{out} + 1:]:
    Path(metrics).parent.mkdir()
    Path(metrics).write_text("{{}}\\n")
"""
OUT_ARGUMENT = {"ingest": 2, "segment": 2, "score": 3, "select": 3}

LALP = {"name": "lalp", "by": "lalp", "per_prompt": 1, "teacher": None}
RANDOM = {"name": "random", "by": "random", "per_prompt": 1, "teacher": None}


def trace(trace_id: str, prompt_id: str, teacher: str, lalp: float | None, **more: Any) -> dict[str, Any]:
    """A trace; `more`: verdict, random, licence, label, copy (line of a duplicate), dropped and detail (by select)."""
    return {"trace_id": trace_id, "prompt_id": prompt_id, "teacher": teacher, "lalp": lalp} | more


def pool() -> list[dict[str, Any]]:
    """Two prompts, three teachers; carl's trace is dropped as a loop, bob's second has no score."""
    return [
        trace("aaaa0001", "sum-of-numbers", "anna", -0.25, random=0.9, licence="MIT", label=True),
        trace("bbbb0001", "sum-of-numbers", "bob", -0.5, random=0.95, verdict="wrong"),
        trace("cccc0001", "sum-of-numbers", "carl", -0.125, random=0.1, dropped="loop"),
        trace("aaaa0002", "more-than-42", "anna", -1.0, random=0.3),
        trace("bbbb0002", "more-than-42", "bob", -0.75, random=0.2),
    ]


def run(*command: str) -> str:
    """Standard output of a command of this environment; it must succeed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def git_commit(message: str) -> None:
    run("git", "add", "-A")
    run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", message, "--allow-empty")


def start() -> None:
    """A repository in the working folder, with nothing made yet."""
    sections: dict[str, Any] = {s: {} for s in ("ingest", "segment", "score", "tracking")}
    sections |= {"student": {"path": "student"}, "select": {"correct": "prefer"}}
    Path("params.yaml").write_text(yaml.safe_dump(sections))
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}))
    folders = ("made", "data/sources", *(out for stage in STAGES.values() for out in stage["outs"]))
    Path(".gitignore").write_text("".join(f"/{folder}/\n" for folder in folders))
    for name, out in OUT_ARGUMENT.items():
        disk.write_text(STAGE_CODE.format(name=name, out=out), Path(f"stages/{name}.py"))
    run("git", "init", "-q")
    Repo.init().close()


def write(traces: list[dict[str, Any]], selectors: list[dict[str, Any]] | None = None, **parameters: Any) -> None:
    """Sources, and the tables of all stages; each selector takes the best trace of a prompt that is not dropped."""
    for name in ("data", "metrics"):
        shutil.rmtree(name, ignore_errors=True)
    lines = [json.dumps({"trace": t["trace_id"]}) + "\n" for t in traces]
    disk.write_lines(lines, Path("data/sources/a.jsonl"))
    _write_ingest(traces)
    disk.write_json({}, Path("metrics/ingest.json"))
    table_files.write(
        tables.STEPS,
        pl.DataFrame(
            [
                {"trace_id": t["trace_id"], "step": 1, "start": 0, "end": 9, "kind": "text", "capped": False}
                for t in traces
            ],
            schema=tables.STEPS.schema,
        ),
        Path("data/segment/steps.parquet"),
    )
    scores = [
        {"trace_id": t["trace_id"], "step": 1, "n_tokens": 2, "n_first": 2, "local_logprob": 2 * t["lalp"]}
        for t in traces
        if t["lalp"] is not None
    ]
    table_files.write(
        tables.STEP_SCORES,
        pl.DataFrame(scores, schema=tables.STEP_SCORES.schema),
        Path("data/score/step_scores.parquet"),
    )
    disk.write_json(
        {"student": "f1n9e8p7r6i5n4t3", "numerics": {"batching": "trace"}}, Path("data/score/numerics.json")
    )
    _write_rejected([], Path("data/score"))
    _write_select(traces, selectors or [LALP, RANDOM], parameters)
    for name in OUT_ARGUMENT:
        shutil.rmtree(f"made/{name}", ignore_errors=True)
        shutil.copytree(f"data/{name}", f"made/{name}")


def dvc_commit() -> None:
    """Record what lies in the outputs as what the stages made."""
    with Repo() as repo:
        repo.commit(force=True)


def commit(message: str, traces: list[dict[str, Any]], **more: Any) -> None:
    """A revision with these traces."""
    write(traces, **more)
    dvc_commit()
    git_commit(message)


def _write_ingest(traces: list[dict[str, Any]]) -> None:
    out = Path("data/ingest")
    rows = [
        {
            "trace_id": t["trace_id"],
            "content_hash": t["trace_id"],
            "prompt_id": t["prompt_id"],
            "teacher": t["teacher"],
            "response": f"t {t['trace_id'][-7:]}",
            "verdict": t.get("verdict", "correct"),
            "label": t.get("label"),
            "licence": t.get("licence"),
            "source": "a.jsonl",
            "source_line": number,
        }
        for number, t in enumerate(traces, start=1)
    ]
    table_files.write(tables.TRACES, pl.DataFrame(rows, schema=tables.TRACES.schema), out / "traces.parquet")
    prompts = [
        {
            "prompt_id": p,
            "prompt": [{"role": "system", "content": "Be careful."}, {"role": "user", "content": f"What is {p} ?"}],
            "domain": "arithmetic",
            "answer": "7",
            "answer_kind": "math",
            "tests": None,
        }
        for p in sorted({t["prompt_id"] for t in traces})
    ]
    table_files.write(tables.PROMPTS, pl.DataFrame(prompts, schema=tables.PROMPTS.schema), out / "prompts.parquet")
    broken = {"source": "a.jsonl", "source_line": 99, "reason": "broken_json", "detail": "line ends too early"}
    contradicted = {"source": "a.jsonl", "source_line": 98, "trace_id": "eeee0001", "teacher": "emma"}
    contradicted |= {"reason": "conflicting_answer", "detail": "7 or 8"}
    copies = [
        {"source": "b.jsonl", "source_line": t["copy"], "trace_id": t["trace_id"], "reason": "duplicate", "detail": ""}
        for t in traces
        if "copy" in t
    ]
    _write_rejected([broken, contradicted, *copies], out)
    content = Path("data/sources/a.jsonl").read_bytes()
    about = {"md5": hashlib.md5(content).hexdigest(), "bytes": len(content), "rows": len(traces) + 1}
    about |= {"kept": len(traces), "rejected": 1, "licences": {"unknown": len(traces)}}
    disk.write_json({"a.jsonl": about}, out / "sources.json")


def _write_rejected(rows: list[dict[str, Any]], folder: Path) -> None:
    table_files.write(tables.REJECTED, pl.DataFrame(rows, schema=tables.REJECTED.schema), folder / "rejected.parquet")


def _write_select(traces: list[dict[str, Any]], selectors: list[dict[str, Any]], parameters: dict[str, Any]) -> None:
    out = Path("data/select")
    scored = [t for t in traces if t["lalp"] is not None]
    rows = [
        {
            "trace_id": t["trace_id"],
            "prompt_id": t["prompt_id"],
            "teacher": t["teacher"],
            "n_steps": 1,
            "n_tokens": 2,
            "lalp": t["lalp"],
            "random": t.get("random", 0.5),
        }
        for t in scored
    ]
    schema = tables.TRACE_SCORES.schema | {"lalp": pl.Float64(), "random": pl.Float64()}
    table_files.write(tables.TRACE_SCORES, pl.DataFrame(rows, schema=schema), out / "trace_scores.parquet")
    rejected = [
        {
            "source": "a.jsonl",
            "source_line": number,
            "trace_id": t["trace_id"],
            "teacher": t["teacher"],
            "reason": "not_scored" if t["lalp"] is None else t["dropped"],
            "detail": t.get("detail", "one line 20 times over"),
        }
        for number, t in enumerate(traces, start=1)
        if t["lalp"] is None or "dropped" in t
    ]
    _write_rejected(rejected, out)
    stage = {"selectors": selectors, "correct": "prefer", "filters": {"loops": True}, "seed": 0} | parameters
    for selector in selectors:
        _write_set(out / selector["name"], selector, scored, stage)


def _write_set(
    folder: Path, selector: dict[str, Any], scored: list[dict[str, Any]], parameters: dict[str, Any]
) -> None:
    by = selector["by"]
    chosen = []
    running = [t for t in scored if "dropped" not in t and selector["teacher"] in (None, t["teacher"])]
    for prompt_id in sorted({t["prompt_id"] for t in running}):
        ordered = sorted((t for t in running if t["prompt_id"] == prompt_id), key=lambda t: -t.get(by, 0.5))
        rest = ordered[selector["per_prompt"] :]
        chosen += [
            {
                "prompt_id": prompt_id,
                "trace_id": t["trace_id"],
                "teacher": t["teacher"],
                "selector": selector["name"],
                "score": t.get(by, 0.5),
                "runner_up": rest[0]["trace_id"] if rest else None,
                "margin": t.get(by, 0.5) - rest[0].get(by, 0.5) if rest else None,
                "stability": 0.75 if rest else None,
                "reason": f"best {by} of {len(ordered)} candidates",
            }
            for t in ordered[: selector["per_prompt"]]
        ]
    chosen = sorted(chosen, key=lambda c: (c["prompt_id"], c["trace_id"]))
    table_files.write(tables.CURATED, pl.DataFrame(chosen, schema=tables.CURATED.schema), folder / "curated.parquet")
    asked = table_files.read(tables.PROMPTS, Path("data/ingest/prompts.parquet"))
    prompts = dict(asked.select("prompt_id", "prompt").iter_rows())
    exported = [
        {
            "prompt_id": c["prompt_id"],
            "trace_id": c["trace_id"],
            "teacher": c["teacher"],
            "messages": [*prompts[c["prompt_id"]], {"role": "assistant", "content": f"t {c['trace_id'][-7:]}"}],
        }
        for c in chosen
    ]
    disk.write_lines((json.dumps(r) + "\n" for r in exported), folder / "train.jsonl")
    files = ("curated.parquet", "train.jsonl")
    listed = "".join(f"{c}\n" for c in sorted(c["trace_id"] for c in chosen))
    inputs = {
        n: Path(f"data/{s}/{n}")
        for s, n in (("ingest", "prompts.parquet"), ("ingest", "traces.parquet"), ("score", "step_scores.parquet"))
    }
    manifest = {
        "selector": selector,
        "parameters": parameters,
        "student": {"path": "student", "student": "f1n9e8p7r6i5n4t3", "numerics": {"batching": "trace"}},
        "inputs": {
            "sources": json.loads(Path("data/ingest/sources.json").read_text()),
            "tables": {n: md5(p) for n, p in inputs.items()},
        },
        "code": "c" * 64,
        "files": {f: {"md5": md5(folder / f), "rows": len(chosen)} for f in files},
        "fingerprint": hashlib.sha256(listed.encode()).hexdigest(),
    }
    disk.write_json(manifest, folder / "manifest.json")
