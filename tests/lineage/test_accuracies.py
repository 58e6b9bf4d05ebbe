"""What answers give, against the table, the metrics file and the chart of accuracies that stand beside them."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from helpers.places import ROOT
from stepsift.core import disk, table_files, tables
from stepsift.lineage.reevaluate import check_accuracies
from stepsift.lineage.rerun import DeclaredStage, declared_stages

FOLDERS = {"evaluate": Path("data/evaluate"), "train": Path("data/train")}
METRICS, CHART = "metrics/evaluate.json", "data/accuracies.json"


pytestmark = pytest.mark.slow  # dvc reads the stages


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> DeclaredStage:
    """Stage evaluate of the dvc.yaml that is shipped."""
    monkeypatch.chdir(ROOT)
    return declared_stages()["evaluate"]


@pytest.fixture
def folder(declared: DeclaredStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stage evaluate leaves of one trained student that knows one answer of two, and of the untrained one."""
    from stepsift.evaluate.run import UNTRAINED, Evaluated, Model, evaluations_of, trained_models
    from stepsift.student import StudentFiles

    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/train/lalp/seed-0").mkdir(parents=True)
    rows = [
        {"task": "sums", "question": q, "sample": 0, "model": model, "prompt_hash": f"{q}", "generation": "5"}
        | {"ended": True, "verdict": "correct" if q else "wrong", "correct": float(q)}
        for model in ("lalp/seed-0", UNTRAINED)
        for q in (0, 1)
    ]
    answers = pl.DataFrame(rows, schema=tables.ANSWERS.schema).sort(tables.ANSWERS.key)
    models = [Model(UNTRAINED, None, None, StudentFiles(Path())), *trained_models(FOLDERS["train"])]
    evaluated = Evaluated(evaluations_of(answers, models), answers, 0, 0)
    table_files.write(tables.ANSWERS, answers, FOLDERS["evaluate"] / tables.ANSWERS.file)
    table_files.write(tables.EVALUATIONS, evaluated.evaluations, FOLDERS["evaluate"] / tables.EVALUATIONS.file)
    disk.write_json(evaluated.metrics(), Path(METRICS))
    disk.write_json(evaluated.chart(), Path(CHART))
    return tmp_path


def test_what_the_stage_wrote_is_what_its_answers_give(folder: Path, declared: DeclaredStage):
    # Whatever else the command names, before or after.
    longer = replace(declared, command=f"{declared.command} data/one data/more.json")
    for stage in (declared, longer):
        result = check_accuracies(FOLDERS, stage)
        assert result.broken == () and result.checked == "4 answers: the accuracies that they give"


@pytest.mark.parametrize("name", [METRICS, CHART])
@pytest.mark.parametrize("forged", ['{"sums": 1.0}', "[", None])
def test_a_file_that_says_something_else_is_named_alone(
    folder: Path, declared: DeclaredStage, name: str, forged: str | None
):
    if forged is None:
        Path(name).unlink()
    else:
        Path(name).write_text(forged)
    assert check_accuracies(FOLDERS, declared).broken == (f"{name} is not what answers.parquet gives",)


def test_a_forged_table_is_named_alone(folder: Path, declared: DeclaredStage):
    path = FOLDERS["evaluate"] / tables.EVALUATIONS.file
    better = table_files.read(tables.EVALUATIONS, path).with_columns(accuracy=pl.lit(0.965))
    table_files.write(tables.EVALUATIONS, better, path)
    assert check_accuracies(FOLDERS, declared).broken == (f"{path} is not what answers.parquet gives",)
