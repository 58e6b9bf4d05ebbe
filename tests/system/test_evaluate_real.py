"""A real student on real questions in five layouts; skipped where either is absent."""

import os
from pathlib import Path

import polars as pl
import pytest

from stepsift import evaluate, params
from stepsift.core import tables
from stepsift.student import StudentFiles, StudentSource
from stepsift.tasks import find_tasks

pytestmark = pytest.mark.system

DATA = Path(__file__).resolve().parents[3] / "shared/data/eval"
STUDENT = os.environ.get("STEPSIFT_TEST_STUDENT", "")
LAYOUTS = {"gsm8k": "math", "math500": "math", "cruxeval": "exact", "mmlu_pro": "choice", "humaneval": "code"}


@pytest.mark.skipif(not DATA.is_dir(), reason="no folder ../shared/data with real questions beside the repository")
@pytest.mark.skipif(not STUDENT, reason="STEPSIFT_TEST_STUDENT names no folder with a real student")
@pytest.mark.parametrize("drawn", [{}, {"samples": 2, "temperature": 0.7}], ids=["greedy", "drawn"])
def test_every_layout_is_asked_and_graded(tmp_path: Path, drawn: dict):
    for name, kind in LAYOUTS.items():
        (tmp_path / f"{name}.yaml").write_text(f"task: {name}\nverify: {kind}\ndata: {name}.jsonl\n")
        (tmp_path / f"{name}.jsonl").write_bytes((DATA / f"{name}.jsonl").read_bytes())
    settings = params.Evaluate(tasks=tuple(LAYOUTS), limit=2, max_new_tokens=24, **drawn)
    sources = find_tasks(settings.tasks, tmp_path)
    source = StudentSource(StudentFiles(Path(STUDENT)), params.Student())
    evaluation = evaluate.Evaluation(source, settings, tmp_path / "cache")
    answers = evaluate.answers_of(evaluation, sources)
    assert answers.group_by("task").len().sort("task").rows() == [(n, 2 * settings.samples) for n in sorted(LAYOUTS)]
    assert set(answers["verdict"]) <= set(tables.VERDICTS) - {"unchecked"}
    assert (answers["correct"] == (answers["verdict"] == "correct").cast(pl.Float64)).all()
    again = evaluate.answers_of(evaluation, sources)
    assert again.equals(answers)
