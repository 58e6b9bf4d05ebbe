"""Evaluation sees the ids that training saw, grades what the student really says, and pays once for each answer."""

import dataclasses
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM

from helpers.evaluate_bench import (
    CHOICES,
    QUESTIONS,
    SETTINGS,
    STUDENT,
    Bench,
    files_in,
    says,
    write_choices,
    write_task,
)
from stepsift import evaluate, params, tasks
from stepsift.core import table_files, tables
from stepsift.core.errors import EvaluationError
from stepsift.evaluate import harness
from stepsift.evaluate.run import check_evaluation
from stepsift.student import load_renderer
from stepsift.tasks import check_tasks, find_tasks, local_tasks

Folder = Callable[..., Path]


@pytest.fixture
def bench(tmp_path: Path, student_folder: Folder) -> Bench:
    made = Bench(tmp_path, student_folder("llama", "llama3"))
    answers = [says(made.student, q) for q in QUESTIONS]
    answers[1], answers[4] = "something else", "no"
    rows = [{"question": q, "answer": a} for q, a in zip(QUESTIONS, answers, strict=True)]
    write_task(tmp_path / "tasks", rows)
    return made


def counts(evaluated: evaluate.Evaluated) -> tuple[int, int]:
    return evaluated.evaluated, evaluated.reused


def test_accuracy_is_that_of_what_the_student_says(bench: Bench) -> None:
    evaluated = bench.run()
    rows = {row["model"]: row for row in evaluated.evaluations.to_dicts()}
    assert set(rows) == {"untrained", "lalp/seed-0"}
    # Three of five are right: sample standard deviation sqrt((3 * .16 + 2 * .36) / 4), over sqrt(5).
    assert rows["untrained"]["n"] == 5
    assert rows["untrained"]["accuracy"] == pytest.approx(0.6)
    assert rows["untrained"]["stderr"] == pytest.approx((0.3 / 5) ** 0.5)
    assert rows["lalp/seed-0"]["accuracy"] == 0
    trained = bench.folder / "train" / "lalp" / "seed-0"
    for model, folder in {"untrained": bench.student, "lalp/seed-0": trained}.items():
        answers = evaluated.answers.filter(pl.col("model") == model).sort("question")
        assert answers["generation"].to_list() == [says(folder, q) for q in QUESTIONS]
    assert evaluated.answers.filter(pl.col("model") == "untrained")["correct"].to_list() == [1, 0, 1, 1, 0]


def test_results_are_tables_and_the_same_bytes_again(bench: Bench) -> None:
    evaluated = bench.run()
    names = ("answers.parquet", "evaluations.parquet", "keys.json")
    first = [(bench.folder / "out" / name).read_bytes() for name in names]
    assert table_files.read(tables.ANSWERS, bench.folder / "out" / names[0]).equals(evaluated.answers)
    assert table_files.read(tables.EVALUATIONS, bench.folder / "out" / names[1]).equals(evaluated.evaluations)
    shutil.rmtree(bench.folder / "cache")
    bench.run()
    assert [(bench.folder / "out" / name).read_bytes() for name in names] == first
    assert sorted(p.name for p in (bench.folder / "out").iterdir()) == sorted(names)


def test_standard_error_is_the_harness_s_own(bench: Bench) -> None:
    from lm_eval.api.metrics import mean_stderr

    evaluated = bench.run()
    correct = evaluated.answers.filter(pl.col("model") == "untrained")["correct"].to_list()
    [row] = evaluated.evaluations.filter(pl.col("model") == "untrained").to_dicts()
    assert row["stderr"] == pytest.approx(mean_stderr(correct))


