"""Why, verify and diff on what the real stages make of a small demo pool, with two revisions and every export."""

import json
import os
import shutil
from pathlib import Path

import polars as pl
import pytest

from helpers.pipeline_repo import change, commit, ok, run, untrack
from stepsift.core import table_files, tables

pytestmark = pytest.mark.system

EXPORTS = ["messages", "prompt_completion", "sharegpt", "llamafactory", "parquet"]


def curated(repo: Path, selector: str) -> dict[str, str]:
    """Prompt to the trace that was chosen."""
    table = table_files.read(tables.CURATED, repo / f"data/select/{selector}/curated.parquet")
    return dict(table.select("prompt_id", "trace_id").iter_rows())


def flip(path: Path) -> bytes:
    """Change one bit in the middle of a file and none of its times; what it held."""
    content, before = path.read_bytes(), path.stat()
    middle = len(content) // 2
    path.chmod(0o644)
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return content


def test_lineage_of_two_revisions(repo: Path, finished: Path):
    untrack(repo)
    # The run cache spares the stages before select; those after it have not run.
    shutil.copytree(finished / ".dvc/cache", repo / ".dvc/cache")
    change(repo, "select", selectors=["lalp", "random"], exports=EXPORTS)
    ok(repo, "dvc", "repro", "select")
    commit(repo, "start")
    before = curated(repo, "lalp")
    change(repo, "select", seed=7, correct="ignore")
    ok(repo, "dvc", "repro", "select")
    commit(repo, "other draws")
    after, drawn = curated(repo, "lalp"), curated(repo, "random")

    verified = run(repo, "stepsift", "verify", "--sample", "2")
    lines = verified.stdout.splitlines()
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert all(line.startswith(("ok ", "taken ")) for line in lines)
    assert any("2 traces scored again: the same, tolerance 0," in line for line in lines)
    assert sum("run again" in line for line in lines) == 3
    assert sum("train.jsonl" in line and "sharegpt.jsonl" in line for line in lines) == 2

    # A chosen trace, told from the tables.
    prompt, chosen = next(iter(drawn.items()))
    told = json.loads(run(repo, "stepsift", "why", chosen, "--json").stdout)
    traces = table_files.read(tables.TRACES, repo / "data/ingest/traces.parquet")
    own = traces.row(by_predicate=pl.col("trace_id") == chosen, named=True)
    assert told["trace"]["prompt_id"] == prompt
    assert told["trace"]["origin"]["source"] == own["source"]
    assert told["trace"]["origin"]["line"] == own["source_line"]
    assert {s["selector"]: s["chosen"] for s in told["trace"]["selectors"]} == {
        "lalp": after[prompt] == chosen,
        "random": True,
    }
    assert ("random", "entered") in {(e["selector"], e["what"]) for e in told["history"]["events"]}
    story = run(repo, "stepsift", "why", f"{own['source']}:{own['source_line']}")
    assert story.returncode == 0, story.stderr
    assert story.stdout.startswith(f"trace {chosen} by {own['teacher']}, for prompt {prompt}: chosen by")

    # What moved between the two, counted by hand.
    compared = run(repo, "stepsift", "diff", "HEAD~1", "HEAD")
    assert compared.returncode == 0, compared.stderr
    moved = [p for p in {*before, *after} if before.get(p) != after.get(p)]
    assert f"lalp: {len(moved)} of {len({*before, *after})} prompts changed; " in compared.stdout
    pull = run(repo, "stepsift", "diff", "HEAD~1", "--markdown", "--selector", "random").stdout
    assert pull.startswith("## Curated sets: `HEAD~1` -> `the working folder`\n\n### `random`\n")
    assert "| `changed setting` |" in pull

    # A bit in a source, in a table and in an export.
    source = next(p for p in sorted((repo / "data/sources").iterdir()) if p.suffix == ".jsonl")
    table, export = repo / "data/score/step_scores.parquet", repo / "data/select/random/sharegpt.jsonl"
    for path, link in ((source, "sources"), (table, "outputs"), (export, "outputs")):
        content = flip(path)
        found = run(repo, "stepsift", "verify", "--fast")
        assert found.returncode == 1
        broken = [line for line in found.stdout.splitlines() if line.startswith("broken")]
        assert broken[0].split()[1] == link
        assert path.relative_to(repo).as_posix() in broken[0]
        path.write_bytes(content)
    assert run(repo, "stepsift", "verify", "--fast").returncode == 0
