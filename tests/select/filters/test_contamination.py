"""Evaluation questions: where they come from, the filter that looks for them, and the last look."""

import json
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from helpers.filter_pools import OFF, make_pool, prose, reasons, rejected
from stepsift import tasks
from stepsift.core.errors import EvaluationError, SelectionError
from stepsift.select.filters import check_clean
from stepsift.select.filters.clean import normal_form
from stepsift.select.questions import Questions, collect, load_questions

ON = OFF.model_copy(update={"decontaminate": 13})
ASKED = prose(40, seed=1)
QUESTIONS = collect({"cats": [" ".join(prose(30, seed=2)), " ".join(ASKED)]})


def response(n_shared: int, start: int = 5) -> dict:
    words = prose(20, seed=3) + ASKED[start : start + n_shared] + prose(20, seed=4)
    return {"response": " ".join(words)}


def test_thirteen_words_in_a_row_in_the_response_drop_the_trace_and_twelve_do_not() -> None:
    pool = make_pool([response(12), response(13), response(27, start=13)])
    got = rejected(pool, ON, QUESTIONS).select("trace_id", "reason", "detail").rows()
    detail = "the response shares 13 words in a row with question 1 of cats"
    assert got == [("t1", "contaminated", detail), ("t2", "contaminated", detail)]
    assert set(reasons(pool, OFF.model_copy(update={"decontaminate": 12}), QUESTIONS)) == {"t0", "t1", "t2"}
    assert reasons(pool, OFF, QUESTIONS) == {}


def test_words_in_a_row_in_the_prompt_drop_all_its_traces() -> None:
    rows = [{"response": "4", "prompt_id": p, "teacher": t} for p in "pq" for t in "AB"]
    pool = make_pool(rows, {"p": "Now: " + " ".join(ASKED[:13]).upper(), "q": " ".join(ASKED[:12])})
    got = rejected(pool, ON, QUESTIONS).select("trace_id", "detail").rows()
    detail = "the prompt shares 13 words in a row with question 1 of cats"
    assert got == [("t0", detail), ("t1", detail)]


def test_a_trace_whose_prompt_and_response_hold_questions_has_one_row() -> None:
    pool = make_pool([response(13)], {"p": " ".join(ASKED)})
    assert rejected(pool, ON, QUESTIONS)["detail"].to_list() == ["the prompt is question 1 of cats"]


def test_words_do_not_run_on_from_one_text_into_the_next() -> None:
    pool = make_pool([{"response": " ".join(ASKED[:9])}, {"response": " ".join(ASKED[9:20])}])
    assert reasons(pool, ON, QUESTIONS) == {}


def test_a_short_question_is_found_by_its_whole_text() -> None:
    rows = [{"response": "4", "prompt_id": p} for p in "pqr"]
    prompts = {"p": "  WHAT is\n2 + 2", "q": "What is 2 + 2 + 2?", "r": "What is it?"}
    got = rejected(make_pool(rows, prompts), ON, collect({"sums": ["Why?", "What is 2+2?"]}))
    assert got.select("trace_id", "detail").rows() == [("t0", "the prompt is question 1 of sums")]


def test_a_question_is_found_without_what_all_of_its_task_begin_and_end_with() -> None:
    asked = [f"Question: How many legs have {n} grey cats?\nAnswer:" for n in ("three", "four")]
    pool = make_pool([{"response": "16", "prompt_id": "p"}], {"p": "How many legs have four grey cats?"})
    assert reasons(
        pool, ON, collect({"legs": [asked[0], asked[1], "Question: Are there any cats at all?\nAnswer:"]})
    ) == {"t0": "contaminated"}


def test_the_wording_of_a_task_is_no_sign_of_its_questions() -> None:
    intro = " ".join(prose(20, seed=5))
    asked = [f"{intro} {' '.join(prose(15, seed=100 + i))}" for i in range(12)]
    rows = [
        {"response": f"{intro} {' '.join(prose(30, seed=6))}"},
        # Half the wording, half the question: not enough of its own.
        {"response": f"{intro} {' '.join(prose(12, seed=103))}"},
        {"response": f"{intro} {' '.join(prose(13, seed=103))}"},
    ]
    assert reasons(make_pool(rows), ON, collect({"quiz": asked})) == {"t2": "contaminated"}
    # Ten questions or fewer say nothing about what is common.
    assert set(reasons(make_pool(rows), ON, collect({"quiz": asked[:10]}))) == {"t0", "t1", "t2"}


def test_a_character_of_a_script_without_blanks_is_a_word() -> None:
    asked = "小明有三个苹果他又买了五个苹果请问他现在一共有几个苹果"
    rows = [{"response": "题目:" + asked[:13]}, {"response": "题目:" + asked[:12]}]
    assert reasons(make_pool(rows), ON, collect({"zh": [asked]})) == {"t0": "contaminated"}


def test_no_questions() -> None:
    assert reasons(make_pool([response(13)]), ON, collect({})) == {}


