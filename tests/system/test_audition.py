"""An audition on a small demo pool: stopped half-way, gone on with, held again with one more seed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import psutil
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.system

QUESTIONS = 6
SETTINGS = {
    "student": {"path": str(ROOT / "demo/student")},
    "train": {"epochs": 1, "learning_rate": 3.0e-3},
    "evaluate": {"tasks": ["chain"], "trusted_tasks": ["chain"], "limit": QUESTIONS, "max_new_tokens": 48},
    "select": {"filters": {"decontaminate": 20}},
    "audition": {"selectors": ["lalp", "galp"], "teachers": ["tagged", "framed", "rambling"], "seeds": [0]},
    "tracking": {"enabled": False},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sources, tasks and what the first three stages make of them."""
    folder = tmp_path_factory.mktemp("audition")
    write_params(folder, {})
    script = [sys.executable, str(ROOT / "demo/make_sources.py"), "--sources", "data/sources", "--tasks", "data/tasks"]
    subprocess.run([*script, "--prompts", "12", "--operations", "7"], cwd=folder, check=True, capture_output=True)
    for line in (
        "ingest data/sources data/ingest metrics/ingest.json",
        "segment data/ingest/traces.parquet data/segment metrics/segment.json",
        "score data/ingest/prompts.parquet data/ingest/traces.parquet data/segment/steps.parquet data/score "
        "metrics/score.json",
    ):
        stage, *paths = line.split()
        subprocess.run([sys.executable, "-P", str(ROOT / f"stages/{stage}.py"), *paths], cwd=folder, check=True)
    return folder


def write_params(folder: Path, audition: dict[str, object]) -> None:
    settings = SETTINGS | {"audition": SETTINGS["audition"] | audition}
    (folder / "params.yaml").write_text(yaml.safe_dump(settings))


def hold(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    run = [str(Path(sys.executable).parent / "stepsift"), "audition", *arguments]
    return subprocess.run(run, cwd=folder, capture_output=True, text=True, check=False)


def result_of(folder: Path) -> tuple[Path, dict]:
    held = sorted((folder / "auditions").glob("*/result.json"), key=lambda p: p.stat().st_mtime)
    return held[-1].parent, json.loads(held[-1].read_text())


def test_a_pilot_says_what_the_whole_costs(project: Path) -> None:
    done = hold(project, "--pilot", "0.5")
    assert done.returncode == 0, done.stderr
    assert re.search(r"the whole: \d+ students to train \(0 more are known\)", done.stdout)
    folder, result = result_of(project)
    assert json.loads((folder / "plan.json").read_text())["pilot"] == 0.5
    assert all(len(seeds) == 1 for b in result["budgets"].values() for seeds in b["seeds"].values())
    assert "A pilot" in (folder / "README.md").read_text()


def test_stopped_half_way_it_goes_on_and_ends_the_same(project: Path) -> None:
    running = subprocess.Popen(
        [str(Path(sys.executable).parent / "stepsift"), "audition", "--workers", "2"],
        cwd=project,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("[3/"):
            break
    workers = psutil.Process(running.pid).children(recursive=True)
    assert len(workers) >= 2
    # The parent alone: its workers must not live on.
    running.kill()
    running.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []
    plans = {p.parent for p in (project / "auditions").glob("*/plan.json")}
    stopped = next(p for p in plans if not (p / "result.json").exists())
    plan = (stopped / "plan.json").read_bytes()
    done = hold(project)
    assert done.returncode == 0, done.stderr
    known = int(done.stderr.split(" of them known")[0].rsplit(" ", 1)[1])
    assert known >= 3
    folder, result = result_of(project)
    assert (folder, (folder / "plan.json").read_bytes()) == (stopped, plan)
    assert result["runs_known_before"] == 0
    # Everything is known now: the same numbers again.
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    again = hold(project)
    assert again.returncode == 0
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    # Shown were equal amounts: examples exactly, tokens up to the next example.
    for budget, of_budget in result["budgets"].items():
        amount = json.loads(plan)["budgets"][budget].get("tokens")
        if amount:
            assert all(0 < tokens <= amount for tokens in of_budget["presented_tokens"].values())
    answers = pl.read_parquet(folder / "answers.parquet")
    arms = 2 + 3 + 3
    budgets = 2
    assert answers.height == arms * budgets * QUESTIONS
    by_hand = answers.filter(budget="examples", arm="only tagged")["correct"].mean()
    assert result["budgets"]["examples"]["accuracy"]["only tagged"]["value"] == pytest.approx(by_hand, abs=1e-6)


def test_one_more_seed_is_another_plan_that_trains_only_that_seed(project: Path) -> None:
    write_params(project, {"seeds": [0, 1]})
    done = hold(project)
    assert done.returncode == 0, done.stderr
    folder, result = result_of(project)
    assert result["runs_known_before"] == 16
    assert result["runs"] == 32
    assert len(list((project / "auditions").glob("*/result.json"))) == 3
    assert folder.name == result["plan"][:12]


def test_without_scores_it_says_what_to_do(tmp_path: Path) -> None:
    write_params(tmp_path, {})
    done = hold(tmp_path)
    assert done.returncode == 1
    assert "run 'dvc repro score'" in done.stderr
    assert "Traceback" not in done.stderr
