"""`stepsift check`: the plan's numbers, the problems, and that it compares for real."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stepsift import params
from stepsift.check import check, check_student
from stepsift.errors import ScoringError
from stepsift.scoring import naive

ANSWERS = ("It is four. So 4.", "Two and two make four, I think.")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Two prompts, two teachers, one broken line."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (tmp_path / "tasks").mkdir()
    rows = [
        {"prompt": f"What is {n} and {n}?", "completion": text, "teacher": teacher, "answer": "4"}
        for n in (1, 2)
        for teacher, text in zip(("anna", "bob"), ANSWERS, strict=True)
    ]
    (folder / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows) + '{"prompt": \n')
    return folder


def settings(student: Path, **sections: dict) -> params.Params:
    return params.parse({"student": {"path": str(student)}, **sections})


def test_the_plan_counts_what_is_there(sources: Path, tmp_path: Path, student_folder: Callable[..., Path]):
    report = check(settings(student_folder("llama")), sources, tmp_path / "tasks")
    plan = "\n".join(report.plan)
    assert report.problems == []
    assert "1 files, 5 rows read, 4 kept, 1 rejected (broken_json 1)" in plan
    assert "prompts     2" in plan
    assert "2 to 2 a prompt, median 2" in plan
    assert "anna 2, bob 2" in plan
    assert f"traces      4, {2 * sum(map(len, ANSWERS))} characters" in plan
    # Both responses have few steps, so each trace is one windowed pass.
    assert "about 4 windows (window 4) and 4 full passes" in plan


def test_problems_are_collected_and_not_raised(tmp_path: Path):
    report = check(settings(tmp_path / "none"), tmp_path / "nowhere", tmp_path / "tasks")
    assert len(report.problems) == 3
    assert "there is no folder" in report.problems[0]
    assert "where there is nothing" in report.problems[1]
    assert "for evaluation tasks; make it" in report.problems[2]


def test_a_misspelt_task_is_a_problem(sources: Path, tmp_path: Path, student_folder: Callable[..., Path]):
    (tmp_path / "tasks/chain.jsonl").write_text('{"prompt": "1 + 1", "answer": "2"}\n')
    (tmp_path / "tasks/chain.yaml").write_text(
        "task: chain\ndataset_path: json\ndataset_kwargs: {data_files: {test: chain.jsonl}}\ntest_split: test\n"
        "output_type: generate_until\ndoc_to_text: '{{prompt}}'\ndoc_to_target: '{{answer}}'\n"
    )
    for name, n_problems in (("chain", 0), ("chian", 1)):
        chosen = settings(student_folder("llama"), evaluate={"tasks": [name]})
        report = check(chosen, sources, tmp_path / "tasks")
        assert len(report.problems) == n_problems
    assert "chain" in report.problems[0]


def test_a_pool_without_choice_is_a_problem(sources: Path, tmp_path: Path, student_folder: Callable[..., Path]):
    (sources / "a.jsonl").write_text(json.dumps({"prompt": "p", "completion": "c d", "teacher": "t"}) + "\n")
    report = check(settings(student_folder("llama")), sources, tmp_path / "tasks")
    assert any("the median prompt has one candidate" in p for p in report.problems)


def test_engine_and_naive_scoring_are_compared(
    sources: Path, tmp_path: Path, student_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
):
    chosen = settings(student_folder("llama"))
    sample = check(chosen, sources, tmp_path / "tasks").sample
    lines = check_student(chosen, sample)
    assert len(lines) == 2
    assert all("differ by at most" in line for line in lines)
    honest = naive.full_logprobs
    monkeypatch.setattr(naive, "full_logprobs", lambda *a: honest(*a) - 1e-3)
    with pytest.raises(ScoringError, match=r"differ by 0\.001 nats a token"):
        check_student(chosen, sample)


def test_a_typo_is_one_line_exit_1_and_loads_nothing_heavy(tmp_path: Path):
    (tmp_path / "params.yaml").write_text("score: {windw: 4}\n")
    command = "import sys; from stepsift import cli; sys.argv = ['stepsift', 'check']\ntry: cli.main()\n"
    command += "finally: print([m for m in ('torch', 'transformers', 'mlflow', 'dvc') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: params.yaml: unknown key 'score.windw', did you mean 'window'?; known in 'score' are window, passes, "
        "dtype, device, batch_tokens, max_step_tokens, prompts, seed"
    ]
    assert done.stdout.strip() == "[]"


def test_a_wrong_call_is_exit_2(tmp_path: Path):
    command = "import sys; from stepsift import cli; sys.argv = ['stepsift', 'chek']; cli.main()"
    assert subprocess.run([sys.executable, "-c", command], cwd=tmp_path, check=False).returncode == 2
