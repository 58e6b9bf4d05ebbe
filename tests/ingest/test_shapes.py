"""Shapes that pools have: what a rule of a few lines, or none, reads of them."""

import csv
import io
import json
import re
from ast import literal_eval
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stepsift.core.errors import ParamsError, SourceError
from stepsift.ingest.fill import fill_database
from stepsift.ingest.run import Survey, check_sources, survey
from stepsift.params import FileRule, Ingest, parse

THINK = "<think>\nTwo and two, so four.\n</think>\n\nIt is 4."


def write(folder: Path, files: dict[str, Any]) -> Path:
    """Rows as JSON Lines or CSV, anything else as JSON."""
    for name, rows in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".csv"):
            text = io.StringIO()
            writer = csv.DictWriter(text, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
            path.write_text(text.getvalue())
        elif name.endswith(".jsonl"):
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            path.write_text(json.dumps(rows))
    return folder


def look(folder: Path, files: dict[str, Any], *rules: dict[str, Any], **settings: Any) -> Survey:
    return survey(write(folder, files), parse({"ingest": {"files": list(rules), **settings}}).ingest)


class Kept:
    """A spool that keeps what it is given."""

    def __init__(self) -> None:
        self.traces: list[Any] = []
        self.rejected: list[tuple[str, str]] = []

    def add(self, found: Any, source: str, line: int, part: int) -> None:
        self.traces.append(found)

    def reject(self, error: Any, source: str, line: int, teacher: str | None) -> None:
        self.rejected.append((error.reason, error.detail))


def read(folder: Path, files: dict[str, Any], *rules: dict[str, Any]) -> Kept:
    kept = Kept()
    fill_database(kept, write(folder, files), parse({"ingest": {"files": list(rules)}}).ingest)  # pyright: ignore
    return kept


@dataclass
class Shape:
    """Files, rules, and (teacher, last turn of the prompt, response, gold answer, label) of each trace."""

    files: dict[str, Any]
    traces: list[tuple[str, str, str, str | None, bool | None]]
    rule: dict[str, Any] = field(default_factory=dict)
    rejected: list[str] = field(default_factory=list)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


Q = "What is 2 + 2?"
SHAPES = {
    "two teachers in columns, one of whom did not answer everything": Shape(
        {
            "a.jsonl": [
                {"q": Q, "alba": "It is 4.", "alba_ok": "yes", "bruno": "5", "bruno_ok": "no", "gold": 4, "notes": "x"},
                {"q": "3?", "alba": None, "alba_ok": None, "bruno": "3", "bruno_ok": "", "gold": 3, "notes": "x"},
            ]
        },
        [("Alba", Q, "It is 4.", "4", True), ("Bruno", Q, "5", "4", False), ("Bruno", "3?", "3", "3", None)],
        {
            "fields": {"prompt": "q", "answer": "gold"},
            "traces": [
                {"teacher": "Alba", "response": "alba", "label": "alba_ok"},
                {"teacher": "Bruno", "response": "bruno", "label": "bruno_ok"},
            ],
        },
    ),
    "two teachers that every row names": Shape(
        {
            "a.jsonl": [
                {"q": Q, "better": "It is 4.", "better_by": "alba", "worse": "5", "worse_by": "bruno"},
                {"q": "3?", "better": "3", "better_by": "bruno", "worse": "4", "worse_by": " "},
            ]
        },
        [("alba", Q, "It is 4.", None, None), ("bruno", Q, "5", None, None), ("bruno", "3?", "3", None, None)],
        {
            "fields": {"prompt": "q"},
            "traces": [
                {"teacher_field": "better_by", "response": "better"},
                {"teacher_field": "worse_by", "response": "worse"},
            ],
        },
        ["empty_field"],
    ),
    "gold answers that programs write where there is none": Shape(
        {
            "a.jsonl": [
                {"prompt": Q, "response": "4", "answer": "None"},
                {"prompt": Q, "response": "4", "answer": ["N/A", "4"]},
                {"prompt": Q, "response": "4", "answer": "none of them"},
            ]
        },
        [("a", Q, "4", None, None), ("a", Q, "4", "4", None), ("a", Q, "4", "none of them", None)],
    ),
    "several traces of two teachers in lists, thoughts beside": Shape(
        {"a.jsonl": [{"q": Q, "one": {"out": ["4", "It is 4."]}, "two": {"out": "4", "why": "Two and two, so four."}}]},
        [("One", Q, "4", None, None), ("One", Q, "It is 4.", None, None), ("Two", Q, THINK[:-8] + "4", None, None)],
        {
            "fields": {"prompt": "q"},
            "traces": [
                {"teacher": "One", "response": "one.out"},
                {"teacher": "Two", "response": "two.out", "reasoning": "two.why"},
            ],
        },
    ),
    "generations as JSON in a table of texts": Shape(
        {"a.csv": [{"problem": Q, "generations": json.dumps(["4", "It is 4."]), "model": "M"}]},
        [("M", Q, "4", None, None), ("M", Q, "It is 4.", None, None)],
    ),
    "names in other cases of letters": Shape(
        {
            "a.jsonl": [
                {"Question": Q, "Complex_CoT": "Two and two, so four.", "Response": "It is 4.", "Answer": "4", "ID": 3}
            ]
        },
        [("a", Q, THINK, "4", None)],
    ),
    "Alpaca in capitals": Shape(
        {"a.jsonl": [{"Instruction": "Add.", "Input": "2 + 2", "Output": "4", "Model": "M"}]},
        [("M", "Add.\n\n2 + 2", "4", None, None)],
    ),
    "what a teacher gave as its final answer is no gold answer": Shape(
        {"a.jsonl": [{"prompt": Q, "response": "So 5", "final_answer": "5", "expected_answer": "4"}]},
        [("a", Q, "So 5", "4", None)],
    ),
    "a response that is itself a list in JSON": Shape(
        {"a.jsonl": [{"prompt": Q, "response": '["4"]'}, {"prompt": "[4]", "response": "[]"}]},
        [("a", Q, '["4"]', None, None), ("a", "[4]", "[]", None, None)],
    ),
    "the gold answer in a message": Shape(
        {"a.jsonl": [{"dialog": [user(Q) | {"meta": {"key": "4"}}, {"role": "assistant", "content": "It is 4."}]}]},
        [("a", Q, "It is 4.", "4", None)],
        {"layout": "chat", "fields": {"prompt": "dialog", "answer": "dialog.0.meta.key"}},
    ),
    "JSON text, and text as Python writes it": Shape(
        {
            "a.jsonl": [
                {"question": Q, "response": "4", "check": '{"truth": {"value": 4}}'},
                {"question": "3?", "response": "3", "check": "{'truth': {'value': 3, 'none': None}}"},
                {"question": "5?", "response": "5", "check": "no JSON"},
            ]
        },
        [("a", Q, "4", "4", None), ("a", "3?", "3", "3", None), ("a", "5?", "5", None, None)],
        {"fields": {"answer": "check.truth.value"}},
    ),
    "a question with options and the place of the right one": Shape(
        {"a.jsonl": [{"question": "Which is even?", "options": ["3", "4"], "right": 1, "output": "B"}]},
        [("a", "Which is even?\n\nA. 3\nB. 4", "B", "B", None)],
        {"prompt_template": "{question}\n\n{options}", "fields": {"answer_index": "right"}},
    ),
    "options in two lists, as ARC has them": Shape(
        {
            "a.jsonl": [
                {"stem": "Even?", "choices": {"text": ["3", "4"], "label": ["1", "2"]}, "key": "2", "output": "2"}
            ]
        },
        [("a", "Even?\n1. 3\n2. 4", "2", "2", None)],
        {"prompt_template": "{stem}\n{choices}", "fields": {"answer": "key"}},
    ),
    "options by letter, and a passage that some rows lack": Shape(
        {
            "a.jsonl": [
                {"passage": "Read.", "ask": "Even?", "o": {"A": "3", "B": "4"}, "output": "B"},
                {"passage": None, "ask": "Odd?", "o": {"A": "3", "B": "4"}, "output": "A"},
                {"passage": "Read.", "ask": None, "o": {"A": "3", "B": "4"}, "output": "A"},
            ]
        },
        [("a", "Text: Read.\nEven?\nA. 3\nB. 4", "B", None, None), ("a", "Odd?\nA. 3\nB. 4", "A", None, None)],
        {"prompt_template": "Text: {passage?}\n{ask}\n{o}"},
        ["missing_field"],
    ),
    "a table of texts with a conversation as JSON": Shape(
        {
            "a.csv": [
                {"messages": json.dumps([user(Q), {"role": "assistant", "content": "4"}]), "model": "M", "answer": "4"}
            ]
        },
        [("M", Q, "4", "4", None)],
    ),
    "turns of users alone, the answer beside them": Shape(
        {
            "a.jsonl": [
                {
                    "conversations": [{"from": "human", "value": Q}],
                    "thinking": "Two and two, so four.",
                    "output": "It is 4.",
                },
                {"messages": [user("3?")], "thinking": "off", "completion": "3"},
            ]
        },
        [("a", Q, THINK, None, None), ("a", "3?", "3", None, None)],
    ),
    "a list of objects, each with its model": Shape(
        {"a.jsonl": [{"question": Q, "tries": [{"by": "M", "text": "4", "ok": 1}, {"by": "N", "text": "5", "ok": 0}]}]},
        [("M", Q, "4", None, True), ("N", Q, "5", None, False)],
        {"fields": {"response": "tries.*.text", "teacher": "tries.*.by", "label": "tries.*.ok"}},
    ),
    "several gold answers": Shape(
        {
            "a.jsonl": [
                {"prompt": Q, "response": "4", "answer": ["4", "four", "4", None]},
                {"prompt": "3?", "response": "3", "answer": []},
            ]
        },
        [("a", Q, "4", "4\n-- or --\nfour", None), ("a", "3?", "3", None, None)],
    ),
    "a gold answer in a list that is stored as text": Shape(
        {
            "a.jsonl": [
                {"prompt": Q, "response": "4", "answer": '["4"]'},
                {"prompt": Q, "response": "5", "answer": "['4']"},
                {"prompt": Q, "response": "6", "answer": "[4]"},
                {"prompt": Q, "response": "7", "answer": '["3", "4"]'},
                {"prompt": Q, "response": "8", "answer": '[""]'},
            ]
        },
        [
            ("a", Q, "4", '4\n-- or --\n["4"]', None),
            ("a", Q, "5", "4\n-- or --\n['4']", None),
            ("a", Q, "6", "[4]", None),
            ("a", Q, "7", '["3", "4"]', None),
            ("a", Q, "8", '[""]', None),
        ],
    ),
    "what is called answer is the answer of the teacher": Shape(
        {"a.jsonl": [{"messages": [user(Q)], "thoughts_of": "Two and two, so four.", "answer": "It is 4."}]},
        [("a", Q, THINK, None, None)],
        {"fields": {"prompt": "messages", "response": "answer", "reasoning": "thoughts_of"}},
    ),
    "one column that is two things because a rule says so": Shape(
        {"a.jsonl": [{"prompt": Q, "text": "So #### 4"}]},
        [("a", Q, "So #### 4", "So #### 4", None)],
        {"fields": {"response": "text", "answer": "text"}},
    ),
    "rows that a filter takes": Shape(
        {
            "a.jsonl": [
                {"prompt": f"{i}?", "response": "r", "meta": {"n": i}, "kind": kind}
                for i, kind in enumerate(["x", "y", None])
            ]
        },
        [("a", "0?", "r", None, None)],
        {"where": "kind = 'x' OR meta.n > 7"},
        ["filtered", "filtered"],
    ),
    "the first of several columns that a row has": Shape(
        {
            "a.jsonl": [
                {"prompt": Q, "response": "4", "short": None, "long": "So 4"},
                {"prompt": "3?", "response": "3", "short": "3"},
            ]
        },
        [("a", Q, "4", "So 4", None), ("a", "3?", "3", "3", None)],
        {"fields": {"answer": ["short", "long"]}},
    ),
    "a name that is not to be guessed": Shape(
        {"a.jsonl": [{"prompt": Q, "response": "4", "system": "Talk like a pirate.", "domain": 3}]},
        [("a", Q, "4", None, None)],
        {"fields": {"system": None, "domain": None}},
    ),
    "conversations with tools and pictures": Shape(
        {
            "a.jsonl": [
                {"messages": [user(Q), {"role": "assistant", "content": None, "tool_calls": [{"name": "add"}]}]},
                {"messages": [user(Q), {"role": "tool", "content": "4"}, {"role": "assistant", "content": "4"}]},
                {
                    "conversations": [
                        {"from": "human", "value": Q},
                        {"from": "function_call", "value": "{}"},
                        {"from": "gpt", "value": "4"},
                    ]
                },
                {"prompt": Q, "response": '<tool_call>\n{"name": "add"}</tool_call>'},
                {
                    "messages": [
                        user("") | {"content": [{"type": "image_url", "image_url": "x"}]},
                        {"role": "assistant", "content": "4"},
                    ]
                },
                {"prompt": "<image> What is it?", "response": "A cat.", "images": ["cat.png"]},
                {"prompt": Q, "response": "4", "image": None, "tools": []},
            ]
        },
        [("a", Q, "4", None, None)],
        {},
        ["tool_calls"] * 4 + ["images"] * 2,
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape(tmp_path, name):
    shape = SHAPES[name]
    kept = read(tmp_path, shape.files, *([{"match": "**", **shape.rule}] if shape.rule else []))
    found = [(c.teacher, json.loads(c.prompt)[-1]["content"], c.response, c.answer, c.label) for c in kept.traces]
    assert found == shape.traces
    assert [reason for reason, _ in kept.rejected] == shape.rejected
    assert not any(turn["role"] == "system" for c in kept.traces for turn in json.loads(c.prompt))


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"problem": Q, "generations": "['It is 4.' 'It is\\n5.']", "solution": "4"}, "generations"),
        ({"problem": Q, "outputs": "['It is 4.'\n \"It's 5.\"\n '6']"}, "outputs"),
        ({"messages": "[{'role': 'user', 'content': '?'}\n {'role': 'assistant', 'content': '4'}]"}, "messages"),
    ],
)
def test_a_list_that_numpy_wrote_as_text_is_refused(tmp_path, row, column):
    """Python takes two texts without a comma between them for one."""
    said = f"field '{column}' is a list as numpy writes it, without commas: write the table as JSON or Parquet"
    assert read(tmp_path, {"a.csv": [row]}).rejected == [("wrong_type", said)]
    said_of_rule = read(tmp_path, {"a.csv": [row]}, {"match": "*", "fields": {"response": column}}).rejected
    assert said_of_rule == [("wrong_type", said)] or column == "messages"