def examples(*prompts: str) -> pl.DataFrame:
    pool = make_pool(
        [{"response": "4", "prompt_id": f"p{i}"} for i, _ in enumerate(prompts)],
        {f"p{i}": text for i, text in enumerate(prompts)},
    )
    return pool.traces.join(pool.prompts, on="prompt_id").select("prompt_id", "prompt", "trace_id")


@pytest.mark.parametrize("prompt", ["What is 3+4?", "what  is\n3 + 4", "「What is ３+４？」"])
def test_an_evaluation_prompt_in_the_training_data_fails_the_run(prompt: str) -> None:
    asked = collect({"sums": ["Why?", "What is 3 + 4?", "What is 3+4"]})
    with pytest.raises(SelectionError, match=r"prompt p1 was selected for training and is question 1 of task 'sums'"):
        check_clean(iter([examples("What is it?"), examples("Who?", prompt)]), asked)
    check_clean(iter([examples("What is 3 - 4?", "What is 34?", "What is 3?")]), asked)


def test_the_last_look_knows_questions_without_their_frame() -> None:
    asked = collect(
        {"legs": [f"Question: How many legs have {n} cats?\nAnswer:" for n in (3, 4)] + ["Question: Is it?\nAnswer:"]}
    )
    with pytest.raises(SelectionError, match="question 1 of task 'legs'"):
        check_clean(iter([examples("How many legs have 4 cats?")]), asked)


def test_what_the_last_look_finds_the_filter_drops() -> None:
    for prompt in ("What is 3+4?", "WHAT is: 3 + 4", "x-ray of well-known cats", "What is 3 +\u00a04?"):
        asked = collect({"sums": ["What is 3 + 4?", "X ray of well known cats."]})
        pool = make_pool([{"response": "7"}], {"p": prompt})
        assert reasons(pool, ON, asked) == {"t0": "contaminated"}
        with pytest.raises(SelectionError):
            check_clean(iter([examples(prompt)]), asked)


def test_normal_form() -> None:
    assert normal_form("A well-known\tCat: x-1, x - 1; ½·ｙ!") == "a well known cat x - 1 x - 1 1 2 y"


TASK = """task: sums
dataset_path: json
dataset_kwargs:
  data_files:
    test: sums.jsonl
test_split: test
output_type: generate_until
doc_to_text: "Q: {{ask | upper}}\\n"
doc_to_target: "{{answer}}"
metric_list:
  - metric: exact_match
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sums.yaml").write_text(TASK, encoding="utf-8")
    rows = [{"ask": "one and one?", "answer": "2"}, {"ask": "zwei » drei?", "answer": "5"}]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return tmp_path


def rows(questions: Questions) -> list[tuple]:
    return questions.rows.select("task", "number", "text").rows()


SUMS = [("sums", 0, "Q: ONE AND ONE?\n"), ("sums", 1, "Q: ZWEI » DREI?\n")]


def test_questions_of_a_local_task(folder: Path) -> None:
    assert rows(load_questions(("sums",), folder, ("sums",))) == SUMS


@pytest.mark.system
def test_the_harness_renders_a_local_task_alike(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepsift.select.questions._plain", lambda source: None)
    assert rows(load_questions(("sums",), folder, ("sums",))) == SUMS


def test_a_field_name_stands_for_its_text(folder: Path) -> None:
    (folder / "sums.yaml").write_text(TASK.replace('"Q: {{ask | upper}}\\n"', "ask"), encoding="utf-8")
    assert rows(load_questions(("sums",), folder, ("sums",)))[0] == ("sums", 0, "one and one?")


@pytest.mark.slow
@pytest.mark.parametrize("line", ["process_docs: !function code.f", "doc_to_choice: [a, b]", "dataset_name: x"])
def test_other_tasks_are_built_by_the_harness(folder: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    (folder / "sums.yaml").write_text(TASK + line + "\n", encoding="utf-8")
    task = SimpleNamespace(eval_docs=["a", 1], doc_to_text=lambda d: d, doc_to_choice=lambda d: ["x", "y"])
    monkeypatch.setattr(tasks, "load_task", lambda source, scratch: {"part": task})
    assert rows(load_questions(("sums",), folder, ("sums",))) == [("part", 0, "a"), ("part", 1, "x\ny")]


@pytest.mark.slow
def test_data_that_cannot_be_had(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(source: object, scratch: object) -> None:
        raise EvaluationError("task 'far' cannot be loaded: no network")

    far = tasks.TaskSource("far", None, "")
    near = tasks.find_tasks(("sums",), folder, ("sums",))
    monkeypatch.setattr(tasks, "find_tasks", lambda names, folder, trusted: [far, *near])
    monkeypatch.setattr(tasks, "load_task", fail)
    with pytest.raises(SelectionError, match=r"task 'far' cannot .*no network.*decontaminate: null, or leave far out"):
        load_questions(("far", "sums"), folder)
    assert rows(load_questions(("far", "sums"), folder, skip_missing=True)) == SUMS
    assert "questions of task 'far' cannot be had, nothing is compared with them" in caplog.text
