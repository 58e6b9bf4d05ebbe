"""The same steps under other models, each in tables of its own."""

import json
import shutil
from pathlib import Path

import pytest

from helpers.score_pool import POOL, write_pool
from stepsift import params
from stepsift.core import tables
from stepsift.core.errors import StudentError
from stepsift.score import references, setup
from stepsift.score.references import check_references, require_inside, score_references
from stepsift.score.run import score_to_tables


def settings_of(*names: str, **more: object) -> params.Score:
    listed = [{"name": name, "path": f"data/references/{name}"} | more for name in names]
    return params.Score.model_validate({"references": listed, "device": "cpu"})


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch) -> Path:
    """A working folder with a place for references."""
    monkeypatch.setattr(setup, "ceiling", lambda *_: 1e9)  # takes a measurement otherwise
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/references").mkdir(parents=True)
    return tmp_path


def test_each_has_the_tables_that_it_would_have_as_student(checkout, student_folder):
    pool = write_pool(checkout, POOL)
    folders = {"teacher": student_folder("qwen3", "qwen2"), "base": student_folder("llama")}
    for name, folder in folders.items():
        shutil.copytree(folder, checkout / "data/references" / name)
    settings = settings_of(*folders)
    counts = score_references(settings, pool, checkout / "out", checkout / "cache", None)
    listed = json.loads((checkout / "out" / tables.REFERENCES).read_text())
    assert [about["name"] for about in listed] == list(folders)
    assert len({about["model"] for about in listed}) == 2
    for name, folder in folders.items():
        with setup.load(params.Student(path=str(folder)), settings, checkout / "cache") as scoring:
            score_to_tables(scoring, pool, checkout / "alone")
        # The same fingerprint and cache, whichever part a model plays.
        assert scoring.progress.from_cache == scoring.progress.scored == 3
        assert counts[name] == scoring.progress.metrics()
        for table in (tables.STEP_SCORES, tables.REJECTED):
            assert (checkout / "out" / name / table.file).read_bytes() == (checkout / "alone" / table.file).read_bytes()


def test_without_references_nothing_is_written(checkout):
    assert (
        score_references(params.Score(), write_pool(checkout, POOL), checkout / "out", checkout / "cache", None) == {}
    )
    assert not (checkout / "out").exists()


def test_what_is_wrong_names_the_reference(checkout, student_folder):
    pool = write_pool(checkout, POOL)
    with pytest.raises(StudentError, match=r"score.references, 'teacher': path is 'data/references/teacher', where"):
        score_references(settings_of("teacher"), pool, checkout / "out", checkout / "cache", None)
    shutil.copytree(student_folder("llama"), checkout / "data/references/base")
    finding = check_references(settings_of("base", "teacher"))
    assert finding.lines == ["reference   base: data/references/base, scores the same steps"]
    (problem,) = finding.problems
    assert problem.startswith("score.references, 'teacher': path is")


def test_a_path_with_student_in_its_name_stays_as_it_is(checkout):
    (checkout / "data/references/student.gguf").mkdir()
    (problem,) = check_references(settings_of("student.gguf")).problems
    assert problem.startswith(
        "score.references, 'student.gguf': path is 'data/references/student.gguf', which holds no"
    )


def test_a_link_out_of_the_folder_that_dvc_watches_is_refused(checkout, student_folder):
    (checkout / "data/references/teacher").symlink_to(student_folder("llama"))
    (reference,) = settings_of("teacher").references
    with pytest.raises(StudentError, match=r"'teacher' is 'data/references/teacher', a link that leads to '.*DVC does"):
        require_inside(reference)
    # Of shipped log-probabilities the tokenizer decides which token is whose.
    (checkout / "data/references/own.jsonl").touch()
    (shipped,) = settings_of("own.jsonl", tokenizer="data/references/teacher").references
    with pytest.raises(StudentError, match=r"'own.jsonl' is 'data/references/teacher', a link that leads to"):
        require_inside(shipped)
    # What lies in DVC's cache is content that DVC knows.
    cached = checkout / ".dvc/cache/files/md5/ab" / ("c" * 30)
    cached.parent.mkdir(parents=True)
    cached.write_text("weights")
    (checkout / "data/references/model.gguf").symlink_to(cached)
    require_inside(references.params.Reference(name="model", path="data/references/model.gguf"))