@pytest.mark.parametrize("text", ["['say \"a\" \"b\"', 'c']", "['only one']", "['a', 'b']", '["a", "b {x} {y}"]'])
def test_a_list_with_commas_is_read_whatever_its_texts_hold(tmp_path, text):
    kept = read(tmp_path, {"a.csv": [{"problem": Q, "generations": text}]})
    assert [c.response for c in kept.traces] == literal_eval(text)


def test_reasons_say_what_tools_and_pictures_are(tmp_path):
    kept = read(tmp_path, SHAPES["conversations with tools and pictures"].files)
    words = ("holds tool_calls", "of a tool", "of a tool", "calls a tool in its text", "image_url", "holds images")
    assert all(word in detail for word, (_, detail) in zip(words, kept.rejected, strict=True))


@pytest.mark.parametrize(
    ("name", "how", "teacher"),
    [
        ("R1.jsonl", "auto", "R1"),
        ("zeta/train-00000-of-00042.jsonl", "auto", "zeta"),
        ("zeta/data/train-00001-of-00042.jsonl", "auto", "zeta"),
        ("zeta/data/train-00001-of-00042-0123456789abcdef.jsonl", "auto", "zeta"),
        ("zeta/R1-00001-of-00042-fedcba9876543210.jsonl", "auto", "R1"),
        ("zeta/partial-train/0000.jsonl", "auto", "zeta"),
        ("zeta/main/train.jsonl", "auto", "zeta"),
        ("zeta/0003.jsonl", "auto", "zeta"),
        ("zeta/part-7.jsonl", "auto", "zeta"),
        ("set/R1-00000-of-00002.jsonl", "auto", "R1"),
        ("set/QwQ-32B.jsonl", "auto", "QwQ-32B"),
        ("set/qwen-2.5.jsonl", "auto", "qwen-2.5"),
        ("zeta/v1/train-00000-of-00002.jsonl", "auto", "zeta"),
        ("zeta/solutions/train.jsonl", "auto", "zeta"),
        ("zeta/distill.jsonl", "auto", "zeta"),
        ("train.jsonl", "auto", "train"),
        ("data/train-00000-of-00002.jsonl", "auto", "train"),
        ("zeta/R1.jsonl", "folder", "zeta"),
        ("zeta/data/R1.jsonl", "folder", "zeta"),
        ("zeta/train-00000-of-00042.jsonl", "file", "train-00000-of-00042"),
    ],
)
def test_the_teacher_of_a_file(tmp_path, name, how, teacher):
    kept = read(tmp_path, {name: [{"prompt": Q, "response": "4"}]}, {"match": "**", "teacher_from": how})
    assert [c.teacher for c in kept.traces] == [teacher]


