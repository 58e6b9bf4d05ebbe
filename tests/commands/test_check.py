"""`stepsift check`: the plan's numbers, the problems, and that it compares for real."""

import copy
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from stepsift import params
from stepsift import tasks as evaluate_tasks
from stepsift.commands import estimate
from stepsift.commands import selfcheck as naive
from stepsift.commands.check import collect
from stepsift.commands.selfcheck import compare_engine, differences
from stepsift.container import image
from stepsift.core.errors import ScoringError, StudentError
from stepsift.placement import Memory
from stepsift.score.forward.engine import Engine
from stepsift.score.forward.request import Scores
from stepsift.verify.code import sandbox

ANSWERS = ("It is four. So 4.", "Two and two make four, I think.")
"""Of two steps and of one."""

Student = Callable[..., Path]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Two prompts, two teachers, one broken line; beside it an empty folder for tasks."""
    (tmp_path / "tasks").mkdir()
    rows = [
        {"prompt": f"What is {n} and {n}?", "completion": text, "teacher": teacher, "answer": "4"}
        for n in (1, 2)
        for teacher, text in zip(("anna", "bob"), ANSWERS, strict=True)
    ]
    return write(tmp_path / "sources", **{"a.jsonl": [*rows, b'{"prompt": ']})


def write(folder: Path, **files: list[dict | bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, rows in files.items():
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        (folder / name).write_bytes(b"\n".join(lines) + b"\n")
    return folder


def pair(prompt: str, *responses: str) -> list[dict | bytes]:
    """A prompt with a candidate of each of as many teachers."""
    return [{"prompt": prompt, "completion": r, "teacher": f"t{i}"} for i, r in enumerate(responses)]


def settings(student: Path, **sections: dict) -> params.Params:
    return params.parse({"student": {"path": str(student)}, **sections})


def planned(chosen: params.Params, sources: Path) -> list[str]:
    """The plan of sources without problems."""
    report = collect(chosen, sources, sources.parent / "tasks")
    assert report.problems == []
    return report.plan


def problems(chosen: params.Params, sources: Path) -> list[str]:
    found = collect(chosen, sources, sources.parent / "tasks").problems
    assert all("\n" not in p and len(p) < 600 for p in found), found
    return found


def test_the_plan_by_hand(sources: Path, student_folder: Student, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sandbox, "find", lambda: sandbox.Sandbox("bubblewrap", ("bwrap",)))
    monkeypatch.setattr(Memory, "total", lambda: Memory((), 21 * 10**9))
    (sources / "notes.txt").write_text("nothing to read")
    folder = student_folder("llama")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    n_tokens = 2 * sum(len(tokenizer(text, add_special_tokens=False).input_ids) for text in ANSWERS)
    # The tokenizer has no beginning token; without a template the prompt ends with a newline.
    prompt_tokens = len(tokenizer("What is 1 and 1?\n", add_special_tokens=False).input_ids)
    chosen = settings(folder, select={"selectors": ["lalp", "random"]}, train={"seeds": [3, 5, 7]})
    assert planned(chosen, sources) == [
        "sources     1 file, 5 rows read, 4 kept, 1 rejected (broken_json 1)",
        "prompts     2",
        "candidates  2 to 2 per prompt, median 2 (2 for 2 prompts)",
        "teachers    2: anna 2, bob 2",
        # 17 and 31 characters, each for both prompts.
        "traces      4, 96 characters",
        "ignored     notes.txt",
        "read as     a.jsonl (no preset): 4 rows, 4 traces, 100% of them with a gold answer or tests",
        "            answer from answer, prompt from prompt, response from completion, teacher from teacher",
        "warning     teacher bob: 2 of 2 compared answers (100%) are wrong or cannot be read, for example 'Two and "
        "two make four, I think.' where the gold answer is '4'. Check that its responses end (reasoning that is cut "
        "off holds no answer) and belong to these gold answers",
        f"student     {folder}, prompts as plain text, no chat template",
        "memory      0.1 million weights take 0.2 MB in float32, of 21.0 GB of memory; torch sees no GPU",
        f"tokens      about {n_tokens} in responses, {prompt_tokens} per prompt (from 4 encoded traces)",
        # With at most two steps, all windows of a trace start at its first step: one pass.
        "passes      about 4 windows (window 4) and 4 full passes",
        "window      4: a step sees 100% of the response before it; 100% of steps see all of it. Above 50% lalp is "
        "close to step_mean, which has no window: set a smaller score.window, or a share of the steps before (0.25)",
        "programs    answers of the kind code are run on their tests, isolated by bubblewrap",
        "machine     score and train run on this machine itself",
        "students    6 to train (lalp, random; seeds 3, 5, 7)",
        "tasks       chain (of lm-evaluation-harness), answered by each student and by the untrained one",
    ]


def test_who_groups_sentences_is_said_before_the_student(sources: Path, student_folder: Student):
    llm = {"url": "https://models.example.org/v1", "model": "m"}
    report = collect(
        settings(student_folder("llama"), segment={"unit": "llm", "llm": llm}), sources, sources.parent / "tasks"
    )
    rooms = [*report.findings]
    assert rooms.index("sources") < rooms.index("splitter") < rooms.index("student")
    first, second = report.findings["splitter"].lines
    # Two texts, of which one is a single sentence.
    assert first.startswith("splitter    m at models.example.org: ") and " for 4 traces, about " in first
    assert "LEAVE THIS MACHINE" in second


@pytest.mark.parametrize(
    ("score", "said"),
    [
        # Six steps. Window 1: steps 1 and 2 share a start, each other has its own: 5. Window 4: 1 to 5 share it: 2.
        # A half of the steps before: 0, 1, 2, 3, 4, 5 give 1, 1, 1, 2, 2, 3, so starts 1, 1, 2, 2, 3, 3: 3 passes.
        ({"window": 1}, "10 windows (window 1) and 2 full passes"),
        ({"window": 4}, "4 windows (window 4) and 2 full passes"),
        ({"window": 0.5}, "6 windows (window 0.5) and 2 full passes"),
        ({"passes": ["local"]}, "4 windows (window 4) and 0 full passes"),
        ({"passes": ["full"]}, "0 windows (window 4) and 2 full passes"),
    ],
)
def test_passes_by_hand(tmp_path: Path, student_folder: Student, score: dict, said: str):
    (tmp_path / "tasks").mkdir()
    steps = "We add one. We add two. We add three. We add four. We add five. We add six."
    sources = write(tmp_path / "sources", **{"a.jsonl": pair("Add.", steps, steps.replace("We", "I"))})
    chosen = settings(student_folder("llama"), score=score, select={"selectors": ["random"]})
    lines = planned(chosen, sources)
    assert f"passes      about {said}" in lines
    # Six steps of about the same tokens: for k = 1 the second to sixth see 1, 1/2, 1/3, 1/4 and 1/5, on average .46.
    window = [line for line in lines if line.startswith("window ")]
    assert len(window) == ("local" in score.get("passes", ["local"]))
    if score == {"window": 1}:
        assert re.fullmatch(r"window      1: a step sees 4\d% of the response before it; 20% of .*", window[0])


def test_a_teacher_of_whom_nothing_is_kept_is_named_and_not_counted(sources: Path, student_folder: Student):
    write(sources, **{"b.jsonl": [*pair("p", "A b.", "C d."), {"prompt": "p", "completion": "", "teacher": "eve"}]})
    (line,) = (x for x in planned(settings(student_folder("llama")), sources) if x.startswith("teachers"))
    assert line == "teachers    4: anna 2, bob 2, t0 1, t1 1; nothing kept of eve"


def test_a_sample_of_prompts_costs_its_share(sources: Path, student_folder: Student):
    def tokens(**score: int) -> int:
        text = "\n".join(planned(settings(student_folder("llama"), score=score), sources))
        assert ("about 2 windows" in text) == (score == {"prompts": 1})
        return int(re.search(r"tokens      about (\d+)", text)[1])  # type: ignore[index]

    assert tokens() == tokens(prompts=5) == 2 * tokens(prompts=1)


def test_of_a_large_student_hours_are_said(sources: Path, student_folder: Student, monkeypatch: pytest.MonkeyPatch):
    """Four traces of at most two steps: each is one window that holds all of it, and one full pass."""
    folder = student_folder("llama")
    size = 2_000_000_000
    monkeypatch.setattr(estimate, "count_parameters", lambda _: size)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    n_response = 2 * sum(len(tokenizer(text, add_special_tokens=False).input_ids) for text in ANSWERS)
    n_prompt = len(tokenizer("What is 1 and 1?\n", add_special_tokens=False).input_ids)
    chosen = settings(folder, train={"epochs": 5, "dtype": "mixed"})
    report = collect(chosen, sources, sources.parent / "tasks")
    work = report.as_json()["rooms"]["scoring"]["data"]["work"]
    assert work["scoring"] == pytest.approx(2 * size * (4 * n_prompt + 2 * n_response))
    # Two prompts, five times each, with a trace of the mean length.
    assert work["training"] == pytest.approx(6 * size * 2 * 5 * (n_prompt + n_response / 4))
    assert (work["training_bytes"], work["processes"]) == (32e9, 1)
    (line,) = (line for line in report.plan if line.startswith("work "))
    assert line.startswith("work        scoring the pool: ") and line.endswith(" on one H200 at 270 Tflop/s")
    # One of two prompts halves the first, a budget of tokens decides the second.
    budget = settings(folder, score={"prompts": 1}, train={"budget": {"tokens": n_response}})
    sampled = collect(budget, sources, sources.parent / "tasks").as_json()["rooms"]["scoring"]["data"]["work"]
    assert sampled["scoring"] == pytest.approx(work["scoring"] / 2)
    assert sampled["training"] == pytest.approx(6 * size * (4 * n_prompt + n_response))


def test_a_template_is_named_in_the_plan(sources: Path, student_folder: Student):
    folder = student_folder("llama", "qwen2")
    assert f"student     {folder}, prompts through its chat template" in planned(settings(folder), sources)


def test_all_problems_at_once_and_none_is_raised(tmp_path: Path):
    assert problems(settings(tmp_path / "none"), tmp_path / "nowhere") == [
        f"there is no folder {tmp_path}/nowhere; put trace files (*.jsonl, *.ndjson, *.json, *.csv, *.tsv, *.parquet, "
        "*.arrow, text also as .gz, .zst) below it",
        f"student.path is '{tmp_path}/none', where there is nothing; name a folder with config.json and weights, a "
        ".gguf file, or a .hub.yaml file with keys repo and revision",
        f"there is no folder {tmp_path}/tasks for evaluation tasks; make it (it may be empty: mkdir -p "
        f"{tmp_path}/tasks)",
    ]


def test_a_wrong_student_leaves_the_plan_of_the_sources(sources: Path, tmp_path: Path):
    report = collect(settings(tmp_path / "none"), sources, tmp_path / "tasks")
    assert len(report.problems) == 1
    assert [line.split()[0] for line in report.plan] == [
        *(
            "sources",
            "prompts",
            "candidates",
            "teachers",
            "traces",
            "read",
            "answer",
            "warning",
            "programs",
            "machine",
            "students",
            "tasks",
        )
    ]


def test_an_empty_folder_is_a_problem_and_so_is_a_pool_without_choice(tmp_path: Path, student_folder: Student):
    (tmp_path / "tasks").mkdir()
    sources = write(tmp_path / "sources")
    chosen = settings(student_folder("llama"))
    (problem,) = problems(chosen, sources)
    assert problem.startswith(f"folder {sources} holds no trace file; put files of these kinds below it")
    # Candidates 1, 1 and 3: the median is 1. With one more it is 1.5.
    rows = pair("p", "A b.") + pair("q", "A b.") + pair("r", "A b.", "C d.", "E f.")
    (problem,) = problems(chosen, write(sources, **{"a.jsonl": rows}))
    assert problem.startswith(
        "the median prompt has one candidate: 1 of 3 prompts has two or more, fewer than the 10 that a choice needs"
    )
    assert "fields.prompt_id" in problem
    assert "ingest.strip_suffixes" in problem
    assert problems(chosen, write(sources, **{"a.jsonl": rows + pair("s", "A b.", "C d.")})) == []


@pytest.mark.parametrize(("several", "stops"), [(0, True), (9, True), (10, False)])
def test_a_pool_where_most_prompts_have_one_candidate_is_a_problem_only_if_few_have_two(
    several: int, stops: bool, tmp_path: Path, student_folder: Student
):
    (tmp_path / "tasks").mkdir()
    rows = [row for i in range(several) for row in pair(f"p{i}", "A b.", "C d.")]
    rows += [row for i in range(12) for row in pair(f"q{i}", "A b.")]
    sources = write(tmp_path / "sources", **{"a.jsonl": rows})
    report = collect(settings(student_folder("llama")), sources, tmp_path / "tasks")
    finding = report.findings["sources"]
    assert (len(finding.problems), len(finding.warnings)) == ((1, 0) if stops else (0, 1))
    [sentence] = [*finding.problems, *finding.warnings]
    assert f"{several} of {several + 12} prompts have two or more" in sentence
    assert (f"warning     {sentence}" in report.plan) is not stops
    assert report.as_json()["warnings"] == [*finding.warnings]


def test_a_file_of_broken_rows_alone_is_a_problem_that_names_it(sources: Path, student_folder: Student):
    write(sources, **{"b.jsonl": [b"{", b"\xff", b"{"], "c.jsonl": [], "d.jsonl": [{"n": 1}]})
    (sources / "c.jsonl").write_bytes(b"")
    (sources / "e.parquet").write_bytes(b"no Parquet file")
    broken, empty, other, cut = problems(settings(student_folder("llama")), sources)
    assert broken.startswith(
        "source file b.jsonl: every one of its 3 rows was rejected, 2 of them as broken_json; row 1"
    )
    assert broken.endswith(". Mend the file, or write or copy it anew: no rule helps")
    assert empty == "source file c.jsonl holds no row; take it away or fill it"
    assert other.endswith(". Mend the file, or read it by a rule: 'stepsift preview' proposes one where it finds one")
    assert cut.startswith("source file e.parquet: its only row was rejected as unreadable_parquet; row 1: ")
    assert cut.endswith(". Mend the file, or write or copy it anew: no rule helps")
    assert ".. " not in cut


@pytest.mark.parametrize(
    ("engine", "has_gpu", "stops"), [("host", False, True), ("host", True, False), ("docker", False, False)]
)
def test_a_device_that_is_not_there_is_a_problem_where_scoring_runs_on_this_machine_itself(
    engine: str,
    has_gpu: bool,
    stops: bool,
    sources: Path,
    tmp_path: Path,
    student_folder: Student,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "stepsift").mkdir()
    (tmp_path / "stepsift/machine.yaml").write_text(f"engine: {engine}\n")
    monkeypatch.setattr(image, "image_digest", lambda *_: "sha256:0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    found = problems(settings(student_folder("llama"), score={"device": "cuda"}), sources)
    assert [p.partition(";")[0] for p in found] == (
        ["score.device is 'cuda', but torch sees no CUDA device"] if stops else []
    )


def test_large_numbers_are_written_alike(sources: Path, student_folder: Student):
    write(sources, **{"a.jsonl": [row for i in range(1_250) for row in pair(f"p{i}", "A b.")] + [b"{"] * 1_001})
    finding = collect(settings(student_folder("llama")), sources, sources.parent / "tasks").findings["sources"]
    assert list(finding.lines[:5]) == [
        "sources     1 file, 2,251 rows read, 1,250 kept, 1,001 rejected (broken_json 1,001)",
        "prompts     1,250",
        "candidates  1 to 1 per prompt, median 1 (1 for 1,250 prompts)",
        "teachers    1: t0 1,250",
        f"traces      1,250, {1_250 * 4:,} characters",
    ]


def test_every_problem_is_told_in_the_order_of_the_pipeline(sources: Path, tmp_path: Path):
    names = [f"b{n:02}.jsonl" for n in range(40)]
    write(sources, **{name: [b"{"] for name in names})
    found = problems(settings(tmp_path / "none"), sources)
    assert [p.split()[2].rstrip(":") for p in found[:-1]] == names
    assert found[-1].startswith("student.path is")


def test_what_is_read_as_what_is_data_for_programs(sources: Path, student_folder: Student):
    note = "We looked at this one twice, and it stays as it is."
    rows = [{"problem": f"{n}?", "output": "It is 4.", "generator": "eve", "attempt_notes": note} for n in (1, 2)]
    write(sources, **{"b.jsonl": rows, "c.jsonl": [], "notes.txt": []})
    (sources / "c.jsonl").write_bytes(b"")
    report = collect(settings(student_folder("llama")), sources, sources.parent / "tasks").as_json()
    data = json.loads(json.dumps(report["rooms"]["sources"]["data"]))
    assert data["files"]["b.jsonl"] == {
        **{"read": 2, "kept": 2, "rejected": 0, "reasons": {}, "preset": None, "rows": 2, "filtered": 0, "traces": 2},
        "fields": {"prompt": {"problem": 2}, "response": {"output": 2}, "teacher": {"generator": 2}},
        **{"unread": ["attempt_notes"], "unread_traces": ["attempt_notes"], "gold_share": 0.0},
    }
    assert data["files"]["a.jsonl"]["fields"]["answer"] == {"answer": 4}
    assert data["files"]["a.jsonl"]["gold_share"] == 1.0
    assert data["files"]["a.jsonl"]["reasons"] == {"broken_json": 1}
    assert (data["files"]["c.jsonl"]["read"], data["files"]["c.jsonl"]["gold_share"]) == (0, None)
    assert (data["total"]["read"], data["total"]["kept"], data["prompts"]) == (7, 6, 4)
    assert data["candidates"] == {"min": 1, "median": 1.5, "max": 2, "histogram": {"1": 2, "2": 2}}
    assert {name: tally["kept"] for name, tally in data["teachers"].items()} == {
        "(unknown)": 0,
        "anna": 2,
        "bob": 2,
        "eve": 2,
    }
    assert data["ignored_files"] == ["notes.txt"]


def test_a_rule_that_matches_nothing_is_a_problem(sources: Path, student_folder: Student):
    chosen = settings(student_folder("llama"), ingest={"files": [{"match": "*.json"}, {"match": "a*"}]})
    assert problems(chosen, sources) == ["no file is read by the rule '*.json' of ingest.files"]


def with_system(system: bool, prompt: str, *responses: str) -> list[dict | bytes]:
    first = [{"role": "system", "content": "Be brief."}] if system else []
    turns = [*first, {"role": "user", "content": prompt}]
    return [
        {"messages": [*turns, {"role": "assistant", "content": r}], "teacher": f"t{i}"} for i, r in enumerate(responses)
    ]


def test_a_template_that_refuses_every_prompt_is_a_problem(tmp_path: Path, student_folder: Student):
    (tmp_path / "tasks").mkdir()
    sources = write(tmp_path / "sources", **{"a.jsonl": with_system(True, "p", "A b.", "C d.")})
    chosen = settings(student_folder("llama", "gemma"))
    (problem,) = problems(chosen, sources)
    assert "chat template refuses a prompt with roles ['system', 'user']: this family knows no system role" in problem
    assert "set student.template: none" in problem
    plain = settings(student_folder("llama", "gemma")).model_dump()["student"] | {"template": "none"}
    assert problems(params.parse({"student": plain}), sources) == []


def test_a_template_that_refuses_some_prompts_is_a_line_of_the_plan(tmp_path: Path, student_folder: Student):
    (tmp_path / "tasks").mkdir()
    rows = with_system(True, "p", "A b.", "C d.", "E f.") + with_system(False, "q", "A b.", "C d.")
    plan = planned(settings(student_folder("llama", "gemma")), write(tmp_path / "sources", **{"a.jsonl": rows}))
    assert "            3 of 5 sampled traces cannot be scored (not_renderable 3)" in plan


def test_a_student_too_small_for_every_trace_is_a_problem(sources: Path, tmp_path: Path, student_folder: Student):
    folder = str(student_folder("llama"))
    chosen = params.parse({"student": {"path": folder, "max_context_tokens": 8}})
    (problem,) = problems(chosen, sources)
    assert problem.startswith("not one of 4 sampled traces can be scored: prompt ")
    assert problem.endswith("the student's context is 8")
    report = collect(chosen, sources, tmp_path / "tasks")
    assert "            4 of 4 sampled traces cannot be scored (window_too_long 4)" in report.plan
    with pytest.raises(ScoringError, match=r"none of 4 sampled traces can be compared .* context is 8"):
        compare_engine(chosen, report.sample)


def test_traces_without_a_full_pass_are_counted(tmp_path: Path, student_folder: Student):
    (tmp_path / "tasks").mkdir()
    rows = pair("p", "We add one to it. " * 12, "We add one.")
    sources = write(tmp_path / "sources", **{"a.jsonl": rows})
    raw = {"student": {"path": str(student_folder("llama")), "max_context_tokens": 64}, "score": {"window": 1}}
    plan = planned(params.parse(raw), sources)
    assert (
        "            1 of 2 sampled traces: longer than the student's context of 64 tokens, without a full pass" in plan
    )
    sample = collect(params.parse(raw), sources, tmp_path / "tasks").sample
    compared, none = compare_engine(params.parse(raw), sample)
    assert compared.startswith("trace ")
    assert none.startswith("none of 2 sampled traces that fit has more steps than its windows hold (score.window 1)")


def test_a_problem_of_several_lines_is_one_line(sources: Path, tmp_path: Path, student_folder: Student):
    folder = tmp_path / "student"
    shutil.copytree(student_folder("llama", "gemma"), folder)
    template = "{% if messages | length == 1 %}{{ raise_exception('no\\nand\\nno') }}{% endif %}<bos>"
    assert (folder / "chat_template.jinja").is_file()
    (folder / "chat_template.jinja").write_text(template)
    (problem,) = problems(settings(folder), sources)
    assert "no and no" in problem


def test_a_misspelt_task_is_a_problem(sources: Path, tmp_path: Path, student_folder: Student, monkeypatch):
    # the real list takes seconds
    monkeypatch.setattr(evaluate_tasks, "_harness", lambda: SimpleNamespace(all_tasks=["gsm8k"]))
    (tmp_path / "tasks/chain.jsonl").write_text('{"prompt": "1 + 1", "answer": "2"}\n')
    (tmp_path / "tasks/other-name.yaml").write_text(
        "task: chain\ndataset_path: json\ndataset_kwargs: {data_files: {test: chain.jsonl}}\ntest_split: test\n"
        "output_type: generate_until\ndoc_to_text: '{{prompt}}'\ndoc_to_target: '{{answer}}'\n"
    )
    good, bad = (
        settings(student_folder("llama"), evaluate={"tasks": [name], "trusted_tasks": ["chain"]})
        for name in ("chain", "chian")
    )
    assert planned(good, sources)[-1].startswith("tasks       chain (local)")
    (problem,) = problems(bad, sources)
    assert problem == "evaluate.tasks names 'chian', which is unknown, did you mean 'chain'?"
    (tmp_path / "tasks/chain.jsonl").unlink()
    (problem,) = problems(good, sources)
    assert "'chain.jsonl', which is not beside" in problem


def test_what_would_stop_training_or_evaluation_is_a_problem_now(
    sources: Path, tmp_path: Path, student_folder: Student
):
    asked = {"train": {"launch": str(tmp_path / "none.yaml")}, "evaluate": {"tasks": ["chain"], "engine": "vllm"}}
    before = len(problems(settings(student_folder("llama"), evaluate={"tasks": ["chain"]}), sources))
    found = problems(settings(student_folder("llama"), **asked), sources)[before:]
    assert [text.split(",")[0] for text in found] == [
        f"train.launch is '{tmp_path}/none.yaml'",
        "evaluate.engine is vllm",
    ]
    (tmp_path / "none.yaml").write_text("num_processes: 2\n")
    assert len(problems(settings(student_folder("llama"), **asked), sources)) == before + 1


@pytest.mark.parametrize(("family", "tokenizer"), [("llama", "plain"), ("qwen3", "qwen3"), ("gemma2", "gemma")])
@pytest.mark.parametrize("window", [1, 0.5])
def test_engine_and_naive_scoring_agree(sources, tmp_path, student_folder, family, tokenizer, window):
    # One pass asked for, both compared.
    chosen = settings(
        student_folder(family, tokenizer),
        score={"window": window, "passes": ["local"]},
        select={"selectors": ["lalp"]},
    )
    *lines, none = compare_engine(chosen, collect(chosen, sources, tmp_path / "tasks").sample)
    assert len(lines) == 2
    # The second step sees the first, whatever the window.
    assert none.endswith(f"(score.window {window}), so no window that leaves steps out was compared")
    # The shortest traces are those of anna, with two steps.
    for line in lines:
        assert re.fullmatch(
            r"trace [0-9a-f]{32}: \d+ tokens in 2 steps; engine and naive scoring differ by at most \de-\d\d "
            r"\(window\) and \de-\d\d \(whole context\) nats per token",
            re.sub(r"\d\.\de", "0e", line),
        ), line


def test_traces_with_more_steps_than_the_window_are_compared_first(tmp_path, student_folder):
    (tmp_path / "tasks").mkdir()
    rows = pair("p", "It is 4.", "So 4.", "We add.\nIt is 4.\nSo 4.", "We add.\nIt is 4.\nWe look.\nSo 4.")
    sources = write(tmp_path / "sources", **{"a.jsonl": rows})
    chosen = settings(student_folder("llama"), score={"window": 1})
    lines = compare_engine(chosen, collect(chosen, sources, tmp_path / "tasks").sample)
    assert [re.search(r"in \d steps?", line)[0] for line in lines] == ["in 3 steps", "in 4 steps"]
    chosen = settings(student_folder("llama"), score={"window": 2})
    lines = compare_engine(chosen, collect(chosen, sources, tmp_path / "tasks").sample)
    assert [re.search(r"in \d steps?", line)[0] for line in lines] == ["in 4 steps", "in 1 step"]


def test_below_float32_a_difference_is_explained_by_hand():
    # Steps of two, one and no tokens, and one of two: means of -.1, .3 and 0 in the window.
    window, whole = np.array([-0.3, 0.1, 0.3, 0.2, -0.2]), np.array([0.04, 0.0, 0.0, 0.0, 0.02])
    step = np.array([0, 0, 1, 3, 3])
    said = differences(window, whole, step, "bfloat16")
    assert said.startswith(
        "up to 0.3 (window) and 0.04 (whole context) nats per token, 0.13 and 0.01 on average per mean of a step, of "
    )
    assert said.endswith("three digits, differently for each shape of a batch; up to 1 per token is taken for rounding")
    assert "to four digits" in differences(window, whole, step, "float16")
    assert differences(window, whole, step, "float32") == (
        "at most 3.0e-01 (window) and 4.0e-02 (whole context) nats per token"
    )


def test_examples_of_every_teacher_are_sampled_with_a_long_one(tmp_path, student_folder):
    (tmp_path / "tasks").mkdir()
    rows = [{"prompt": f"p{i}", "completion": f"It is {i}.", "teacher": "anna"} for i in range(200)]
    rows += [{"prompt": "p0", "completion": "One.\nTwo.\nThree.", "teacher": "anna"}]
    rows += [{"prompt": f"p{i}", "completion": "No.", "teacher": "ben"} for i in range(2)]
    sources = write(tmp_path / "sources", **{"a.jsonl": rows})
    report = collect(settings(student_folder("llama")), sources, tmp_path / "tasks")
    assert len(report.sample) == 64
    assert len(report.examples) in (10, 11)
    assert {t.teacher for t in report.examples} == {"anna", "ben"}
    assert "One.\nTwo.\nThree." in {t.response for t in report.examples}


@pytest.mark.parametrize(("which", "place"), [("local", "window"), ("full", "whole context")])
def test_a_sabotaged_engine_is_found(sources, tmp_path, student_folder, monkeypatch, which: str, place: str):
    chosen = settings(student_folder("llama"))
    sample = collect(chosen, sources, tmp_path / "tasks").sample
    honest = Engine.score

    def score(self, request):
        # Copied one by one: a trace of a single window has one and the same values for both.
        scores = honest(self, request)
        scores = Scores(copy.deepcopy(scores.local), copy.deepcopy(scores.full))
        getattr(scores, which).logprob[-1] -= 1e-3
        return scores

    monkeypatch.setattr(Engine, "score", score)
    said = (
        rf"trace [0-9a-f]{{32}}: .* differ by 0\.001 nats per token \({place}\), 0\.0001 is allowed in float32; do not"
    )
    with pytest.raises(ScoringError, match=said):
        compare_engine(chosen, sample)


def test_a_difference_that_is_no_number_is_found(sources, tmp_path, student_folder, monkeypatch):
    chosen = settings(student_folder("llama"))
    sample = collect(chosen, sources, tmp_path / "tasks").sample
    honest = naive.full_logprobs
    monkeypatch.setattr(naive, "full_logprobs", lambda *a: honest(*a) * float("nan"))
    with pytest.raises(ScoringError, match=r"differ by nan nats per token \(whole context\)"):
        compare_engine(chosen, sample)


def test_a_student_without_all_its_weights_is_found_when_it_is_loaded(sources, tmp_path, student_folder):
    folder = tmp_path / "student"
    shutil.copytree(student_folder("llama"), folder)
    chosen = settings(folder)
    sample = collect(chosen, sources, tmp_path / "tasks").sample
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(StudentError, match="cannot be loaded"):
        compare_engine(chosen, sample)
