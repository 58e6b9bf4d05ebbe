"""`stepsift check` on the recipes' own settings, with stand-ins of their sets, and a tiny student for the pinned one.

Nothing may be wrong but what this machine lacks; hours and memory are those of the real student's size.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from helpers.places import ROOT
from helpers.recipe_pools import LIMO, rsr_set
from stepsift import params, tasks
from stepsift.commands import estimate
from stepsift.commands.check import Checkup, collect

RECIPES = ROOT / "recipes"
PROMPTS = 12
NO_VLLM = re.compile(r".*vllm.*", re.IGNORECASE)


def write_limo(sources: Path) -> None:
    for teacher in ("DeepSeek-R1", "QwQ-32B", "Qwen3-32B"):
        rows = []
        for n in range(PROMPTS):
            thought, answer = f"Half of {n}, says {teacher}. It is easy.", f"It is \\boxed{{{n / 2:g}}}."
            row = {"prompt": LIMO.format(n=n), "answer": f"{n / 2:g}", "teacher": teacher}
            rows.append(row | {"response": f"<think>\n{thought}\n</think>\n\n{answer}"})
        (sources / f"{teacher}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_rsr(sources: Path) -> None:
    for name, content in rsr_set(PROMPTS).items():
        if "short-sys" in name:
            path = sources / "rsr" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(content))
    shutil.copy(RECIPES / "rsr/rsr.rule.yaml", sources)


@pytest.fixture
def dry_run(hub: Path, tmp_path: Path, student_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch):
    """`dry_run(settings, n_parameters)`: what `stepsift check` finds, from the repository's root."""
    monkeypatch.chdir(ROOT)

    def check(name: str, n_parameters: int) -> Checkup:
        settings = params.load(RECIPES / name)
        pin = yaml.safe_load((ROOT / settings.student.path).read_text())
        snapshot = hub / f"models--{pin['repo'].replace('/', '--')}" / "snapshots" / pin["revision"]
        shutil.copytree(student_folder("llama", "qwen2"), snapshot)
        (tmp_path / "sources").mkdir()
        (write_rsr if name.startswith("rsr") else write_limo)(tmp_path / "sources")
        shutil.copytree(RECIPES / "tasks", tmp_path / "tasks")
        for file in (tmp_path / "tasks").glob("*.yaml"):
            field = yaml.safe_load(file.read_text())["prompt"]
            file.with_suffix(".jsonl").write_text(json.dumps({field: "What is 7 + 1?", "answer": "8"}) + "\n")
        monkeypatch.setattr(estimate, "count_parameters", lambda _: n_parameters)
        # Its own list of tasks takes seconds to load.
        monkeypatch.setattr(tasks, "_harness", lambda: SimpleNamespace(all_tasks=["aime25"]))
        return collect(settings, tmp_path / "sources", tmp_path / "tasks")

    return check


@pytest.mark.parametrize(
    ("name", "n_parameters", "teachers", "n_traces", "each_gb"),
    [
        ("limo/params.yaml", 7_615_616_512, 3, 3 * PROMPTS, "15.2 GB on each of 8 GPUs"),
        ("limo/params-32b.yaml", 32_763_876_352, 3, 3 * PROMPTS, "65.5 GB on each of 8 GPUs"),
        ("rsr/params.yaml", 7_615_616_512, 11, 33 * PROMPTS, "15.2 GB on each of 8 GPUs"),
    ],
)
def test_nothing_is_wrong_but_what_this_machine_lacks(
    dry_run: Callable[[str, int], Checkup], name: str, n_parameters: int, teachers: int, n_traces: int, each_gb: str
):
    report = dry_run(name, n_parameters)
    others = [p for p in report.problems if not NO_VLLM.match(p) and "needs a GPU" not in p]
    assert others == []
    plan = "\n".join(report.plan)
    assert f"teachers    {teachers}: " in plan
    assert re.search(rf"^traces      {n_traces}, ", plan, flags=re.M)
    assert re.search(r"^work        scoring the pool: .* on one H200 at 270 Tflop/s$", plan, flags=re.M)
    assert each_gb in plan