def test_shards_of_a_folder_are_one_teacher_and_told_together(tmp_path):
    rows = [[{"prompt": f"{i}{j}?", "response": "r"} for j in range(3)] for i in range(4)]
    found = look(tmp_path, {f"zeta/data/train-{i:05}-of-00004.jsonl": part for i, part in enumerate(rows)})
    assert {name: tally.kept for name, tally in found.by_teacher.items()} == {"zeta": 12}
    assert [line for line in check_sources(found).lines if line.startswith("read as")] == [
        "read as     zeta/data/train-00000-of-00004.jsonl and 3 more read alike (no preset): 12 rows, 12 traces, 0% of "
        "them with a gold answer or tests"
    ]


def test_teachers_that_only_a_files_name_tells_are_said_to_be_so(tmp_path):
    rows = [{"prompt": f"{i}?", "response": THINK} for i in range(3)]
    files = {"ann.jsonl": rows, "b.jsonl": [row | {"model": "ben"} for row in rows], "c.jsonl": rows}
    lines = check_sources(look(tmp_path, files, {"match": "c.*", "teacher": "cid"})).lines
    at = [i for i, line in enumerate(lines) if "teachers are named by file or folder" in line]
    assert [lines[i - 2].split(" (")[0] for i in at] == ["read as     ann.jsonl"]