@pytest.mark.parametrize("tokenizer", ["llama3", "qwen2", "gemma", "plain"])
@pytest.mark.parametrize("template", ["auto", "none"])
def test_the_model_sees_the_ids_of_render(
    tokenizer: str, template: str, tmp_path: Path, student_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stepsift.evaluate.student_lm import StudentLM

    student = STUDENT.model_copy(update={"template": template})
    bench = Bench(tmp_path, student_folder("llama", tokenizer))
    write_task(tmp_path / "tasks", [{"question": q, "answer": "?"} for q in QUESTIONS])
    seen: list[tuple[int, ...]] = []
    generate = StudentLM._generate

    def spy(self: Any, *args: Any) -> Any:
        original = self.model.generate

        def watch(input_ids: torch.Tensor, attention_mask: torch.Tensor, **kwargs: Any) -> Any:
            for row, mask in zip(input_ids, attention_mask.bool(), strict=True):
                assert not mask[: int((~mask).sum())].any()
                seen.append(tuple(row[mask].tolist()))
            return original(input_ids=input_ids, attention_mask=attention_mask, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(self.model, "generate", watch)
            return generate(self, *args)

    monkeypatch.setattr(StudentLM, "_generate", spy)
    bench.run(student=student)
    renderer = load_renderer(files_in(bench.student), student)
    expected = {tuple(renderer.prompt([{"role": "user", "content": q}])) for q in QUESTIONS}
    assert set(seen) == expected
    assert len(seen) == 2 * len(QUESTIONS)


@pytest.mark.parametrize("first", [32, 1, 3])
def test_an_answer_stops_at_end_token_and_stop_string_however_often_it_is_batched_anew(
    first: int, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stepsift.evaluate import student_lm
    from stepsift.evaluate.asking import Answered
    from stepsift.evaluate.sampling import How

    monkeypatch.setattr(student_lm, "ROUND_TOKENS", first)
    renderer = load_renderer(files_in(bench.student), STUDENT)
    lm = student_lm.StudentLM(AutoModelForCausalLM.from_pretrained(bench.student).eval(), renderer, 512, SETTINGS)
    prompts = [renderer.prompt([{"role": "user", "content": q}]) for q in QUESTIONS]

    def answers(most: int = 8, *until: str) -> list[tuple[str, bool]]:
        with Answered(len(prompts)) as answered:
            said = lm._answer_all(prompts, QUESTIONS, How(list(until), most), answered)
        assert answered.n == len(prompts)
        return said

    whole = [text for text, _ in answers()]
    assert whole == [says(bench.student, q) for q in QUESTIONS]
    stop = whole[0][2:4]
    assert answers(8, stop) == [(text.split(stop)[0], stop in text) for text in whole]
    # The token that the student says second to the first question ends answers: by itself, then as a stop string.
    with torch.no_grad():
        ids = lm.model.generate(input_ids=torch.tensor([prompts[0]]), max_new_tokens=2, do_sample=False)[0].tolist()
    expected = (renderer.tokenizer.decode(ids[-2:-1]), True)
    monkeypatch.setattr(renderer, "end_id", ids[-1])
    assert answers()[0] == expected
    monkeypatch.undo()
    monkeypatch.setattr(type(renderer.tokenizer), "get_added_vocab", lambda self: {"<stop>": ids[-1]})
    assert answers(8, "<stop>")[0] == expected


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "openai-gpt", "lfm2"])
def test_answers_that_end_at_different_times_are_those_of_a_student_that_answers_one_alone(
    family: str, student_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without windows (16 tokens, fewer than prompt and answer), and where no row can be dropped (lfm2)."""
    from stepsift.evaluate import student_lm
    from stepsift.evaluate.asking import Answered
    from stepsift.evaluate.sampling import How

    folder, most = student_folder(family), 24
    renderer = load_renderer(files_in(folder), STUDENT)
    prompts = [renderer.prompt([{"role": "user", "content": q}]) for q in QUESTIONS]
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    alone = [greedy_ids(model, ids, most) for ids in prompts]
    # The token that ends answers at as many different places as any does.
    ends = max(([t] for ids in alone for t in ids), key=lambda e: len({len(cut_at(ids, e)[0]) for ids in alone}))
    expected = [cut_at(ids, ends) for ids in alone]
    assert len({len(ids) for ids, _ in expected}) > 1
    monkeypatch.setattr(student_lm.StudentLM, "_ends", lambda self, until: ends)
    monkeypatch.setattr(student_lm.StudentLM, "_text", lambda self, ids, until, ends: cut_at(ids, ends))
    read: list[int] = []
    model.get_input_embeddings().register_forward_hook(lambda _, arguments, __: read.append(arguments[0].numel()))
    for batch_size, n_round in ((5, 1), (5, 4), (2, 3), (3, 32), (1, 5)):
        monkeypatch.setattr(student_lm, "ROUND_TOKENS", n_round)
        settings = SETTINGS.model_copy(update={"batch_size": batch_size})
        lm = student_lm.StudentLM(model, renderer, 512, settings)
        read.clear()
        with Answered(len(prompts)) as answered:
            assert lm._answer_all(prompts, QUESTIONS, How([], most), answered) == expected
        assert answered.n == len(prompts)
        if family == "llama" and (batch_size, n_round) == (5, 1):
            # One batch reads its prompts once; then each answer costs its own tokens and nothing when it has ended.
            padded = len(prompts) * max(map(len, prompts))
            assert sum(read) == padded + sum(len(ids) + ended - 1 for ids, ended in expected)


def greedy_ids(model: Any, prompt: list[int], n: int) -> list[int]:
    """What a student says to a prompt, without batch, padding or cache."""
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(n):
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def cut_at(ids: list[int], ends: list[int]) -> tuple[Any, bool]:
    end = next((n for n, token in enumerate(ids) if token in ends), None)
    return ids[:end], end is not None


def test_a_row_stops_at_its_own_stop_string_or_end_of_room(student_folder: Folder) -> None:
    from stepsift.evaluate.student_lm import _Stop

    tokenizer = load_renderer(files_in(student_folder("llama")), STUDENT).tokenizer
    rows = [tokenizer.encode(text) for text in ("x is 4#", "x is 42", "x is 4+")]
    width = len(rows[0]) - 3
    assert {len(row) for row in rows} == {width + 3}
    rooms = [9, 9, 3]
    assert _Stop(tokenizer, ["4#", "?"], [], width, rooms)(torch.tensor(rows), None).tolist() == [True, False, True]
    assert _Stop(tokenizer, [], [], width, rooms)(torch.tensor(rows), None).tolist() == [False, False, True]
    # What stands in the prompt stops nothing.
    assert not _Stop(tokenizer, ["x is"], [], width, [9, 9, 9])(torch.tensor(rows), None).any()


def test_an_answer_is_cut_where_prompt_and_answer_fill_the_context_and_that_is_said(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    renderer = load_renderer(files_in(bench.student), STUDENT)
    lengths = sorted(len(renderer.prompt([{"role": "user", "content": q}])) for q in QUESTIONS)
    student = STUDENT.model_copy(update={"max_context_tokens": lengths[-1]})
    evaluated = bench.run(student=student)
    answers = evaluated.answers.filter(pl.col("model") == "untrained").sort("question").to_dicts()
    for question, row in zip(QUESTIONS, answers, strict=True):
        room = lengths[-1] - len(renderer.prompt([{"role": "user", "content": question}]))
        assert row["generation"] == says(bench.student, question, min(room, 8))
        assert row["ended"] is False
    assert answers[1]["generation"] == ""
    assert "1 question longer than the student's context of " in caplog.text


def test_a_publisher_s_sampling_advice_does_not_change_greedy_answers(bench: Bench) -> None:
    advised = bench.add_trained("galp", 0, scale=1.0)
    path = advised / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"repetition_penalty": 5.0, "do_sample": True}))
    evaluated = bench.run()
    by_model = {name: frame for (name,), frame in evaluated.answers.group_by("model")}
    assert by_model["galp/seed-0"]["generation"].to_list() == by_model["untrained"]["generation"].to_list()


def test_continuations_are_scored_behind_the_rendered_prompt(bench: Bench) -> None:
    write_choices(bench.folder / "tasks", QUESTIONS[:3])
    evaluated = bench.run(SETTINGS.model_copy(update={"tasks": ("pick",)}))
    renderer = load_renderer(files_in(bench.student), STUDENT)
    model = AutoModelForCausalLM.from_pretrained(bench.student).eval()
    chosen = []
    for q in QUESTIONS[:3]:
        sums = {}
        for choice in CHOICES:
            rendered = renderer.render([{"role": "user", "content": q}], choice)
            prompt, response = rendered.prompt_ids, rendered.response_ids
            with torch.no_grad():
                logprobs = model(torch.tensor([prompt + response])).logits[0].log_softmax(-1)
            sums[choice] = sum(float(logprobs[len(prompt) - 1 + i, token]) for i, token in enumerate(response))
        chosen.append(max(sums, key=lambda choice: sums[choice]))
    answers = evaluated.answers.filter(pl.col("model") == "untrained").sort("question")
    assert [text.strip() for text in answers["generation"]] == chosen
    assert answers["correct"].to_list() == [float(c == "42") for c in chosen]


def test_what_decides_an_answer_is_in_the_key(bench: Bench) -> None:
    def settings(**changes: Any) -> params.Evaluate:
        return SETTINGS.model_copy(update=changes)

    tasks = bench.folder / "tasks"
    assert counts(bench.run()) == (2, 0)
    assert counts(bench.run()) == (0, 2)
    bench.add_trained("galp", 0, scale=1.0)
    # The student that is the untrained one by another name costs nothing.
    assert counts(bench.run()) == (0, 3)
    bench.add_trained("galp", 1, scale=0.5)
    assert counts(bench.run()) == (1, 3)
    assert counts(bench.run(settings(limit=2))) == (3, 1)
    write_task(tasks, [{"question": q, "answer": "?"} for q in QUESTIONS], "more")
    assert counts(bench.run(settings(tasks=("toy", "more")))) == (3, 5)
    write_task(tasks, [{"question": q, "answer": "5"} for q in QUESTIONS])
    assert counts(bench.run()) == (3, 1)
    assert counts(bench.run(student=STUDENT.model_copy(update={"template": "none"}))) == (3, 1)


def test_the_key_of_a_task_does_not_depend_on_where_it_lies(bench: Bench, tmp_path: Path) -> None:
    (bench.folder / "tasks" / "utils.py").write_text("def same(docs):\n    return docs\n")
    config = bench.folder / "tasks" / "toy.yaml"
    config.write_text(config.read_text() + "process_docs: !function utils.same\n")
    moved = shutil.copytree(bench.folder / "tasks", tmp_path / "elsewhere" / "tasks")
    digests = [find_tasks(("toy",), folder, ("toy",))[0].digest for folder in (bench.folder / "tasks", moved)]
    assert digests[0] == digests[1]
    (moved / "utils.py").write_text("def same(docs):\n    return docs.select([0])\n")
    assert find_tasks(("toy",), moved, ("toy",))[0].digest != digests[0]
    assert counts(bench.run()) == (2, 0)


def test_the_chart_has_intervals_over_questions(bench: Bench) -> None:
    [first, second] = bench.run().chart()
    # .6 with a standard error of sqrt(.3 / 5) leaves [0, 1] on neither side; 0 has no width.
    reach = 1.96 * (0.3 / 5) ** 0.5
    wanted = {"student": "untrained", "of": "toy", "accuracy": 0.6, "low": 0.6 - reach, "high": 1.0}
    assert first == pytest.approx(wanted | {"high": min(1.0, 0.6 + reach)})
    assert second == {"student": "lalp/seed-0", "of": "toy", "accuracy": 0.0, "low": 0.0, "high": 0.0}


def test_metrics_are_nested_finite_and_mean_over_seeds(bench: Bench) -> None:
    bench.add_trained("lalp", 1, scale=1.0)
    bench.add_trained("galp", 0, scale=1.0)
    metrics = bench.run().metrics()
    json.dumps(metrics, allow_nan=False)
    toy = metrics["toy"]
    assert toy["untrained"]["accuracy"] == pytest.approx(0.6)
    assert set(toy["untrained"]) == {"accuracy", "stderr", "n", "samples", "ended"}
    assert toy["lalp"]["accuracy"] == pytest.approx(0.3)
    assert toy["lalp"]["seeds"] == 2
    assert toy["lalp"]["seeds_std"] == pytest.approx(0.3 * 2**0.5)
    assert toy["lalp"]["seed-1"] == toy["untrained"]
    assert "seeds_std" not in toy["galp"]
    one = bench.run(SETTINGS.model_copy(update={"limit": 1})).metrics()
    assert "stderr" not in one["toy"]["untrained"]


def test_a_local_task_needs_no_network_and_leaves_no_cache(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import datasets
    import huggingface_hub

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"network: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    users = bench.folder / "users-cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", users)
    monkeypatch.setattr(datasets.config, "HF_MODULES_CACHE", users)
    before = (datasets.config.HF_HUB_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE)
    capfd.readouterr()
    bench.run()
    assert before == (datasets.config.HF_HUB_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE)
    assert not users.exists()
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_nothing_of_the_machine_or_the_day_is_in_the_results(bench: Bench) -> None:
    evaluated = bench.run()
    text = evaluated.answers.write_json() + evaluated.evaluations.write_json() + json.dumps(evaluated.metrics())
    assert str(bench.folder) not in text
    assert socket.gethostname() not in text
    for entry in (bench.folder / "cache").rglob("*.json*"):
        assert str(bench.folder) not in entry.read_text()


@pytest.fixture
def few_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The harness reads one folder for the names of its tasks, of 13,000 files, which take seconds."""
    from lm_eval.tasks._index import TaskIndex

    monkeypatch.setattr(TaskIndex, "_iter_yaml_files", staticmethod(lambda root: sorted(root.glob("arc/*.yaml"))))
    tasks._harness.cache_clear()
    yield
    tasks._harness.cache_clear()


@pytest.mark.usefixtures("few_names")
@pytest.mark.parametrize(("name", "hint"), [("toi", "did you mean 'toy'"), ("arc_easi", "did you mean 'arc_easy'")])
def test_an_unknown_task_is_an_error_that_names_the_nearest(name: str, hint: str, bench: Bench) -> None:
    with pytest.raises(EvaluationError, match=hint):
        bench.run(SETTINGS.model_copy(update={"tasks": (name,)}))


@pytest.mark.system
def test_the_harness_knows_its_tasks(tmp_path: Path) -> None:
    [source] = find_tasks(("arc_easy",), tmp_path)
    assert (source.name, source.file) == ("arc_easy", None)
    with pytest.raises(EvaluationError, match="did you mean 'arc_easy'"):
        find_tasks(("arc_easi",), tmp_path)


@pytest.mark.usefixtures("few_names")
def test_a_task_that_cannot_be_read_is_named(bench: Bench) -> None:
    (bench.folder / "tasks" / "broken.yaml").write_text("task: [broken")
    with pytest.raises(EvaluationError, match=r"broken.yaml cannot be read"):
        find_tasks(("broken",), bench.folder / "tasks")
    (bench.folder / "tasks" / "toy.jsonl").unlink()
    with pytest.raises(EvaluationError, match=r"'toy.jsonl', which is not beside"):
        bench.run()


@pytest.mark.usefixtures("few_names")
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dataset_kwargs": "foo"}, "dataset_kwargs is 'foo'"),
        ({"dataset_kwargs": {"data_files": {"test": 5}}}, "data_files is {'test': 5}"),
        ({"dataset_kwargs": {"data_files": {"test": ""}}}, "data_files is {'test': ''}"),
        ({"dataset_kwargs": {"data_files": "a**b"}}, "no file name|not beside"),
        ({"include": 5}, "include must be a file name"),
        ({"include": "toy.yaml"}, "includes itself"),
        ({"repeats": 0}, "the harness cannot run toy: IndexError"),
        ({"metric_list": []}, "first metric of task 'toy' is 'none'"),
    ],
)
def test_a_mistake_in_a_task_is_an_error(changes: dict[str, Any], says: str, bench: Bench) -> None:
    write_task(bench.folder / "tasks", [{"question": "?", "answer": "a"}], **changes)
    with pytest.raises(EvaluationError, match=says):
        bench.run()
    if "repeats" not in changes and "metric_list" not in changes:
        assert len(check_tasks(("toy",), bench.folder / "tasks", ("toy",))) == 1


