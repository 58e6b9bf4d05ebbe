"""`stepsift preview`: what would be read, three rows of it, and a rule that mends it, tried on the same rows."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.slow  # answers are verified in a process
PROBLEMS = [(3, 4), (5, 6), (7, 8), (9, 2), (4, 4)]


def question(a: int, b: int) -> str:
    return f"A shelf has {a} red jars and {b} blue jars. How many jars are on it?"


def trace(a: int, b: int, who: str = "") -> str:
    return f"{who}There are {a} red and {b} blue ones, so {a} + {b} = {a + b} in all. The answer is \\boxed{{{a + b}}}."


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No params.yaml is needed."""
    monkeypatch.chdir(tmp_path)


def previewed(run_cli, *arguments: object) -> dict[str, Any]:
    code, out, err = run_cli("preview", *arguments, "--json")
    assert (code, err) == (0, [])
    [answer] = json.loads("\n".join(out))["previews"]
    return answer


def test_a_file_that_is_read_is_shown_line_by_line(tmp_path: Path, run_cli):
    rows = [
        {
            "prompt": question(a, b),
            "response": f"<think>\nhm\n</think>\n{trace(a, b)}",
            "answer": str(a + b),
            "model": who,
        }
        for a, b in PROBLEMS[:2]
        for who in ("ann", "b\u202eob")
    ]
    write(tmp_path / "mine.jsonl", [*rows, {"prompt": "p"}])
    code, out, err = run_cli("preview", "mine.jsonl")
    assert (code, err) == (0, [])
    assert out[0] == "layout      fields"
    assert out[1].startswith("read as     mine.jsonl (no preset): 5 rows, 4 traces")
    rest = out[[line.startswith("rows ") for line in out].index(True) :]
    assert rest[0] == "rows        5 read, 4 kept"
    assert rest[1].startswith("            unknown_layout 1; first mine.jsonl:5: ")
    assert rest[2] == "teachers    ann 2, b⟨U+202E⟩ob 2"
    assert rest[3:9] == [
        "row         mine.jsonl:1 by ann",
        f"  prompt    {question(3, 4)}",
        "  thinking  hm",
        f"  answer    {trace(3, 4)}",
        "  gold      7",
        "  verdict   correct",
    ]
    # Of as many teachers as there are, three in all.
    assert [line for line in rest if line.startswith("row ")][1:] == [
        "row         mine.jsonl:2 by b⟨U+202E⟩ob",
        "row         mine.jsonl:3 by ann",
    ]
    assert not [line for line in out if line.startswith("mend ")]


def test_long_texts_are_cut_in_lines_and_whole_in_json(tmp_path: Path, run_cli):
    long = "word " * 300 + "end"
    write(tmp_path / "a.jsonl", [{"prompt": long, "response": long, "teacher": "t"}])
    _, out, _ = run_cli("preview", "a.jsonl")
    assert max(len(line) for line in out) < 260
    assert previewed(run_cli, "a.jsonl")["examples"][0]["prompt"] == long


def test_a_folder_says_who_is_named_by_file_and_what_is_left_out(tmp_path: Path, run_cli):
    for name in ("ann", "ben"):
        write(tmp_path / f"set/{name}.jsonl", [{"prompt": question(3, 4), "response": trace(3, 4)}])
    (tmp_path / "set/notes.txt").touch()
    code, out, _ = run_cli("preview", "set")
    assert code == 0
    assert out[0] == "left out    notes.txt"
    assert "teachers    ann 1, ben 1" in out
    assert "            teachers are named by file or folder; 'teacher: NAME' in its rule says otherwise" in out
    assert previewed(run_cli, "set", "--teacher", "R1")["teachers"] == {"R1": 2}
    assert previewed(run_cli, "set", "--files", "b*")["teachers"] == {"ben": 1}


def test_a_link_to_a_file_has_its_own_name_and_not_that_of_what_it_leads_to(tmp_path: Path, run_cli):
    write(tmp_path / "blobs/0123456789abcdef", [{"prompt": question(3, 4), "response": trace(3, 4)}])
    (tmp_path / "snap").mkdir()
    (tmp_path / "snap/qwq.jsonl").symlink_to("../blobs/0123456789abcdef")
    seen = previewed(run_cli, "snap/qwq.jsonl")
    assert (seen["teachers"], seen["files"]) == ({"qwq": 1}, ["qwq.jsonl"])


