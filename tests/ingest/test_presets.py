"""Every preset reads a row of its set, no other preset takes it, and docs/SETS.md says what it does."""

import json
from pathlib import Path
from typing import Any

import pytest

from helpers import sets_page
from helpers.places import SHARED
from stepsift.core.errors import SourceError
from stepsift.ingest.preset import presets, recognised
from stepsift.ingest.run import Survey, check_sources, survey
from stepsift.params import parse

Q, T, A = "A crate holds 3 rows of 4 jars. How many jars?", "Three rows of four, so twelve.", r"It is \boxed{12}."
THOUGHT = f"<think>\n{T}\n</think>\n\n{A}"
TAGGED = f"<|begin_of_thought|>\n{T}\n<|end_of_thought|>\n<|begin_of_solution|>\n{A}\n<|end_of_solution|>"
BOXED = f"Put the result into \\boxed{{}}. {Q}"


def chat(answer: str, **info: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": Q, **info}, {"role": "assistant", "content": answer}]


def dialogue(question: str, answer: str) -> list[dict[str, str]]:
    return [{"from": "user", "value": question}, {"from": "assistant", "value": answer}]


R1 = ["DeepSeek-R1"]
ROWS: dict[str, tuple[dict[str, Any], list[str], bool]] = {
    "openr1-math-220k": (
        {
            **{"problem": Q, "solution": "By hand: 12.", "answer": "12", "problem_type": "Algebra", "uuid": "u-1"},
            **{"generations": [THOUGHT, THOUGHT + " Yes."], "correctness_math_verify": [True, False]},
            **{"messages": chat(THOUGHT), "correctness_llama": None, "is_reasoning_complete": [True, True]},
        },
        R1 * 2,
        True,
    ),
    "openthoughts-114k-metadata": (
        {
            **{"problem": Q, "deepseek_reasoning": T, "deepseek_solution": A, "ground_truth_solution": A},
            **{"domain": "math", "source": "s", "test_cases": None, "starter_code": None},
        },
        R1,
        True,
    ),
    "openthoughts-114k": ({"system": "Think between tags.", "conversations": dialogue(BOXED, TAGGED)}, R1, False),
    "bespoke-stratos-17k": ({"system": "Think between tags.", "conversations": dialogue(BOXED, TAGGED)}, R1, False),
    "openthoughts3-1.2m": (
        {"difficulty": None, "source": "s", "domain": "math", "conversations": dialogue(Q, THOUGHT)},
        ["QwQ-32B"],
        False,
    ),
    "s1k-1.1": (
        {
            **{
                "question": Q,
                "solution": "Twelve jars, as 3 * 4 is 12.",
                "metadata": "{'answer': 12}",
                "cot_type": "math",
            },
            **{"gemini_thinking_trajectory": T, "gemini_attempt": A, "gemini_grade": "No"},
            **{"deepseek_thinking_trajectory": T, "deepseek_attempt": A, "deepseek_grade": "Yes"},
        },
        ["DeepSeek-R1", "gemini-2.0-flash-thinking-exp"],
        True,
    ),
    "s1k": (
        {
            **{"question": Q, "solution": "12", "thinking_trajectories": [T], "attempt": A, "cot_type": "math"},
            **{"cot": None, "metadata": "{}", "source_type": "s"},
        },
        ["gemini-2.0-flash-thinking-exp"],
        True,
    ),
    "limo": ({"question": Q, "solution": f"Okay, so {T} {A}", "answer": "12"}, ["LIMO"], True),
    "limo-v2": ({"question": Q, "solution": THOUGHT, "answer": "12"}, ["LIMO-v2"], True),
    "gsm8k": ({"question": Q, "answer": "3 * 4 = <<3*4=12>>12\n#### 12"}, ["gsm8k-human"], True),
    "opencodereasoning": (
        {
            **{"id": "1", "input": Q, "output": THOUGHT, "solution": "print(12)", "license": "mit", "dataset": "d"},
            **{"split": "train", "difficulty": "EASY", "source": "s"},
        },
        R1,
        False,
    ),
    "synthetic-1": (
        {
            **{"problem_id": "p-1", "task_type": "math", "prompt": Q, "gold_standard_solution": A, "score": 1.0},
            **{"llm_response": THOUGHT, "verification_info": '{"ground_truth": "12"}', "metadata": "{}"},
        },
        R1,
        True,
    ),
    "dolphin-r1": (
        {"messages": [{"role": "user", "content": Q}], "reasoning": T, "answer": A, "model": "deepseek-reasoner"},
        ["deepseek-reasoner"],
        False,
    ),
    "llama-nemotron-post-training": (
        {
            **{"input": chat("")[:1], "output": THOUGHT, "category": "math", "license": "cc-by-4.0", "reasoning": "on"},
            **{"generator": "DeepSeek-R1", "used_in_training": "yes", "version": "v1", "system_prompt": "thinking on"},
        },
        R1,
        False,
    ),
    "openmathreasoning": (
        {
            **{"problem": Q, "generated_solution": THOUGHT, "expected_answer": "12", "generation_model": "QwQ-32B"},
            **{"inference_mode": "cot", "problem_source": "s", "pass_rate_72b_tir": "0.5", "problem_type": "t"},
        },
        ["QwQ-32B"],
        True,
    ),
    "mixture-of-thoughts": ({"messages": chat(THOUGHT), "num_tokens": 9, "source": "s"}, R1, False),
    "am-deepseek-r1-distilled-1.4m": (
        {
            "messages": [
                {"role": "user", "content": Q, "info": {"source": "s", "reference_answer": "12", "test_case": None}},
                {
                    "role": "assistant",
                    "content": f"<think>{T}</think><answer>{A}</answer>",
                    "info": {"think_content": T, "answer_content": A},
                },
            ]
        },
        R1,
        True,
    ),
    "deepmath-103k": (
        {
            **{"question": Q, "final_answer": "12", "difficulty": 4.0, "topic": "Arithmetic"},
            **{f"r1_solution_{i}": f"<think>\n{T * i}\n</think>\n\n{A}" for i in (1, 2, 3)},
        },
        R1 * 3,
        True,
    ),
    "natural_reasoning": (
        {
            "question": Q,
            "reference_answer": "12",
            "responses": [{"response_model": "Llama3.3-70B-Instruct", "response": A}],
        },
        ["Llama3.3-70B-Instruct"],
        True,
    ),
    "medical-o1-reasoning-sft": ({"Question": Q, "Complex_CoT": T, "Response": A}, ["GPT-4o"], False),
    "numinamath-cot": (
        {"source": "s", "problem": Q, "solution": A, "messages": chat(A)},
        ["NuminaMath-CoT"],
        True,
    ),
}
"""Preset to a row of its set, the teachers of its traces, and whether it has a gold answer."""


def place(name: str) -> str:
    return f"{presets()[name].repository.rpartition('/')[2]}/train-00000-of-00001.jsonl"


def look(folder: Path, sources: dict[str, list[dict[str, Any]]], **ingest: Any) -> Survey:
    for name, rows in sources.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return survey(folder, parse({"ingest": ingest}).ingest)


def test_every_preset_has_a_row_here():
    assert ROWS.keys() == presets().keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_a_preset_reads_its_set(tmp_path, name):
    row, teachers, gold = ROWS[name]
    assert recognised([row], place(name)) == name
    found = look(tmp_path, {place(name): [row]})
    columns = found.columns[place(name)]
    assert (columns.preset, found.total.rejected, found.prompts) == (name, 0, 1)
    assert {t: n.kept for t, n in found.by_teacher.items()} == {t: teachers.count(t) for t in teachers}
    assert bool(columns.with_gold) is gold
    assert columns.unread_traces() == [] == found.warnings
    assert any(f"(preset {name})" in line for line in check_sources(found).lines)
    assert {t["role"] for s in found.sample for t in s.prompt} == {"user"}
    thinking = [s.response.startswith("<think>\n") for s in found.sample]
    assert all(thinking) or name in ("gsm8k", "limo", "natural_reasoning", "numinamath-cot")
    assert set(presets()[name].teachers) >= set(teachers)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, p in presets().items() if not p.recognised_by.named and not p.if_unnamed])