def test_files_that_a_rule_leaves_out(tmp_path):
    rows = [{"prompt": Q, "response": "4"}]
    found = look(tmp_path, {"a.jsonl": rows, "old/b.jsonl": rows}, {"match": "old/**", "leave_out": True})
    assert (list(found.by_file), found.left_out_files) == (["a.jsonl"], ["old/b.jsonl"])
    with pytest.raises(SourceError, match="leave out every file"):
        look(tmp_path, {}, {"match": "**", "leave_out": True})


MAPPED = (
    "prompt_id",
    "prompt",
    "system",
    "response",
    "reasoning",
    "teacher",
    "answer",
    "answer_kind",
    "domain",
    "label",
)


@pytest.mark.parametrize("name", [*MAPPED, "answer_index", "tests", "licence"])
def test_a_mapped_field_that_no_row_has_is_an_error(tmp_path, name):
    files = {"a.jsonl": [{"prompt": Q, "response": "4"}], "b.jsonl": [{"prompt": Q, "response": "4", "gone": "4"}]}
    found = look(tmp_path, files, {"match": "a.*", "fields": {name: "gone"}})
    (problem,) = [p for p in found.problems if "none of its rows has" in p]
    assert problem.startswith(f"rule 1 of ingest.files (match: a.*) maps {name} to 'gone', which none of its rows has")
    assert "they have prompt, response" in problem


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        (
            {"traces": [{"teacher": "T", "response": "response"}, {"teacher": "U", "response": "gone"}]},
            "response of U to 'gone'",
        ),
        ({"prompt_template": "{prompt}{gone?}"}, "names the column 'gone'"),
        ({"where": "gone = 1"}, "names the column 'gone'"),
        ({"fields": {"answer": ["gone", "away.far"]}}, "answer to 'gone' or 'away.far'"),
    ],
)
def test_so_is_a_column_of_a_template_a_filter_or_a_trace(tmp_path, rule, word):
    found = look(tmp_path, {"a.jsonl": [{"prompt": Q, "response": "4"}]}, {"match": "**", **rule})
    assert any(word in problem for problem in found.problems)