@pytest.mark.parametrize("name", [".", "./", "../here", "sub/.."])
def test_the_folder_that_one_is_in_has_its_own_name(
    name: str, tmp_path: Path, run_cli, monkeypatch: pytest.MonkeyPatch
):
    write(tmp_path / "here/ann.jsonl", [{"prompt": question(3, 4), "response": trace(3, 4)}])
    (tmp_path / "here/sub").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    seen = previewed(run_cli, name)
    assert (seen["teachers"], seen["files"]) == ({"ann": 1}, ["here/ann.jsonl"])


def test_the_whole_disk_is_no_source(run_cli):
    code, _, err = run_cli("preview", "/")
    assert code == 1
    assert "'/' is the whole disk; name a file of traces" in err[0]


def test_the_first_rows_are_enough(tmp_path: Path, run_cli):
    write(tmp_path / "a.jsonl", [{"prompt": str(i), "response": "r", "teacher": "t"} for i in range(600)])
    _, out, _ = run_cli("preview", "a.jsonl")
    assert "rows        500 read, 500 kept (of the first 500 rows per file)" in out


SHAPES: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "other names": (
        [{"q": question(a, b), "model_output": trace(a, b), "gold": str(a + b), "llm": "ann"} for a, b in PROBLEMS],
        {"fields": {"prompt": "q", "response": "model_output", "answer": "gold", "teacher": "llm"}},
    ),
    "another language": (
        [{"frage": question(a, b), "antworttext": trace(a, b), "nr": i} for i, (a, b) in enumerate(PROBLEMS)],
        {"fields": {"prompt": "frage", "response": "antworttext"}},
    ),
    "nested": (
        [
            {"meta": {"task_text": question(a, b), "target": a + b}, "run": {"reply": trace(a, b), "model_name": "ann"}}
            for a, b in PROBLEMS
        ],
        {
            "fields": {
                "prompt": "meta.task_text",
                "response": "run.reply",
                "answer": "meta.target",
                "teacher": "run.model_name",
            }
        },
    ),
    "camel case and thoughts": (
        [
            {
                "userQuery": question(a, b),
                "finalReply": f"It is {a + b}, as was computed.",
                "chainOfThought": trace(a, b),
            }
            for a, b in PROBLEMS
        ],
        {"fields": {"prompt": "userQuery", "response": "finalReply", "reasoning": "chainOfThought"}},
    ),
    "a conversation under a name of its own": (
        [
            {"dialogue": [{"role": "user", "content": question(a, b)}, {"role": "assistant", "content": trace(a, b)}]}
            for a, b in PROBLEMS
        ],
        {"fields": {"prompt": "dialogue"}},
    ),
    "objects in a list": (
        [
            {
                "task": question(a, b),
                "runs": [
                    {"llm": "ann", "reply": trace(a, b), "finish_reason": "stop"},
                    {"llm": "ben", "reply": trace(a, b, "B: "), "finish_reason": "stop"},
                ][: 1 + i % 2],
                "correct_answers": [str(a + b)],
            }
            for i, (a, b) in enumerate(PROBLEMS)
        ],
        {
            "fields": {
                "prompt": "task",
                "response": "runs.*.reply",
                "answer": "correct_answers",
                "teacher": "runs.*.llm",
            }
        },
    ),
    "what an interface answered, beside what it was asked": (
        [
            {
                "custom_id": f"request-{i}",
                "request": {"model": "ann", "messages": [{"role": "user", "content": question(a, b)}]},
                "response": {
                    "id": f"chatcmpl-{i}",
                    "object": "chat.completion",
                    "choices": [{"index": 0, "message": {"role": "assistant", "content": trace(a, b)}}],
                },
            }
            for i, (a, b) in enumerate(PROBLEMS)
        ],
        {
            "fields": {
                "response": "response.choices.0.message.content",
                "teacher": "request.model",
                "prompt": "request.messages",
            }
        },
    ),
    "lists in a list": (
        [
            {
                "doc_id": i,
                "doc": {"question": question(a, b), "doc_hash": "3f" * 20},
                "resps": [[trace(a, b)]],
                "target": str(a + b),
                "prompt_hash": "a7" * 20,
            }
            for i, (a, b) in enumerate(PROBLEMS)
        ],
        {"fields": {"prompt": "doc.question", "response": "resps.0", "answer": "target"}},
    ),
    "one that was preferred and one that was not": (
        [
            {
                "prompt": question(a, b),
                "chosen": [{"role": "user", "content": question(a, b)}, {"role": "assistant", "content": trace(a, b)}],
                "rejected": [
                    {"role": "user", "content": question(a, b)},
                    {"role": "assistant", "content": trace(a, b + 1)},
                ],
                "chosen_model": "ann",
                "score_rejected": 2.5,
            }
            for a, b in PROBLEMS
        ],
        {
            # Further down, other models may have been preferred.
            "traces": [
                {"teacher_field": "chosen_model", "response": "chosen"},
                {"teacher": "rejected", "response": "rejected"},
            ],
            "fields": {"prompt": "prompt"},
        },
    ),
    "one that was preferred, by other models in every row": (
        [
            {
                "prompt": question(a, b),
                "chosen": trace(a, b, "A: "),
                "chosen_model": ("ann", "ben")[i % 2],
                "rejected": trace(a, b + 1, "B: "),
                "rejected_model": ("carl", "ann")[i % 2],
            }
            for i, (a, b) in enumerate(PROBLEMS)
        ],
        {
            "traces": [
                {"teacher_field": "chosen_model", "response": "chosen"},
                {"teacher_field": "rejected_model", "response": "rejected"},
            ],
            "fields": {"prompt": "prompt"},
        },
    ),
    "gold answer and teacher within messages": (
        [
            {
                "conversations": [
                    {
                        "from": "human",
                        "value": question(a, b),
                        "info": {"ground_truth": str(a + b), "model_name": None},
                    },
                    {"from": "assistant", "value": trace(a, b), "info": {"ground_truth": None, "model_name": "ann"}},
                ]
            }
            for a, b in PROBLEMS
        ],
        {"fields": {"answer": "conversations.0.info.ground_truth", "teacher": "conversations.1.info.model_name"}},
    ),
    "gold answers within JSON text": (
        [
            {
                "messages": [
                    {"role": "user", "content": question(a, b)},
                    {"role": "assistant", "content": trace(a, b)},
                ],
                "generator": "ann",
                "metadata": json.dumps({"expected_answer": str(a + b), "problem_source": "own"}),
            }
            for a, b in PROBLEMS
        ],
        {"fields": {"answer": "metadata.expected_answer"}},
    ),
    "traces that reason, beside those that the set began with": (
        [
            {
                "messages": [
                    {"role": "user", "content": question(a, b)},
                    {"role": "assistant", "content": trace(a, b)},
                ],
                "problem": question(a, b),
                "made_anew_content": f"<think>\nAdd them.\n</think>\n\n{trace(a, b)}",
            }
            for a, b in PROBLEMS
        ],
        {"fields": {"prompt": "problem", "response": "made_anew_content"}},
    ),
    "gold answers that are none": (
        [
            {
                "instruction": question(a, b),
                "completions": [{"model": m, "response": trace(a, b, m), "overall_score": 4.5} for m in ("ann", "ben")],
                "correct_answers": ["None"],
            }
            for a, b in PROBLEMS
        ],
        {
            "fields": {
                "prompt": "instruction",
                "response": "completions.*.response",
                "teacher": "completions.*.model",
            }
        },
    ),
    "two teachers in columns": (
        [
            {"question": question(a, b), "alpha_attempt": trace(a, b, "A: "), "beta_attempt": trace(a, b, "B: ")}
            for a, b in PROBLEMS
        ],
        {
            "traces": [
                {"teacher": "alpha", "response": "alpha_attempt"},
                {"teacher": "beta", "response": "beta_attempt"},
            ],
            "fields": {"prompt": "question"},
        },
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_rule_that_mends_a_file_reads_it_when_it_is_pasted(shape: str, tmp_path: Path, run_cli):
    rows, expected = SHAPES[shape]
    write(tmp_path / "set.jsonl", rows)
    before = previewed(run_cli, "set.jsonl")
    assert before["mend"]["file"] == "set.jsonl.rule.yaml"
    assert before["mend"]["rule"] == expected
    _, out, _ = run_cli("preview", "set.jsonl")
    start = next(i for i, line in enumerate(out) if line.startswith("mend "))
    several = expected.get("traces", (1,))
    n = sum(len(row.get("runs") or row.get("completions") or several) for row in rows)
    assert out[start].startswith(f"mend        with this in set.jsonl.rule.yaml, {n} of {n} are kept, by ")
    (tmp_path / "set.jsonl.rule.yaml").write_text("\n".join(out[start + 1 :]) + "\n")
    after = previewed(run_cli, "set.jsonl")
    assert (after["rows"]["kept"], after["mend"]) == (n, None)
    # What is shown with a rule is what it reads.
    assert before["examples"] == after["examples"]
    assert all(line.endswith(", with the rule below") for line in out if line.startswith("row "))
    layouts = {
        "two teachers in columns": "several teachers in columns",
        "a conversation under a name of its own": "chat",
        "one that was preferred and one that was not": "several teachers in columns",
        "one that was preferred, by other models in every row": "several teachers in columns",
        "gold answer and teacher within messages": "sharegpt",
        "gold answers within JSON text": "chat",
        "gold answers that are none": "generations",
        "objects in a list": "generations",
        "lists in a list": "generations",
    }
    assert after["layouts"] == {layouts.get(shape, "fields"): 1}
    texts = {json.dumps(v) for row in rows for v in row.values()}
    assert any(json.dumps(after["examples"][0]["prompt"]) in text for text in texts)


def test_several_traces_of_one_teacher_are_one_teachers_and_the_solution_is_gold(tmp_path: Path, run_cli):
    rows = [
        {
            "problem": question(a, b),
            "solution": f"We add: $\\boxed{{{a + b}}}$.",
            **{f"r1_solution_{i}": trace(a, b, f"{i}: ") for i in (1, 2, 3)},
        }
        for a, b in PROBLEMS
    ]
    answer = previewed(run_cli, write(tmp_path / "set.jsonl", rows))
    assert answer["mend"]["rule"] == {
        "traces": [{"teacher": "r1", "response": f"r1_solution_{i}"} for i in (1, 2, 3)],
        "fields": {"prompt": "problem", "answer": "solution"},
    }
    (tmp_path / "set.jsonl.rule.yaml").write_text(yaml.safe_dump(answer["mend"]["rule"]))
    after = previewed(run_cli, "set.jsonl")
    assert after["teachers"] == {"r1": 3 * len(rows)}
    # Of a whole solution, what is compared is shown.
    assert {(e["gold"], e["verdict"]) for e in after["examples"]} == {(str(sum(PROBLEMS[0])), "correct")}


def test_a_set_of_questions_gets_no_gold_answers_that_its_answers_would_meet(tmp_path: Path, run_cli):
    rows = [
        {"prompt": question(a, b), "solution": str(a + b), "reward_model": {"ground_truth": str(a + b)}}
        for a, b in PROBLEMS
    ]
    assert previewed(run_cli, write(tmp_path / "a.jsonl", 2 * rows))["mend"] is None
    _, out, _ = run_cli("preview", "a.jsonl")
    [said] = [line for line in out if line.startswith("warning")]
    assert "responses (from solution) are single values such as '7': this looks like questions with their" in said


WINDING = "as was to be shown in this long and winding solution of ours, which nobody reads to its end"


@pytest.mark.parametrize(
    ("column", "value", "proposed"),
    [
        ("ground_truth_answer", "12", True),
        ("reward_model", {"ground_truth": "12", "style": "rule"}, True),
        ("reference", 12, True),
        ("solution", f"We add, hence $\\boxed{{12}}$, {WINDING}.", True),
        ("solution", f"We add and are done with it, {WINDING}.", False),
        ("solution", "It is $12$ in all.", False),
        ("solution", "12", True),
        ("answer_type", "number", False),
        ("target_hash", "12ab", False),
        ("correct", True, False),
        ("extracted_answer", "12", False),
        ("model_answer", "12", False),
        ("answer_content", "12", False),
        # What a model answered in the end, or most of its answers, has names like these, too.
        ("final_answer", "12", False),
        ("boxed_answer", "12", False),
        ("majority_answer", "12", False),
        ("expected_final_answer", "12", True),
    ],
)
def test_gold_answers_that_nobody_reads_are_proposed(column: str, value, proposed: bool, tmp_path: Path, run_cli):
    rows = [{"prompt": question(a, b), "completions": [trace(a, b), trace(b, a)], column: value} for a, b in PROBLEMS]
    answer = previewed(run_cli, write(tmp_path / "set.jsonl", rows))
    path = f"{column}.ground_truth" if isinstance(value, dict) else column
    assert (answer["mend"] or {}).get("rule") == ({"fields": {"answer": path}} if proposed else None)
    _, out, _ = run_cli("preview", "set.jsonl")
    assert any(line.endswith(f", {2 * len(rows)} with a gold answer:") for line in out) is proposed


def turns(a: int, b: int, who: str = "") -> list[dict[str, str]]:
    return [{"role": "user", "content": question(a, b)}, {"role": "assistant", "content": trace(a, b, who)}]


THOUGHT = "First the red ones, then the blue ones; both are few."
COLUMNS: dict[str, tuple[Any, dict[str, Any]]] = {
    "the generator of the output, and not that of the input": (
        lambda a, b: {
            "instruction": question(a, b),
            "response": trace(a, b),
            "asking": {"input_generator": "ann"},
            "answering": {"output_generator": "ben"},
            "difficulty_generator": "cid",
        },
        {"fields": {"teacher": "answering.output_generator"}},
    ),
    "suffixes pair up": (
        lambda a, b: {
            "query": question(a, b),
            "model_a": "ann",
            "model_b": f"ben {a}",
            "reply_a": trace(a, b),
            "reply_b": turns(a, b, "B: "),
        },
        {
            "traces": [
                {"teacher_field": "model_a", "response": "reply_a"},
                {"teacher_field": "model_b", "response": "reply_b"},
            ],
            "fields": {"prompt": "query"},
        },
    ),
    "a prefix is a teacher, with a short answer behind its reasoning": (
        lambda a, b: {
            "question": question(a, b),
            "ann_cot": trace(a, b),
            "ann_answer": str(a + b),
            "ben_cot": trace(a, b, "B: "),
            "ben_answer": str(a + b),
            "answer": str(a + b),
        },
        {
            "traces": [
                {"teacher": "ann", "response": "ann_answer", "reasoning": "ann_cot"},
                {"teacher": "ben", "response": "ben_answer", "reasoning": "ben_cot"},
            ],
            "fields": {"prompt": "question", "answer": "answer"},
        },
    ),
    "a number is no teacher": (
        lambda a, b: {"task": question(a, b), "attempt_1": trace(a, b), "attempt_2": trace(b, a)},
        {
            "traces": [{"teacher": "set", "response": "attempt_1"}, {"teacher": "set", "response": "attempt_2"}],
            "fields": {"prompt": "task"},
        },
    ),
    "a type is no response": (
        lambda a, b: {
            "question": question(a, b),
            "generation_type": "made without looking at a solution",
            "own_solution": trace(a, b),
        },
        {"fields": {"prompt": "question", "response": "own_solution"}},
    ),
    "what stands beside the question is no response to it": (
        lambda a, b: {
            "doc": {"question": question(a, b), "answer": f"{trace(a, b)}\n#### {a + b}"},
            "resps": [[trace(a, b, "R: ")]],
            "target": str(a + b),
        },
        {"fields": {"prompt": "doc.question", "response": "resps.0", "answer": "target"}},
    ),
    "reasoning stands where the answer stands": (
        lambda a, b: {
            "messages": turns(a, b)[:1],
            "choices": [
                {
                    "message": {
                        "role": "assistant",
                        "reasoning_content": f"{THOUGHT} {i}",
                        "content": trace(a, b, str(i)),
                    }
                }
                for i in range(2)
            ],
        },
        {
            "fields": {
                "prompt": "messages",
                "response": "choices.*.message.content",
                "reasoning": "choices.*.message.reasoning_content",
            }
        },
    ),
    "so do teacher and label": (
        lambda a, b: {
            "problem": question(a, b),
            "answer": str(a + b),
            "tries": [
                {"teacher": who, "reasoning": THOUGHT, "response": trace(a, b, who), "correct": who == "ann"}
                for who in ("ann", "ben")
            ],
        },
        {
            "fields": {
                "prompt": "problem",
                "answer": "answer",
                **{ours: f"tries.*.{name}" for ours, name in (("response", "response"), ("reasoning", "reasoning"))},
                **{ours: f"tries.*.{name}" for ours, name in (("teacher", "teacher"), ("label", "correct"))},
            }
        },
    ),
    "parts of one text are one column": (
        lambda a, b: {
            "messages": turns(a, b)[:1],
            "content": [{"type": "thinking", "thinking": THOUGHT}, {"type": "text", "text": trace(a, b)}],
        },
        {"fields": {"prompt": "messages", "response": "content"}},
    ),
    "a solution beside a teacher's trace is gold": (
        lambda a, b: {
            "question": question(a, b),
            "solution": f"\\boxed{{{a + b}}} it is",
            "ann_thinking_trajectory": THOUGHT,
            "ann_attempt": trace(a, b),
        },
        {
            "traces": [{"teacher": "ann", "response": "ann_attempt", "reasoning": "ann_thinking_trajectory"}],
            "fields": {"prompt": "question", "answer": "solution"},
        },
    ),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_the_words_beside_a_columns_role_decide(case: str, tmp_path: Path, run_cli):
    row, rule = COLUMNS[case]
    answer = previewed(run_cli, write(tmp_path / "set.jsonl", [row(a, b) for a, b in PROBLEMS]))
    assert answer["mend"]["rule"] == rule
    assert answer["examples"][0]["prompt"] == question(3, 4)


@pytest.mark.parametrize(
    "beside",
    [
        {"judge_model": "ann"},
        {"embedding_model": "ann"},
        {"question_generator": "ann"},
        {"config": {"llm_judge": "ann"}},
        {"reward_model": "ann"},
    ],
)
def test_who_judged_asked_or_measured_is_no_teacher(beside: dict[str, Any], tmp_path: Path, run_cli):
    rows = [{"prompt": question(a, b), "response": trace(a, b), **beside} for a, b in PROBLEMS]
    assert previewed(run_cli, write(tmp_path / "a.jsonl", rows))["mend"] is None


def test_an_answer_of_which_nobody_knows_whose_it_is_is_named_and_not_proposed(tmp_path: Path, run_cli):
    rows = [
        {"prompt": question(a, b), "response": json.dumps({"final_answer": str(a)}), "eval": {"answer": str(a)}}
        for a, b in PROBLEMS
    ]
    assert previewed(run_cli, write(tmp_path / "a.jsonl", rows))["mend"] is None
    _, out, _ = run_cli("preview", "a.jsonl")
    [said] = [line for line in out if line.startswith("warning")]
    assert said.startswith("warning     eval.answer may be gold answers, or what the model answered")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"rationale": THOUGHT, "answer": "7"}, "map fields.response to answer and fields.reasoning to rationale if"),
        ({"ann": THOUGHT, "ben": f"So: {THOUGHT}"}, "no name says that ann or ben is a response: map fields.response"),
        ({"answer": "7"}, "no column holds what a teacher wrote: answer is a single value, as gold answers are"),
    ],
)
def test_columns_that_look_like_nothing_are_named(row: dict[str, Any], says: str, tmp_path: Path, run_cli):
    write(tmp_path / "a.jsonl", [{"question": question(a, b), **row} for a, b in PROBLEMS])
    _, out, _ = run_cli("preview", "a.jsonl")
    assert out[-1].startswith("mend        question looks like a prompt")
    assert says in out[-1]