def test_a_set_of_which_columns_alone_speak_is_taken_and_said_to_be(tmp_path, name):
    preset = presets()[name]
    found = look(tmp_path, {"x/a.jsonl": [ROWS[name][0]]})
    assert {t: n.kept for t, n in found.by_teacher.items()} == {t: ROWS[name][1].count(t) for t in ROWS[name][1]}
    [warning] = found.warnings
    owed = f"teacher {preset.rule.teacher} and licence" if preset.rule.teacher else "licence"
    assert warning.startswith(f"x/a.jsonl: {owed} {preset.licence} ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "rule", "teacher", "gold"),
    [
        ("anna.jsonl", {}, "anna", 0),
        ("gsm8king/anna.jsonl", {}, "anna", 0),
        ("gsm8k/main/train.jsonl", {}, "gsm8k-human", 1),
        ("gsm8k_socratic.jsonl", {}, "gsm8k-human", 1),
        ("anna.jsonl", {"preset": "gsm8k"}, "gsm8k-human", 1),
        ("anna.jsonl", {"repository": "openai/gsm8k"}, "gsm8k-human", 1),
        ("gsm8k/train.jsonl", {"teacher": "anna"}, "anna", 1),
    ],
)
def test_answers_are_gold_answers_where_the_set_is_named(tmp_path, file, rule, teacher, gold):
    found = look(tmp_path, {file: [ROWS["gsm8k"][0]]}, files=[{"match": "**", **rule}])
    assert (list(found.by_teacher), found.columns[file].with_gold) == ([teacher], gold)
    said = (
        f"{file}: its columns are those of gsm8k: if it is that set, put 'preset: gsm8k' into its rule, which names "
        "its teacher and licence and takes its answers for gold answers, too"
    )
    assert found.warnings == [said] * (not gold)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("dolphin-r1", {"messages": chat(A), "answer": "12"}),
        ("numinamath-cot", {"messages": chat(f"No. {A}")}),
    ],
)
def test_a_conversation_that_is_another_answer_is_of_another_set(name, change):
    assert recognised([ROWS[name][0] | change], place(name)) is None


