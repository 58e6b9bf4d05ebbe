"""The device check in miniature, on the CPU: every part runs, and what it needs is torch, transformers and numpy."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import gpu
from gpu_parts.exactness import _right, check_exactness
from gpu_parts.traces import Pool, bounds, requests
from helpers.places import ROOT


def test_the_made_up_steps_cover_the_trace_and_the_same_seed_gives_the_same():
    edges = bounds(500, np.random.default_rng(1))
    assert edges[0] == 0 and edges[-1] == 500
    assert (np.diff(edges) > 0).all()
    pool = Pool(3, 40, 2, 5)
    assert requests(pool, 100, True, False) == requests(pool, 100, True, False)
    one, two, three = requests(pool, 100, True, False)
    assert one.prompt == three.prompt != two.prompt
    scored = sorted(t for p in one.local for t in range(p.scored, p.end))
    assert scored == list(range(40))


def test_what_counts_as_right():
    errors = {name: np.full(3, 1e-5) for name in ("packed", "plain", "packed full")}
    assert _right(errors, torch.float32)
    assert not _right(errors | {"packed full": np.full(3, 1e-3)}, torch.float32)
    assert _right({"packed": np.full(3, 0.05), "plain": np.full(3, 0.05)}, torch.bfloat16)
    assert not _right({"packed": np.full(3, 0.08), "plain": np.full(3, 0.05)}, torch.bfloat16)


def test_packed_windows_are_right_in_every_family_and_precision():
    rows = check_exactness(torch.device("cpu"), small=True)
    assert len(rows) == 3 * 2 * 2
    assert all(row["right"] for row in rows), rows


def test_a_part_that_fails_is_a_result_and_ends_nothing_else():
    results: dict = {"machine": {"device": "d", "torch": "t", "cuda": "c", "transformers": "v"}, "commit": ""}
    with gpu.guarded(results, "head"):
        raise RuntimeError("out of | memory")
    results["rows"] = [{"method": "a", "ms": 1234.5}, {"method": "b", "failed": "x|y"}]
    text = "\n".join(gpu.page(results))
    assert "**head failed**: `RuntimeError: out of | memory`" in text
    assert "| a | 1,234 |  |" in text and "| b |  | x/y |" in text


def _needs(file: Path, seen: set[Path]) -> set[str]:
    """Packages that a file needs at run time, with all of ours that it imports."""
    seen.add(file)
    tree = ast.parse(file.read_text())
    idle = {n for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            for n in ast.walk(node)}  # fmt: skip
    names: set[str] = set()
    for node in ast.walk(tree):
        if node in idle:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    needs = set()
    for name in names:
        package = name.partition(".")[0]
        if package not in ("stepsift", "gpu_parts"):
            needs.add(package)
            continue
        base = (ROOT / "src" if package == "stepsift" else ROOT / "bench") / name.replace(".", "/")
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file() and path not in seen:
                needs |= _needs(path, seen)
    return needs - set(sys.stdlib_module_names)


def test_it_needs_torch_transformers_and_numpy_alone():
    seen: set[Path] = set()
    needs = _needs(ROOT / "bench/gpu.py", seen)
    assert {path.name for path in seen} >= {"packed.py", "attention.py", "head.py", "fused.py"}
    assert needs - {"torch", "transformers", "numpy"} == {"triton", "vllm"}  # measured where they are


@pytest.mark.system
def test_the_whole_check_in_miniature(tmp_path: Path):
    command = [sys.executable, "-P", "bench/gpu.py", "--small", "--out", str(tmp_path / "gpu")]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "bench")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "gpu.json").read_text())
    parts = {name for name, value in results.items() if isinstance(value, list)}
    assert parts == {"exactness", "head", "speed_tiny", "growth", "profile"}
    assert not [value for value in results.values() if isinstance(value, dict) and "error" in value]
    assert all(row["right"] for row in results["exactness"])
    assert (tmp_path / "gpu.md").read_text().count("\n**") == len(parts)