def test_two_conversations_of_a_row_are_no_prompts_of_each_other(tmp_path: Path, run_cli):
    rows = [{"model_a": "ann", "model_b": "ben", "chat_a": turns(*p), "chat_b": turns(*p, "B: ")} for p in PROBLEMS]
    assert previewed(run_cli, write(tmp_path / "a.jsonl", rows))["mend"] is None
    _, out, _ = run_cli("preview", "a.jsonl")
    assert out[-1].startswith("mend        chat_a and chat_b are conversations, each with its own prompt and answer")


def test_columns_instead_of_rows_are_said_to_be_so(tmp_path: Path, run_cli):
    table = {"problem": question(3, 4), "response": trace(3, 4), "answer": "7"}
    (tmp_path / "a.json").write_text(
        json.dumps({name: {str(i): text for i in range(9)} for name, text in table.items()})
    )
    assert previewed(run_cli, "a.json")["mend"] is None
    _, out, _ = run_cli("preview", "a.json")
    assert out[-1].endswith("write the file anew, one object per row (orient='records')")


@pytest.mark.parametrize("name", ["q{}", "{}"])
def test_rows_under_their_ids_are_said_to_be_so_and_never_mixed(name: str, tmp_path: Path, run_cli):
    rows = {
        name.format(i): {"prompt": question(a, b), "response": trace(a, b), "answer": str(a + b)}
        for i, (a, b) in enumerate(PROBLEMS)
    }
    (tmp_path / "set.json").write_text(json.dumps(rows))
    code, out, _ = run_cli("preview", "set.json")
    assert code == 0
    said = f"the file is one object that holds each row under a name of its own ({name.format(0)}, {name.format(1)})"
    assert [line for line in out if line.startswith("mend ") and said in line]
    assert previewed(run_cli, "set.json")["mend"] is None


