"""A recipe from its one command: its own files, pins and settings, on stand-ins of sets, questions and student.

The hub is a folder that looks like its cache, in which the pinned student is the demo's. The first run wants traces;
then a smaller training is written into the clone's settings, and the same command goes on to the end.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from helpers.hub import put_into_cache
from helpers.pipeline_repo import change, ok
from helpers.places import DEMO
from helpers.recipe_pools import limo_set, vllm_answers

pytestmark = pytest.mark.system

FOLDERS = ("aime", "amc", "math", "minerva", "olympiadbench")
TEACHERS = ("DeepSeek-R1", "QwQ-32B", "Qwen3-32B")
PROMPTS = 8


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with LIMO and the student, LIMO's repository with questions, and three teachers' traces in `run/traces`."""
    world = tmp_path_factory.mktemp("recipe")
    put_into_cache(world / "hub", "GAIR/LIMO", limo_set(PROMPTS))
    questions = world / "questions"
    for folder in FOLDERS:
        field = "problem" if folder in ("aime", "amc", "math") else "question"
        rows = [{field: f"What is {n} + 1?", "answer": str(n + 1)} for n in (7, 8)]
        path = questions / f"eval/data/{folder}/test.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ok(questions, "git", "init", "-q")
    ok(questions, "git", "add", "-A")
    ok(questions, "git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "questions")
    return world


def run(repo: Path, world: Path, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "PYTHONPATH": str(repo / "src"), "OMP_NUM_THREADS": "1", **settings}
    commit = ok(world / "questions", "git", "rev-parse", "HEAD").strip()
    env |= {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(world / "hub")}
    env |= {"LIMO_REPOSITORY": (world / "questions").as_uri(), "LIMO_COMMIT": commit}
    return subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True, check=False)


def test_the_paper_s_experiment_runs_from_one_command(begun: Path, world: Path):
    pin = yaml.safe_load((begun / "recipes/limo/qwen2.5-7b-instruct.hub.yaml").read_text())
    snapshot = world / "hub" / f"models--{pin['repo'].replace('/', '--')}" / "snapshots" / pin["revision"]
    shutil.copytree(DEMO / "student", snapshot)
    folder, command = world / "run", ("recipes/run.sh", "recipes/limo/params.yaml", str(world / "run"))

    done = run(begun, world, *command)
    assert done.returncode == 1
    assert f"there are no traces in {folder}/traces; recipes/limo/README.md says how they are made" in done.stderr

    (folder / "traces").mkdir()
    script = (sys.executable, "-P", "recipes/limo/traces.py")
    asked = run(begun, world, *script, "ask", "--model", TEACHERS[0])
    requests = [json.loads(line) for line in asked.stdout.splitlines()]
    assert len(requests) == PROMPTS
    for teacher in TEACHERS:
        answers = world / f"{teacher}.jsonl"
        answers.write_text("".join(json.dumps(a) + "\n" for a in vllm_answers(requests, teacher)))
        traces = run(begun, world, *script, "read", str(answers), "--teacher", teacher)
        assert "left out: 1 (cut off)" in traces.stderr
        (folder / f"traces/{teacher}.jsonl").write_text(traces.stdout)

    clone = folder / "params"
    change(clone, "tracking", enabled=False)
    change(clone, "score", dtype="float32")
    change(clone, "train", launch=None, epochs=1, dtype="float32", batch_size=4)
    change(clone, "evaluate", engine="hf", dtype="float32", tasks=["aime24"], max_new_tokens=16)
    change(clone, "audition", selectors=["lalp"], controls=["random"], teachers=[], seeds=[0])
    done = run(begun, world, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "teachers    3: DeepSeek-R1 6, QwQ-32B 6, Qwen3-32B 6" in done.stdout
    (result,) = clone.glob("auditions/*/result.json")
    assert set(json.loads(result.read_text())["budgets"]["examples"]["accuracy"]) >= {"lalp", "random"}