def test_a_name_is_there_also_where_its_rows_are_not_read(tmp_path):
    rows = [{"prompt": Q, "response": " ", "gold": 4, "n": 1}, {"prompt": Q, "response": "4", "gold": 4, "n": 2}]
    rule = {"match": "*", "fields": {"answer": "gold"}, "where": "n = 1"}
    assert look(tmp_path / "1", {"a.jsonl": rows}, rule).unmapped == []
    assert look(tmp_path / "2", {"a.jsonl": rows}, rule | {"where": "n = 3"}).unmapped == []


@pytest.mark.slow
def test_rules_are_judged_by_rule_and_not_by_pattern(tmp_path):
    rows = [{"prompt": Q, "response": "4", "gold": "4"}]
    found = look(
        tmp_path, {"a.jsonl": rows}, {"match": "*", "fields": {"answer": "gold"}}, {"match": "*", "teacher": "T"}
    )
    assert found.unused_rules == ["*"]
    assert sum("no file is read by the rule '*'" in p for p in found.problems) == 1


@pytest.mark.parametrize(
    ("where", "word"),
    [
        ("max(n) = n", "by itself"),
        ("row_number() OVER (ORDER BY n) < 3", "by itself"),
        ("quantile_cont(n, 0.5) = n", "by itself"),
        ("count(*) > 2", "compare columns"),
        ("lag(n) OVER (ORDER BY n) = 2", "by itself"),
        ("n IN (SELECT 1)", "without SELECT"),
        ("n =", "cannot read it"),
        ("1 = 1", "compare columns"),
        ("n = 1; DROP TABLE x", "cannot read it"),
        ("read_csv('/etc/passwd') = n", "cannot read it"),
    ],
)
def test_a_filter_that_is_none(where, word):
    with pytest.raises(ParamsError, match=r"ingest\.files\.0\.where") as error:
        parse({"ingest": {"files": [{"match": "*", "where": where}]}})
    assert word in str(error.value)


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("kind IN ('x', 'y') AND n > 0", [1]),
        ("kind NOT IN ('x')", [1]),
        ("kind LIKE 'x%' OR kind IS NULL", [0, 2]),
        ("n BETWEEN 1 AND 2", [1, 2]),
        ("meta.n + 1 = 3", [2]),
        ("length(prompt) = 2 AND NOT ok", [1]),
        ("array_length(tags) > 1", [2]),
        ("CASE WHEN ok THEN n = 0 ELSE n = 1 END", [0, 1]),
        ('"Agg" = 1', [0]),
    ],
)
def test_what_a_filter_can_say(tmp_path, where, kept):
    rows = [
        {"prompt": f"{i}?", "response": "r", "n": i, "kind": kind, "meta": {"n": i}, "ok": i != 1, "tags": ["t"] * i}
        for i, kind in enumerate(["x", "y", None])
    ]
    rows[0]["Agg"] = 1
    found = read(tmp_path, {"a.jsonl": rows}, {"match": "*", "where": where})
    assert [json.loads(c.prompt)[0]["content"] for c in found.traces] == [f"{i}?" for i in kept]


def test_a_filter_that_does_not_fit_the_rows_names_file_and_columns(tmp_path):
    with pytest.raises(
        SourceError, match=r"rows 1 to 2 of a.jsonl: where 'abs\(n\) > 3' of their rule .*columns: n \(String\)"
    ):
        look(tmp_path, {"a.jsonl": [{"n": "a"}, {"n": "b"}]}, {"match": "*", "where": "abs(n) > 3"})
    with pytest.raises(SourceError, match="not true or false"):
        look(tmp_path, {"a.jsonl": [{"n": 1}, {"n": 2}]}, {"match": "*", "where": "n + 1"})