def test_answers_without_questions_are_said_to_be_so(tmp_path: Path, run_cli):
    rows = [
        {"custom_id": f"r-{i}", "response": {"id": f"c{i}", "choices": [{"message": {"content": trace(a, b)}}]}}
        for i, (a, b) in enumerate(PROBLEMS)
    ]
    assert previewed(run_cli, write(tmp_path / "set.jsonl", rows))["mend"] is None
    _, out, _ = run_cli("preview", "set.jsonl")
    assert out[-1].startswith("mend        no column looks like a prompt, or none like a response")


STEPS = ["First there are red jars, then blue ones.", "So we add both numbers of jars."]


@pytest.mark.parametrize(
    "beside",
    [
        {"domain": ["Arithmetic -> Sums of two numbers"], "answer": "7"},
        {"steps": STEPS, "final_answer_correct": True},
        {"completions": STEPS, "labels": [True, True]},
        {"reasoning_steps": [{"text": step, "rating": 1} for step in STEPS]},
    ],
)
def test_what_is_no_response_is_not_proposed_as_one(beside: dict[str, Any], tmp_path: Path, run_cli):
    rows = [{"problem": question(a, b), **beside} for a, b in PROBLEMS]
    answer = previewed(run_cli, write(tmp_path / "a.jsonl", rows))
    assert (answer["rows"]["kept"], answer["mend"]) == (0, None)