@pytest.mark.parametrize(
    ("file", "preset"),
    [
        ("limousine/train.jsonl", None),
        ("slimo/train.jsonl", None),
        ("GAIR-LIMO/limo.jsonl", "limo"),
        ("LIMO_v2.jsonl", "limo-v2"),
        ("LIMO-v2/train.jsonl", "limo-v2"),
    ],
)
def test_a_name_of_a_set_is_a_whole_word(file, preset):
    assert recognised([ROWS["limo"][0]], file) == preset


@pytest.mark.parametrize(
    ("file", "rule", "said"),
    [
        ("x/train.jsonl", {}, True),
        ("x/OpenThoughts-114k/train.jsonl", {}, False),
        ("x/open_thoughts/openthoughts_114k.jsonl", {}, False),
        ("x/OpenThoughts-114k-mine/train.jsonl", {}, False),
        ("x/OpenThoughts-114kilo/train.jsonl", {}, True),
        ("x/train.jsonl", {"repository": "open-thoughts/OpenThoughts-114k"}, False),
        ("x/train.jsonl", {"repository": "me/mine"}, True),
        ("x/train.jsonl", {"teacher": "QwQ"}, False),
        ("x/train.jsonl", {"preset": "openthoughts-114k"}, False),
    ],
)
def test_that_another_set_may_have_these_columns_is_said(tmp_path, file, rule, said):
    found = look(tmp_path, {file: [ROWS["openthoughts-114k"][0]]}, files=[{"match": "**", **rule}] if rule else [])
    assert list(found.by_teacher) == [rule.get("teacher", R1[0])]
    expected = (
        f"{file}: teacher DeepSeek-R1 and licence Apache-2.0 are those of OpenThoughts-114k, whose columns it has; so "
        "have Sky-T1_data_17k and sets made like it: if it is one of them, name its teacher and licence in its rule, "
        "otherwise 'preset: openthoughts-114k'"
    )
    assert found.warnings == [expected] * said


def test_of_shards_it_is_said_once(tmp_path):
    row = ROWS["openthoughts-114k"][0]
    [warning] = look(tmp_path, {f"x/{i}.jsonl": [row] for i in range(3)}).warnings
    assert warning.startswith("x/0.jsonl and 2 more: teacher DeepSeek-R1 and licence")


@pytest.mark.slow
def test_all_sets_meet_in_one_pool(tmp_path):
    """One problem in every set, and one prompt of it."""
    found = look(tmp_path, {f"{name}/{place(name)}": [row] for name, (row, *_) in ROWS.items()})
    assert {n.partition("/")[0]: c.preset for n, c in found.columns.items()} == {name: name for name in ROWS}
    assert (found.prompts, found.total.reasons) == (1, {"duplicate_trace": found.total.rejected})
    assert found.problems[1:] == []


@pytest.mark.parametrize("row", [{"question": Q, "answer": "12"}, {"question": Q, "solution": "s", "answer": "12"}])
def test_columns_that_say_nothing_are_no_set(row):
    assert recognised([row], "mine/train.jsonl") is None