def test_a_filter_over_many_rows_counts_each(tmp_path):
    rows = [{"prompt": f"{i}?", "response": "r", "n": i if i % 3 else None} for i in range(100)]
    found = look(tmp_path, {"a.jsonl": rows}, {"match": "*", "where": "n >= 50"})
    assert (found.total.kept, found.total.reasons) == (33, {"filtered": 67})
    assert found.columns["a.jsonl"].filtered == 67


def test_columns_that_look_like_traces_and_nobody_reads_are_told(tmp_path):
    text = "We take two and add two to it, which gives four."
    rows = [
        {
            "question": f"{i}?",
            "solution": text,
            "alba_attempt": f"Alba says. {text}",
            "b": text * 20,
            "note": "ok",
            "id": str(i),
            "grade_reason": text,
        }
        for i in range(6)
    ]
    found = look(tmp_path, {"a.jsonl": rows})
    (warning,) = [w for w in found.warnings if "nobody reads" in w]
    assert "a.jsonl: nobody reads alba_attempt, b, which look like traces" in warning
    lines = check_sources(found).lines
    assert "            prompt from question, response from solution" in lines
    assert "            not read: alba_attempt, b, grade_reason, id, note" in lines


def test_a_column_that_says_a_response_once_more_is_no_news(tmp_path):
    text = "We take two and add two to it, which gives four."
    turns = [user(Q), {"role": "assistant", "content": text}]
    rows = [{"question": f"{i}?", "response": text, "generation": text, "messages": turns} for i in range(6)]
    assert look(tmp_path / "1", {"a.jsonl": rows}, {"match": "*", "layout": "fields"}).warnings == []
    found = look(tmp_path / "2", {"a.jsonl": [row | {"generation": f"{text} {row['question']}"} for row in rows]})
    assert any("nobody reads generation" in w for w in found.warnings)


OPTIONS = ["three", "four"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "Solve:", "question": "{i}?"}, "put 'prompt_template: \"{prompt}\\n{question}\"' into"),
        ({"question": "{i}?", "options": OPTIONS}, "prompts do not say what options says; if it belongs"),
        ({"question": "{i}?", "choices": {"text": OPTIONS, "label": ["A", "B"]}}, '"{question}\\n{choices}"'),
        ({"instruction": "Read.", "input": "{i}?", "context": "It is 4."}, '"{instruction}\\n{input}\\n{context}"'),
        ({"question": "{i}? A. three\nB.  four", "options": OPTIONS}, None),
        ({"prompt": "Solve this: {i}?", "question": "{i}?", "query": None, "options": []}, None),
        ({"messages": [user("{i}?"), {"role": "assistant", "content": "4"}], "options": OPTIONS}, None),
        ({"prompt": "<|im_start|>user\n{i}?<|im_end|>"}, "all prompts begin with <|im_start|>, a token of a chat"),
        ({"prompt": "<s> [INST] {i}? [/INST]"}, "prompts begin with <s>, a token of a chat template"),
        ({"prompt": "{i}?\n<think>\n"}, "prompts end with <think>, a token of a chat template"),
        ({"prompt": "<div> {i}? What is <think>?"}, None),
        ({"prompt": "4?"}, "all rows have the same prompt ('4?'); if the question stands in another column"),
    ],
)
def test_prompts_that_may_not_be_what_was_asked_are_told(tmp_path, row, says):
    rows = [json.loads(json.dumps({"response": "4"} | row).replace("{i}", str(i))) for i in range(6)]
    found = look(tmp_path, {"a.jsonl": rows})
    assert found.total.read == 6
    assert len(found.warnings) == (says is not None)
    assert says is None or says in found.warnings[0]


def test_a_part_of_the_question_that_some_rows_lack_may_be_missing_in_the_template_that_is_named(tmp_path):
    rows = [{"question": f"{i}?", "options": OPTIONS if i else None, "response": "4"} for i in range(6)]
    (warning,) = look(tmp_path, {"a.jsonl": rows}).warnings
    template = json.loads(re.findall(r"prompt_template: (\".*\")'", warning)[0])
    kept = read(tmp_path, {"a.jsonl": rows}, {"match": "*", "prompt_template": template})
    assert [json.loads(c.prompt)[0]["content"] for c in kept.traces][:2] == ["0?", "1?\nA. three\nB. four"]
    assert look(tmp_path, {"a.jsonl": rows}, {"match": "*", "prompt_template": template}).warnings == []


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("generation_models", ["ann", "ben"], "if it says who wrote it, map fields.teacher to it"),
        ("correctness", [True, False], "if it says whether it is right, map fields.label to it"),
        ("labels", [1, 0], "if it says whether it is right, map fields.label to it"),
        ("models", ["ann", "ben", "cid"], None),
        ("model_notes", ["very long, as notes of a model on its answer are, one for each, " * 2] * 2, None),
        ("tags", ["sum", "even"], None),
    ],
)
def test_a_list_that_says_something_of_each_response_is_told(tmp_path, column, values, says):
    rows = [{"prompt": f"{i}?", "generations": [THINK, f"{i} {THINK}"], column: values} for i in range(3)]
    found = look(tmp_path, {"a.jsonl": rows})
    assert found.total.kept == 6
    start = f"a.jsonl: nobody reads {column}, which has a value for each response of a row; "
    assert [w for w in found.warnings if "for each response" in w] == ([start + says] if says else [])


