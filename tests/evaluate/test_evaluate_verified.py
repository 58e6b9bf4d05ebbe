"""Local tasks that name a verifier: three lines, graded as ingest grades traces."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
import yaml

from helpers.evaluate_bench import QUESTIONS, SETTINGS, Bench, says
from stepsift import params
from stepsift.core.errors import EvaluationError
from stepsift.evaluate import grade
from stepsift.select.questions import load_questions
from stepsift.tasks import Verified, check_tasks, find_tasks, load_task, read_yaml, verified
from stepsift.verify import Verifier
from stepsift.verify.code.sandbox import Sandbox

TESTS = {"test": "def check(f):\n    assert f(2) == 4\n", "entry_point": "double"}
RIGHT = "```python\ndef double(x):\n    return 2 * x\n```"


def write(folder: Path, rows: list[dict[str, Any]], **keys: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({"task": "mine", "verify": "math", "data": "mine.jsonl"} | keys))
    return path


@pytest.fixture(scope="module")
def verifier():
    with Verifier(5.0) as made:
        yield made


@pytest.mark.parametrize(
    ("kind", "row", "text", "verdict"),
    [
        ("math", {"answer": "1/2"}, "So it is \\boxed{0.5}", "correct"),
        ("math", {"answer": "4"}, "#### 5", "wrong"),
        ("math", {"answer": "4"}, "<think>It is 4", "unparsed"),
        ("choice", {"answer": "C"}, "The answer is (C).", "correct"),
        ("exact", {"answer": "4"}, "The answer is 4", "correct"),
        ("exact", {"answer": "[1, 2]"}, "The answer is [1,2]", "correct"),
        ("auto", {"answer": "C"}, "The answer is (B).", "wrong"),
        ("auto", {"answer": 4}, "#### 4", "correct"),
        ("code", TESTS, "no program", "unparsed"),
    ],
)
def test_answers_are_judged_as_in_ingest(verifier, kind, row, text, verdict):
    assert grade.judge(verifier, "task 't', question 1", Verified(kind, "prompt", "answer"), row, text) == verdict


def test_programs_are_run_or_the_task_is_refused(verifier):
    asked = Verified("auto", "prompt", "answer")
    if verifier._programs.sandbox.command:
        assert grade.judge(verifier, "task 't', question 1", asked, TESTS, RIGHT) == "correct"
        assert grade.judge(verifier, "task 't', question 1", asked, TESTS, RIGHT.replace("2 *", "3 *")) == "wrong"
        assert (
            grade.judge(verifier, "task 't', question 1", asked, {"tests": "assert double(1) == 2"}, RIGHT) == "correct"
        )
    with Verifier(5.0) as none:
        none._programs._sandbox = Sandbox("none", (), "not installed")
        with pytest.raises(
            EvaluationError, match=r"task 't', question 3 cannot be graded: programs are not run without"
        ):
            grade.judge(none, "task 't', question 3", asked, TESTS, RIGHT)


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("missing_module", None),
        ("sandbox", None),
        ("isolation", "programs are not run without a sandbox"),
        ("bad_tests", "its tests are no Python"),
    ],
)
def test_a_program_without_a_verdict_is_wrong_if_that_is_its_own_doing(reason: str, why: str | None):
    stand_in: Any = SimpleNamespace(run_tests=lambda *_: SimpleNamespace(verdict="unchecked", reason=reason))
    asked = stand_in, "task 't', question 2", Verified("code", "prompt", "answer"), TESTS, RIGHT
    if why is None:
        assert grade.judge(*asked) == "unchecked"
    else:
        with pytest.raises(EvaluationError, match=f"^task 't', question 2 cannot be graded: {why}"):
            grade.judge(*asked)


@pytest.mark.parametrize(
    ("kind", "row", "why"),
    [
        ("math", {}, "its row has nothing in 'answer'"),
        ("exact", {"answer": None}, "its row has nothing in 'answer'"),
        ("code", {"answer": "x"}, "it has no tests that can be run"),
        (
            "auto",
            {"answer": "Square both sides of it. Then collect the terms. All of them vanish."},
            "'answer' is a whole solution in words; name a field with a short answer, or set verify: exact",
        ),
    ],
)
def test_a_row_with_nothing_to_compare_is_an_error(verifier, kind, row, why):
    with pytest.raises(EvaluationError, match=f"task 't', question 1 cannot be graded: {why}"):
        grade.judge(verifier, "task 't', question 1", Verified(kind, "prompt", "answer"), row, RIGHT)


@pytest.mark.usefixtures("shared_judges")
def test_three_lines_are_a_task(tmp_path, student_folder):
    bench = Bench(tmp_path, student_folder("llama", "llama3"))
    said = [says(bench.student, q) for q in QUESTIONS]
    rows = [{"prompt": q, "answer": f"#### {n}", "number": 7} for n, q in enumerate(QUESTIONS)]
    write(tmp_path / "tasks", rows, generation_kwargs={"max_gen_toks": 8})
    settings = SETTINGS.model_copy(update={"tasks": ("mine",)})
    evaluated = bench.run(settings)
    untrained = evaluated.answers.filter(pl.col("model") == "untrained").sort("question")
    assert untrained["generation"].to_list() == said
    with Verifier(5.0) as verifier:
        wanted = [verifier.verdict("math", text, row["answer"]) for text, row in zip(said, rows, strict=True)]
    assert untrained["verdict"].to_list() == wanted
    assert untrained["correct"].to_list() == [float(v == "correct") for v in wanted]
    # Without a limit of the task's own, that of params.yaml; another verifier is another task.
    (tmp_path / "tasks/mine.yaml").write_text("task: mine\nverify: exact\ndata: mine.jsonl\n")
    again = bench.run(settings.model_copy(update={"max_new_tokens": 4}))
    assert (again.evaluated, again.reused) == (2, 0)
    assert all(
        len(a) <= len(b) for a, b in zip(again.answers["generation"], evaluated.answers["generation"], strict=True)
    )
    assert (bench.run(settings.model_copy(update={"max_new_tokens": 4})).reused) == 2


@pytest.mark.usefixtures("shared_judges")
def test_right_answers_count(tmp_path, student_folder):
    bench = Bench(tmp_path, student_folder("llama", "llama3"))
    said = says(bench.student, QUESTIONS[0])
    write(tmp_path / "tasks", [{"q": QUESTIONS[0], "gold": said}], verify="exact", prompt="q", answer="gold")
    settings = SETTINGS.model_copy(update={"tasks": ("mine",), "max_new_tokens": 8})
    [row] = bench.run(settings).evaluations.filter(pl.col("model") == "untrained").to_dicts()
    with Verifier(5.0) as verifier:
        wanted = verifier.verdict("exact", said, said)
    assert row["accuracy"] == float(wanted == "correct")


def test_the_instruction_follows_the_prompt_and_is_no_template(tmp_path):
    rows = [{"prompt": "2 + {{x}} ?", "answer": "4"}]
    write(tmp_path, rows, instruction="Put {it} %} in \\boxed{}.")
    [source] = find_tasks(("mine",), tmp_path)
    task = load_task(source, tmp_path / "scratch")["mine"]
    text = "2 + {{x}} ?\n\nPut {it} %} in \\boxed{}."
    assert [task.doc_to_text(doc) for doc in task.test_docs()] == [text]
    # What is asked here is kept out of training.
    assert load_questions(("mine",), tmp_path).rows["text"].to_list() == [text]
    assert verified(read_yaml(source.file)) == Verified("math", "prompt", "answer")


@pytest.mark.parametrize(
    ("keys", "says_"),
    [
        ({"verify": "maths"}, "verify is 'maths', it must be one of math, choice, exact, code, auto"),
        ({"metric_list": []}, "'metric_list' is no key of a task with verify; those are task, verify, data"),
        ({"data": None}, "data must be a text"),
        ({"instruction": "Be {{brief}}."}, "instruction holds '{{', which begins a template; put a space between"),
        ({"instruction": "a{% endraw %}{{cycler.__init__.__globals__.os.system('id')}}"}, "instruction holds '{%'"),
        ({"instruction": "a{#- hidden -#}b"}, "instruction holds '{#'"),
        ({"prompt": "{{self}}"}, "prompt holds '{{', which begins a template"),
        ({"prompt": "prompt }}{{ lipsum"}, "prompt holds '{{'"),
        ({"prompt": "lipsum.__globals__"}, "prompt is 'lipsum.__globals__', it must be the name of a field"),
        ({"prompt": "prompt | upper"}, "it must be the name of a field"),
        ({"prompt": "range(10**9)"}, "it must be the name of a field"),
        ({"answer": "{%set x=1%}"}, "answer holds '{%'"),
        ({"data": "none.jsonl"}, "task 'mine' reads 'none.jsonl', which is not beside"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, keys, says_):
    write(tmp_path, [{"prompt": "?", "answer": "4"}], **keys)
    [problem] = check_tasks(("mine",), tmp_path)
    assert says_ in problem


def test_another_engine_is_another_answer(tmp_path, student_folder, monkeypatch):
    bench = Bench(tmp_path, student_folder("llama", "llama3"))
    write(tmp_path / "tasks", [{"prompt": "?", "answer": "4"}])
    settings = params.Evaluate(tasks=("mine",), engine="vllm")
    with pytest.raises(
        EvaluationError, match=r"vllm, which cannot be loaded \(.*install it \('pip install vllm'\) or set engine: hf"
    ):
        bench.run(settings)