def test_what_a_model_answered_is_not_proposed_as_the_gold_answer(tmp_path: Path, run_cli):
    rows = [{"task": question(a, b), "said": trace(a, b), "predicted_answer": str(a + b)} for a, b in PROBLEMS]
    rule = previewed(run_cli, write(tmp_path / "a.jsonl", rows))["mend"]["rule"]
    assert rule == {"fields": {"prompt": "task", "response": "said"}}


@pytest.mark.parametrize("names", [["ann", "ben"], ["ann"], ["ann", "ben", "cid"]])
def test_a_list_of_models_is_proposed_where_it_names_that_of_each_response(names, tmp_path: Path, run_cli):
    rows = [{"prompt": question(a, b), "responses": [trace(a, b), trace(b, a)], "models": names} for a, b in PROBLEMS]
    answer = previewed(run_cli, write(tmp_path / "a.jsonl", rows))
    fits = len(names) == 2
    assert (answer["mend"] or {}).get("rule") == ({"fields": {"teacher": "models"}} if fits else None)


@pytest.mark.parametrize("other", ["review", "solution"])
def test_a_response_is_not_proposed_as_a_prompt(other: str, tmp_path: Path, run_cli):
    thought = "<think>\nhm, this is right\n</think>\nRight it is." if other == "review" else "We add the two numbers."
    rows = [{"question": "-", "said": f"<think>hm</think>{trace(a, b)}", other: f"{thought} {a}"} for a, b in PROBLEMS]
    answer = previewed(run_cli, write(tmp_path / "a.jsonl", rows))
    assert (answer["rows"]["kept"], answer["mend"]) == (0, None)