@pytest.mark.parametrize(
    ("rule", "teachers", "licence"),
    [
        ({"teacher": "R1"}, {"R1"}, "Apache-2.0"),
        ({"fields": {"teacher": "who"}}, {"w"}, "Apache-2.0"),
        ({"licence": "MIT"}, {"DeepSeek-R1"}, "MIT"),
        ({"preset": "none"}, {"x"}, None),
        ({"layout": "chat"}, {"x"}, None),
    ],
)
def test_a_rule_of_ones_own_comes_first(tmp_path, rule, teachers, licence):
    row = ROWS["mixture-of-thoughts"][0] | ({"who": "w"} if "fields" in rule else {})
    more = {"preset": "mixture-of-thoughts"} if "fields" in rule else {}
    found = look(tmp_path, {"x/data.jsonl": [row]}, files=[{"match": "**", **rule, **more}])
    assert set(found.by_teacher) == teachers
    assert (found.columns["x/data.jsonl"].preset is None) is (licence is None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "rule", "teachers"),
    [
        ("Falcon", {}, {"Falcon": 2}),
        (["Falcon", "Heron"], {}, {"Falcon": 1, "Heron": 1}),
        (None, {}, {"DeepSeek-R1": 2}),
        ("Falcon", {"teacher": "mine"}, {"mine": 2}),
        (None, {"teacher_from": "folder"}, {"x": 2}),
    ],
)
def test_a_set_s_teacher_stands_in_for_that_of_a_row(tmp_path, model, rule, teachers):
    row = {**ROWS["openr1-math-220k"][0], "model": model}
    found = look(tmp_path, {"x/data.jsonl": [row]}, files=[{"match": "**", **rule}])
    assert found.columns["x/data.jsonl"].preset == "openr1-math-220k"
    assert {name: tally.kept for name, tally in found.by_teacher.items()} == teachers


@pytest.mark.slow
def test_a_row_that_is_rejected_is_the_set_s_teacher_s(tmp_path):
    row = ROWS["openr1-math-220k"][0]
    found = look(tmp_path, {"x/data.jsonl": [row, {**row, "problem": None}, {**row, "generations": None}]})
    assert {name: tally.rejected for name, tally in found.by_teacher.items()} == {"DeepSeek-R1": 3}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dolphin-r1", "openmathreasoning", "deepmath-103k", "s1k", "natural_reasoning"])
def test_rows_with_a_response_that_the_preset_does_not_know_are_of_another_set(tmp_path, name):
    row = ROWS[name][0]
    assert recognised([row], "a.jsonl") == name
    assert recognised([row | {"response": None}], "a.jsonl") == name
    assert recognised([row | {"Completion": A}], "a.jsonl") is None
    if name == "dolphin-r1":
        found = look(tmp_path, {"a.jsonl": [row | {"response": THOUGHT, "answer": "12"}]})
        assert found.columns["a.jsonl"].fields["response"] == {"response": 1}
        assert found.columns["a.jsonl"].fields["answer"] == {"answer": 1}


def test_a_preset_that_is_none(tmp_path):
    with pytest.raises(SourceError, match="names the preset 'gsm9k', which is none; known are am-deepseek"):
        look(tmp_path, {"a.jsonl": [ROWS["gsm8k"][0]]}, files=[{"match": "**", "preset": "gsm9k"}])


def test_rows_that_a_preset_leaves_out_stop_nothing(tmp_path):
    row = ROWS["opencodereasoning"][0]
    found = look(tmp_path, {"split_0/a.jsonl": [row], "split_1/b.jsonl": [row | {"input": "-"}]})
    assert found.total.reasons == {"filtered": 1}
    assert not any("every one of its" in p for p in found.problems)


def test_the_page_says_what_the_presets_do():
    page = sets_page.PAGE.read_text(encoding="utf-8")
    assert page.partition(sets_page.BEGIN)[2].strip() == sets_page.body().strip(), (
        "docs/SETS.md is not what the presets say; run 'PYTHONPATH=src:tests python tests/helpers/sets_page.py'"
    )


SHAPES = SHARED / "cases" / "shapes"


@pytest.mark.slow
@pytest.mark.skipif(not SHAPES.is_dir(), reason="no folder ../shared/cases beside the repository")
def test_the_shapes_in_one_pool(tmp_path):
    """Eleven sets; one line of rule makes their thirteen problems of mathematics meet."""
    (tmp_path / "pool").symlink_to(SHAPES)
    rule = {"match": "**/SYNTHETIC-1/**", "strip_prefixes": ["Solve this briefly and plainly."]}
    found = survey(tmp_path, parse({"ingest": {"files": [rule]}}).ingest)
    assert all(columns.preset for columns in found.columns.values())
    # Eight problems of mathematics and two programs; gold answers that contradict each other may take one away.
    assert found.prompts + ("answer_conflict" in found.total.reasons) == 10
    assert not any("nobody reads" in w or "all prompts" in w or "prompt ids" in w for w in found.warnings)
    assert set(found.by_teacher) == {
        *("DeepSeek-R1", "LIMO-v2", "QwQ-32B", "Qwen-2.5-Math-7B-Instruct", "deepseek-reasoner", "gsm8k-human"),
        *("gemini-2.0-flash-thinking-exp", "gemini-2.0-flash-thinking-exp-01-21"),
    }
