"""A run of an audition and what it leaves behind, and the cost of all runs from those of a pilot, by hand."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from stepsift import params
from stepsift.audition import cost, runs
from stepsift.audition.arms import NamedBudget
from stepsift.core.errors import AuditionError, TrainingError
from stepsift.train import Examples

THREE = NamedBudget("3 examples", params.Budget(examples=3))
RUN = runs.AuditionRun(("only anna",), 5, THREE, "k" * 64)
DATA = Examples([([1], [2] * 10), ([1], [3] * 10)], pl.DataFrame())
ANSWERS = pl.DataFrame({"task": ["toy", "toy"], "correct": [True, False]})


def setting(cache: Path, keep_students: bool = False) -> runs.RunSettings:
    source: Any = SimpleNamespace(at=lambda folder: folder)
    return runs.RunSettings(source, params.Train(), params.Evaluate(), [], keep_students, cache)


@pytest.fixture
def student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A trained student of two files, which every run gets; `reused` may be changed."""
    trained = SimpleNamespace(folder=tmp_path / "student", reused=False)

    def train_student(*_: object) -> SimpleNamespace:
        (trained.folder / "weights").mkdir(parents=True, exist_ok=True)
        (trained.folder / "training.json").write_text(json.dumps({"presented_tokens": 30}))
        return trained

    monkeypatch.setattr(runs.train, "train_student", train_student)
    monkeypatch.setattr(runs.evaluate, "answers_of", lambda *_: ANSWERS)
    return trained


@pytest.mark.parametrize(
    ("keep", "reused", "is_there"), [(False, False, False), (True, False, True), (False, True, True)]
)
def test_a_students_weights_go_unless_they_are_kept_or_were_there_before(
    student: SimpleNamespace, tmp_path: Path, keep: bool, reused: bool, is_there: bool
) -> None:
    student.reused = reused
    own = setting(tmp_path / "cache", keep)
    [(run, result)] = runs.run_all(own, {"only anna": DATA}, [RUN], workers=1)
    assert student.folder.exists() == is_there
    assert run == RUN
    assert result.answers.equals(ANSWERS) and result.accuracy == 0.5
    assert (result.train_s is None) == reused and result.presented_tokens == 30


def test_a_finished_run_is_read_and_not_done_again(
    student: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = setting(tmp_path / "cache")
    assert runs.finished(own, [RUN]) == []
    [first] = runs.run_all(own, {"only anna": DATA}, [RUN], workers=1)
    assert runs.finished(own, [RUN]) == [RUN]
    monkeypatch.setattr(runs.train, "train_student", lambda *_: pytest.fail("it was trained again"))
    [again] = runs.run_all(own, {"only anna": DATA}, [RUN], workers=1)
    assert again[1].train_s == first[1].train_s and again[1].answers.equals(first[1].answers)


def test_a_run_that_fails_names_its_arm_seed_and_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train_student(*_: object) -> None:
        raise TrainingError("no memory")

    monkeypatch.setattr(runs.train, "train_student", train_student)
    with pytest.raises(AuditionError) as e:
        list(runs.run_all(setting(tmp_path), {"only anna": DATA}, [RUN], workers=1))
    assert str(e.value) == "only anna, seed 5, 3 examples: no memory; runs that are finished are kept"


def test_the_cost_of_the_whole_by_hand(tmp_path: Path) -> None:
    """Training took 10 s and 1 s per response token; a cached student tells the time of its evaluation alone."""
    results = [
        runs.RunResult(ANSWERS, train_s, evaluate_s, n_tokens)
        for train_s, evaluate_s, n_tokens in ((30.0, 4.0, 20), (60.0, 6.0, 50), (None, 5.0, 999))
    ]
    # Two runs of 3 examples with 10 response tokens each: 2 x 10 s and 60 x 1 s of training, 2 x 5 s of evaluation.
    ahead = [(setting(tmp_path), DATA, RUN)] * 2
    assert cost.predict(results, ahead, n_known=3, workers=2) == [
        "pilot: 3 students, 45 s of training each on average",
        "the whole: 2 students to train (3 more are known), 60 response tokens",
        "about 80 s of training and 10 s of evaluation, 45 s with --workers 2",
    ]
    assert cost.predict(results[2:], ahead, 3, 2) == [
        "every run of the pilot came from the cache, so that no speed was measured"
    ]