def test_rows_under_names_of_their_own_are_no_teachers(tmp_path: Path, run_cli):
    rows = {f"r{i}": {"question": question(a, b), "response": trace(a, b)} for i, (a, b) in enumerate(PROBLEMS)}
    (tmp_path / "a.json").write_text(json.dumps(rows))
    answer = previewed(run_cli, "a.json")
    assert "traces" not in (answer["mend"] or {"rule": {}})["rule"]
    by_model = {f"r{i}": {"input_tokens": 3, "response": trace(a, b)} for i, (a, b) in enumerate(PROBLEMS)}
    write(tmp_path / "b.jsonl", [{"question": question(3, 4), **by_model}])
    assert len(previewed(run_cli, "b.jsonl")["mend"]["rule"]["traces"]) == len(PROBLEMS)


def test_a_solution_step_by_step_is_a_response(tmp_path: Path, run_cli):
    rows = [{"problem": question(a, b), "step_by_step": trace(a, b)} for a, b in PROBLEMS]
    rule = previewed(run_cli, write(tmp_path / "a.jsonl", rows))["mend"]["rule"]
    assert rule["fields"] == {"prompt": "problem", "response": "step_by_step"}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"messages": [{"role": "oracle", "content": "4"}]}, "no rule that was tried reads these rows; what is wrong"),
        ({"prompt": "p", "response": "r", "image": "a.png"}, "no rule that was tried reads these rows; what is wrong"),
        ({"prompt": "p", "response": "r", "kind": "x"}, "none is proposed: the rule's where leaves out all of"),
    ],
)
def test_why_nothing_is_proposed_is_true(row: dict[str, Any], says: str, tmp_path: Path, run_cli):
    write(tmp_path / "a.jsonl", [row])
    (tmp_path / "a.jsonl.rule.yaml").write_text("where: kind = 'y'\n" if "kind" in row else "licence: MIT\n")
    _, out, _ = run_cli("preview", "a.jsonl")
    assert out[-1].startswith(f"mend        {says}")