@pytest.mark.parametrize(("labels", "told"), [([0.4, 0.9], 1), ([None, 0.5], 1), (["", ""], 1), ([0.4, 1.0], 0)])
def test_labels_that_say_nothing_are_told(tmp_path, labels, told):
    rows = [{"prompt": f"{i}?", "responses": ["r", "s"], "rewards": labels} for i in range(3)]
    found = look(tmp_path, {"a.jsonl": rows}, {"match": "*", "fields": {"label": "rewards"}})
    warnings = [w for w in found.warnings if "no value of rewards says that a response is right or wrong" in w]
    assert (found.total.kept, len(warnings)) == (6, told)


@pytest.mark.parametrize(
    ("response", "told"),
    [
        ("{n}", 1),
        (r"x \in \left(-\infty, \frac{{{n}}}{{2}}\right)", 1),
        ("['ox', 'cow', 'hen', {n}]", 1),
        ("Port {n}", 1),
        ("It is {n} in all.", 0),
        ("先数左边的，再数右边的，加起来一共是{n}个，所以答案是{n}。", 0),
        ("<think>\nI count {n} of them.\n</think>\n{n}", 0),
    ],
)
def test_answers_alone_are_no_traces(tmp_path, response, told):
    rows = [{"prompt": f"{i}, and then?", "solution": response.format(n=i)} for i in range(10)]
    found = look(tmp_path, {"a.jsonl": rows, "b.jsonl": rows})
    warnings = [w for w in found.warnings if "looks like questions with their answers" in w]
    assert [w[:60] for w in warnings] == ["a.jsonl and 1 more: responses (from solution) are single val"] * told
    # Of a few rows nobody can tell; and whoever reasons may answer in a word.
    assert not any("no trace in it" in w for w in look(tmp_path / "few", {"a.jsonl": rows[:4]}).warnings)
    rows = [row | {"reasoning": "We add one to it."} for row in rows]
    assert not any("no trace in it" in w for w in look(tmp_path / "thought", {"a.jsonl": rows}).warnings)


PARTS = [{"type": "thinking", "thinking": "Two and two, so four."}, {"type": "text", "text": "It is 4."}]


@pytest.mark.parametrize("column", ["response", "completion", "generations"])
@pytest.mark.parametrize(
    ("text", "response"),
    [
        (json.dumps(PARTS), THINK),
        (repr(PARTS), THINK),
        (json.dumps([{"type": "redacted_thinking", "data": "x"}, PARTS[1]]), "It is 4."),
        # Answers that were asked for as JSON.
        *((text, text) for text in ('[{"type": "circle", "text": "4"}]', '[{"type": "text", "x": 4}]', '[{"a": 4}]')),
        *((text, text) for text in ('{"type": "text", "text": "4"}', "[4]")),
    ],
)
def test_parts_that_are_stored_as_text_are_parts(tmp_path, column, text, response):
    row = {"prompt": "2 + 2?", column: [text] if column == "generations" else text}
    [trace] = read(tmp_path, {"a.jsonl": [row]}).traces
    assert trace.response == response


MESSAGE = {"content": "It is 4.", "reasoning_content": "Two and two, so four."}


@pytest.mark.parametrize(
    ("inner", "rule"),
    [
        (
            {"choices": [{"message": MESSAGE}]},
            {
                "response": "response.choices.0.message.content",
                "reasoning": "response.choices.0.message.reasoning_content",
            },
        ),
        ({"choices": [{"message": {"content": THINK}}]}, {"response": "response.choices.0.message.content"}),
        (
            {"thinking": "Two and two, so four.", "answer": "It is 4."},
            {"response": "response.answer", "reasoning": "response.thinking"},
        ),
        ({"answer": "It is 4."}, None),
        ({"answer": 4, "thinking": "Two and two, so four."}, None),
    ],
)
def test_objects_around_answers_that_are_stored_as_text_are_told(tmp_path, inner, rule):
    rows = [{"prompt": f"2 + 2? ({i})", "response": json.dumps(inner)} for i in range(3)]
    [warning] = [w for w in look(tmp_path, {"a.jsonl": rows}).warnings if "JSON text" in w] or [None]
    if rule is None:
        assert warning is None
        return
    assert all(f"fields.{name} to {path}" in warning for name, path in rule.items())
    kept = read(tmp_path, {}, {"match": "*", "fields": rule})
    assert [t.response for t in kept.traces] == [THINK] * 3


SOLUTION = "Two apples and two more apples in the same basket are four apples, all of them red."