def test_a_task_without_a_question_is_an_error(bench: Bench) -> None:
    (bench.folder / "tasks" / "utils.py").write_text("def none(docs):\n    return docs.select([])\n")
    config = bench.folder / "tasks" / "toy.yaml"
    config.write_text(config.read_text() + "process_docs: !function utils.none\n")
    with pytest.raises(EvaluationError, match="toy"):
        bench.run()


def test_tasks_are_checked_without_the_harness(tmp_path: Path) -> None:
    folder = tmp_path / "tasks"
    write_task(folder / "sub", [{"question": "?", "answer": "a"}])
    (folder / "common.yaml").write_text("output_type: generate_until\n")
    (folder / "sub" / "long.yaml").write_text("include: toy.yaml\ntask: toy_long\nprocess_docs: !function utils.f\n")
    code = f"""
import sys
from pathlib import Path
from stepsift.tasks import check_tasks, local_tasks
folder = Path({str(folder)!r})
assert local_tasks(folder) == {{"toy", "toy_long"}}
assert check_tasks(("toy", "toy_long", "gsm8k"), folder, ("toy", "toy_long")) == []
assert len(check_tasks(("toy", "toy_long", "gsm8k"), folder)) == 2
assert "lm_eval" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.usefixtures("few_names")
def test_each_problem_of_the_tasks_is_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "tasks"
    for name in ("arc_easi", "toy", "twice"):
        write_task(folder, [{"question": "?", "answer": "a"}], name)
    shutil.copyfile(folder / "twice.yaml", folder / "again.yaml")
    (folder / "broken.yaml").write_text("task: [broken")
    (folder / "toy.jsonl").unlink()
    # arc_easy resembles a local task and is one of the harness's.
    names = ("toy", "arc_easi", "arc_easy", "toi", "twice", "zzz")
    broken, data, unknown, twice = check_tasks(names, folder, names)
    assert "broken.yaml cannot be read" in broken
    assert "'toy.jsonl', which is not beside" in data
    assert "'toi', which is unknown, did you mean 'toy'?" in unknown
    assert "'twice' stands in" in twice
    assert not any("\n" in problem for problem in (broken, data, unknown, twice))


@pytest.mark.usefixtures("few_names")
def test_tasks_of_the_harness_need_no_folder_of_local_ones(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = bench.folder / "nowhere"
    assert local_tasks(missing) == set()
    assert check_tasks(("arc_easy",), missing) == []
    assert [source.file for source in find_tasks(("arc_easy",), missing)] == [None]
    [toy] = find_tasks(("toy",), bench.folder / "tasks", ("toy",))
    load = evaluate.run.load_task
    # The harness's own tasks need a network: a local one stands in for it.
    monkeypatch.setattr(evaluate.run, "load_task", lambda source, scratch: load(toy, scratch))
    (bench.folder / "tasks").rename(bench.folder / "moved")
    toy = dataclasses.replace(toy, file=bench.folder / "moved" / "toy.yaml")
    assert counts(bench.run(SETTINGS.model_copy(update={"tasks": ("arc_easy",)}))) == (2, 0)


def test_a_date_as_argument_of_the_template_is_part_of_the_key(bench: Bench) -> None:
    for date, expected in {"2025-01-01": (2, 0), "2025-01-02": (2, 0)}.items():
        student = params.Student(template_kwargs=yaml.safe_load(f"date: {date}"))
        assert counts(bench.run(student=student)) == expected
        assert counts(bench.run(student=student)) == (0, 2)


def test_a_task_that_grades_no_single_question_is_an_error(bench: Bench) -> None:
    metric = [{"metric": "bleu", "aggregation": "bleu", "higher_is_better": True}]
    write_task(bench.folder / "tasks", [{"question": "?", "answer": "a"}], metric_list=metric)
    with pytest.raises(EvaluationError, match="first metric of task 'toy' is 'bleu'"):
        bench.run()


@pytest.mark.parametrize("value", [1.01, 100, -0.01, float("nan"), None, "1", (1, 2)])
def test_what_a_first_metric_gives_for_a_question_is_a_share_or_refused(value: object) -> None:
    says = re.escape(f"'points', which gives {value!r} for a question and no share of right answers")
    with pytest.raises(EvaluationError, match=says):
        harness._share({"points": value}, "toy", "points")
    for good, share in ((True, 1.0), (0, 0.0), (np.float32(0.5), 0.5)):
        assert harness._share({"points": good}, "toy", "points") == share


class Bytes:
    """A tokenizer whose tokens are single bytes."""

    def batch_decode(self, rows: torch.Tensor) -> list[str]:
        return [bytes(row).decode("utf-8", "replace") for row in rows.tolist()]

    def decode(self, ids: list[int]) -> str:
        return bytes(ids).decode("utf-8", "replace")


@pytest.mark.parametrize("stop", ["\n", "Question:", "。", "答え", "→ end", "🙂"])
def test_a_stop_string_is_seen_with_its_last_token_though_that_is_a_byte(stop: str) -> None:
    from stepsift.evaluate.student_lm import _Stop

    ids = list(f"It is 4{stop} and on".encode())
    stopping = _Stop(Bytes(), [stop, ""], [], 0, [len(ids) + 1])
    seen = [bool(stopping(torch.tensor([ids[:n]]), None)) for n in range(1, len(ids) + 1)]
    assert seen.index(True) + 1 == len(f"It is 4{stop}".encode())


def test_without_a_trained_student_there_is_nothing_to_compare(bench: Bench) -> None:
    shutil.rmtree(bench.folder / "train")
    with pytest.raises(EvaluationError, match="no trained student"):
        bench.run()


def test_check_names_the_tasks_and_what_would_stop_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_task(tmp_path / "tasks", [{"question": "?", "answer": "a"}])
    settings = SETTINGS.model_copy(update={"tasks": ("toy", "gsm8k")})
    finding = check_evaluation(settings, tmp_path / "tasks")
    assert finding.lines == [
        "tasks       toy (local), gsm8k (of lm-evaluation-harness), answered by each student and by the untrained one"
    ]
    assert not finding.problems
    [problem] = check_evaluation(settings, tmp_path / "none").problems
    assert problem.startswith(f"there is no folder {tmp_path / 'none'} for evaluation tasks; make it")

    vllm = settings.model_copy(update={"engine": "vllm"})
    for found, problems in ((None, 1), (object(), 0)):
        monkeypatch.setattr("stepsift.evaluate.run.find_spec", lambda name, found=found: found)
        assert len(check_evaluation(vllm, tmp_path / "tasks").problems) == problems