@pytest.mark.parametrize(
    ("name", "content"), [("a.jsonl", b'{"prompt": "p"\n'), ("a.jsonl.gz", b"no gzip"), ("a.parquet", b"PAR1")]
)
def test_of_a_damaged_file_no_rule_is_spoken(name: str, content: bytes, tmp_path: Path, run_cli):
    (tmp_path / name).write_bytes(content)
    _, out, _ = run_cli("preview", name)
    assert out[-1] == "mend        no row can be read, so no rule helps: mend the file, or write or copy it anew"


def test_a_rule_that_is_there_stays_in_the_one_that_mends(tmp_path: Path, run_cli):
    rows, expected = SHAPES["other names"]
    write(tmp_path / "set.jsonl", rows)
    (tmp_path / "set.jsonl.rule.yaml").write_text("licence: MIT\nfields: {prompt: nope}\n")
    assert previewed(run_cli, "set.jsonl")["mend"]["rule"] == {"licence": "MIT", **expected}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(expected))
    assert previewed(run_cli, "set.jsonl", "--rules", "r.yaml")["rows"]["kept"] == len(rows)


@pytest.mark.parametrize("rows", [[{"n": i, "ok": True} for i in range(5)], [{"a": None}], [{"tags": ["x", "y"]}]])
def test_what_no_rule_mends_has_none(rows: list[dict[str, Any]], tmp_path: Path, run_cli):
    answer = previewed(run_cli, write(tmp_path / "a.jsonl", rows))
    assert (answer["rows"]["kept"], answer["mend"]) == (0, None)