@pytest.mark.parametrize(
    ("columns", "gold"),
    [
        ({"answer": "5"}, "5"),
        ({"answer": "5", "correct_answer": "4"}, "4"),
        ({"answer": "5", "ground_truth": 4}, "4"),
        ({"gold": "4", "answer": "It is 5."}, "4"),
        ({"answer": "5", "Reference_Answer": "4"}, "4"),
        ({"answer": "5", "expected_answer": None}, "5"),
        ({"answer": "5", "gold_answer": "None", "gold": True, "ground_truth": []}, "5"),
        # Places of options, and solutions in words beside a short answer.
        ({"answer": "4", "correct_answer": 2, "options": ["3", "5", "4"]}, "4"),
        ({"answer": "B", "gold": "B", "options": ["3", "4"]}, "B"),
        ({"answer": "4", "ground_truth": SOLUTION}, "4"),
        ({"answer": "5", "ground_truth": f"{SOLUTION}\n#### 4"}, f"{SOLUTION}\n#### 4"),
        ({"ground_truth": SOLUTION}, SOLUTION),
    ],
)
def test_a_name_that_says_whose_answer_it_is_comes_first(tmp_path, columns, gold):
    [trace] = read(tmp_path, {"a.jsonl": [{"question": "2 + 2?", "response": THINK, **columns}]}).traces
    assert trace.answer == gold


def test_what_stands_at_both_ends_of_all_prompts_is_told_together(tmp_path):
    bare = [{"prompt": f"How many are {i} and {i}?", "response": "r"} for i in range(6)]
    spoken = [row | {"prompt": f"\n\nHuman: {row['prompt']}\n\nAssistant: "} for row in bare]
    (warning,) = [w for w in look(tmp_path, {"a.jsonl": bare, "b.jsonl": spoken}).warnings if "all prompts" in w]
    assert "begin with 'Human:' and end with 'Assistant:'; without both 6 of 6" in warning
    rule = """{strip_prefixes: ["Human:"], strip_suffixes: ["Assistant:"]}"""
    assert f"put '{rule}' into its rule" in warning
    joined = look(tmp_path, {}, {"match": "b.*", "strip_prefixes": ["Human:"], "strip_suffixes": ["Assistant:"]})
    assert (joined.prompts, joined.candidates.median) == (6, 2)


@pytest.mark.parametrize("names", [{}, {"teacher": "a", "teacher_field": "b"}])
def test_a_trace_in_columns_has_one_name(names):
    with pytest.raises(ParamsError, match=r"traces\.0.*one of teacher \(a name\) and teacher_field"):
        parse({"ingest": {"files": [{"match": "*", "traces": [{"response": "r", **names}]}]}})


def test_an_instruction_around_all_prompts_is_told_where_prompts_would_meet(tmp_path):
    bare = [{"prompt": f"How many are {i} and {i}?", "response": "r"} for i in range(6)]
    wrapped = [row | {"prompt": f"Work it out. {row['prompt']} Be brief."} for row in bare]
    files = {"a.jsonl": bare, "b.jsonl": [row | {"prompt": f"Work it out. {row['prompt']}"} for row in bare]}
    (warning,) = [w for w in look(tmp_path / "1", files).warnings if "all prompts" in w]
    assert "b.jsonl: all prompts begin with 'Work it out.'; without it 6 of 6" in warning
    assert """put 'strip_prefixes: ["Work it out."]' into its rule""" in warning
    rule = {"match": "b.*", "strip_prefixes": ["Work it out."], "strip_suffixes": ["Be brief."]}
    joined = look(tmp_path / "2", files | {"b.jsonl": wrapped}, rule)
    assert (joined.prompts, joined.candidates.median, joined.warnings) == (6, 2, [])


def test_ids_of_one_kind_cut_no_set_off_from_another(tmp_path):
    rows = [{"prompt": f"How many are {i} and {i}?", "response": "r"} for i in range(12)]
    files = {
        "a.jsonl": [row | {"prompt_id": str(i)} for i, row in enumerate(rows)],
        "b.jsonl": [row | {"prompt_id": f"uuid-{i}"} for i, row in enumerate(rows)],
        "c.jsonl": rows,
        "d.jsonl": [row | {"prompt": f"Say {i}.", "prompt_id": str(i)} for i, row in enumerate(rows)],
    }
    found = look(tmp_path, files)
    assert (found.total.kept, found.prompts, found.torn_ids) == (48, 24, 12)
    assert found.candidates.histogram == {1: 12, 3: 12}
    assert any(
        w.startswith("12 prompt ids stand for prompts whose texts have nothing in common") for w in found.warnings
    )


def test_bounded_memory_of_a_file_with_many_prompts(tmp_path):
    rows = [{"prompt": f"{i}?", "response": "r", "extra": f"x{i}"} for i in range(3_000)]
    columns = look(tmp_path, {"a.jsonl": rows}).columns["a.jsonl"]
    assert len(columns.wordings) <= 200
    assert columns.unread["extra"].rows <= 2_000
    assert Counter(columns.seen) == Counter(["prompt", "response", "extra"])


def test_a_rule_keeps_its_defaults():
    assert FileRule(match="*").model_dump(exclude_defaults=True) == {"match": "*"}
    assert Ingest().files == ()