def test_what_cannot_be_read_at_all_is_one_sentence(tmp_path: Path, run_cli):
    (tmp_path / "empty").mkdir()
    for name, says in (("none", "there is no file or folder none"), ("empty", "folder empty holds no trace file")):
        code, out, err = run_cli("preview", name)
        assert (code, out, len(err)) == (1, [], 1)
        assert says in err[0]
    write(tmp_path / "a.jsonl", [{"prompt": "p", "response": "r"}])
    (tmp_path / "a.jsonl.rule.yaml").write_text("fields: {promt: x}\n")
    code, _, err = run_cli("preview", "a.jsonl")
    assert (code, len(err)) == (1, 1)
    assert err[0].startswith("error: a.jsonl.rule.yaml: unknown key 'fields.promt', did you mean 'prompt'?")


def test_a_markup_that_is_not_known_is_named(tmp_path: Path, run_cli):
    rows = [
        {"prompt": question(a, b), "response": f"<muse>hm</muse>{trace(a, b)}", "teacher": "ann"} for a, b in PROBLEMS
    ]
    write(tmp_path / "mine.jsonl", rows)
    code, out, err = run_cli("preview", "mine.jsonl")
    assert (code, err) == (0, [])
    [said] = [line for line in out if line.startswith("warning")]
    assert said.startswith("warning     100% of 5 responses of ann open with <muse>, a markup that no family of docs/")
